"""`cloze doctor`: takes the options of `finetune` and shows what such a run would be."""

import sys
from typing import Any

import click

from cloze.errors import ClozeError
from cloze.settings import parse
from mlflow_projects.program import cache_folder, find_program, options, quieten_libraries, state_folder

_GB = 10**9


def _doctor(device_gb: float | None, processes: int, as_json: bool, **given: str | None) -> None:
    """Examine a fine-tuning run before it starts: tokens, LoRA weights, masks, batches, books, labels, memory.

    Inputs are looked up (`runs:/...`, a path, the lineage of another) and never made. Without them, what can be known
    without data is examined. Exit status: 0 healthy, 2 with faults.
    """
    quieten_libraries()
    from cloze.model.doctor import examine
    from cloze.model.memory import Device
    from mlflow_projects.steps import Steps

    words = {name: word for name, word in given.items() if word is not None}
    try:
        cache = cache_folder()
        settings: Any = Steps("", cache, state_folder()).look_up(parse(find_program("finetune").settings, words))
        device = Device("the device named", int(device_gb * _GB)) if device_gb else None
        report = examine(settings, cache, device=device, processes=processes).report
    except ClozeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(report.as_json() if as_json else report.as_text(), nl=False)
    sys.exit(2 if report.faults else 0)


def doctor() -> click.Command:
    """The command; its options are those of `finetune`, and its own."""
    own: list[click.Parameter] = [
        click.Option(["--device_gb"], type=float, help="Memory of the device it will run on; empty: this machine's."),
        click.Option(["--processes"], type=click.IntRange(1), default=1, help="Processes that train together."),
        click.Option(["--json", "as_json"], is_flag=True, help="As JSON."),
    ]
    callback: Any = _doctor
    params = [*own, *options(find_program("finetune").settings)]
    return click.Command("doctor", callback=callback, help=_doctor.__doc__, params=params)
