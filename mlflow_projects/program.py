"""A program: settings and a stage become a click command, an MLflow run and an exit status.

Everything here is written once for all entry points; a file in `jobs/` only says which settings go with which stage.
"""

import importlib
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, get_type_hints

import click

from cloze.errors import ClozeError, SettingsError
from cloze.settings import Settings, choices, inputs, of_preset, parse, presets, words
from cloze.stage import REQUEUE_FILE, Stage, StoppedError, Workspace, rank
from mlflow_projects import followers
from mlflow_projects.refusals import refusals_told
from mlflow_projects.signals import Terminated, raise_on_signals

if TYPE_CHECKING:
    from mlflow_projects.joined import Joined
    from mlflow_projects.steps import Resolved, Steps

# What stands beside other figures, and would bury them on a terminal.
_BESIDE = ("ci_low/", "ci_high/", "floor/", "lift/", "measure/", "difference/")
INTERRUPTED, TERMINATED = 130, 143  # 128 + the signal's number, as a shell says it


@dataclass(frozen=True)
class Finished:
    """What is known when a stage has returned and its results are logged."""

    run_id: str
    resolved: "Resolved"
    out: Path
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Program:
    """One entry point; calling it runs it with the words of the command line.

    Attributes:
        settings: the parameters.
        stage: does the work: `stage(settings, workspace)`; with `steps` it gets the `Steps` of its run as a third.
        name: of the entry point.
        help: first line of the module's docstring.
        before: called in the run before the stage.
        after: called in the run when the results are logged, to register or to show them.
        system_metrics: the load of the machine is of interest, and logged while it runs.
        steps: the stage itself runs other steps. Such a program is never reused as a whole; its steps are.
        resumes: the stage leaves what is done in `workspace.checkpoints`, from where the run is taken up again.
        shares: several processes may share its work.
        shard: setting that cuts its work into shards, and `join` what puts their results together:
            `join(settings, workspace, read)`.
    """

    settings: type[Settings]
    stage: Stage
    name: str
    help: str
    before: Callable[[Settings], None] | None = None
    after: Callable[[Finished], None] | None = None
    system_metrics: bool = False
    steps: bool = False
    resumes: bool = False
    shares: bool = False
    shard: str = ""
    join: Callable[..., Mapping[str, float]] | None = None

    @property
    def reusable(self) -> bool:
        """Whether a finished run of it may stand for a new one."""
        return not self.steps

    def __call__(self, arguments: Sequence[str] | None = None) -> NoReturn:
        """Parse the command line, run, and exit: 0; 2 for what the caller can mend; 1 for the rest."""
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
        for noisy in (
            "mlflow",
            "mlflow.pyfunc",
            "mlflow.system_metrics",
            "alembic",
            "httpx",
            "httpx2",
            "google_genai",
            "openai",
            "matplotlib",
        ):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        quieten_libraries()
        try:
            status = self.command().main(arguments, standalone_mode=False)
        except click.ClickException as error:
            _end_adopted_run(error.format_message())
            error.show()
            status = error.exit_code
        sys.exit(status or 0)

    def command(self) -> click.Command:
        """The click command: one option for each setting, all of them words until `parse` has checked them."""
        return click.Command(
            name=self.name,
            help=self.help,
            params=options(self.settings),
            callback=lambda **given: run_program(self, {k: v for k, v in given.items() if v is not None}),
            context_settings={"help_option_names": ["-h", "--help"]},
        )


def quieten_libraries() -> None:
    """Keep what concerns neither our users nor us, and bars that would be a thousand lines of a log, off the screen."""
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)\.")  # peft's own calls
    # Importing diffusers makes transformers say twice that it reads pictures without torchvision, as is meant.
    logging.getLogger("transformers.utils.import_utils").addFilter(
        lambda record: "requires torchvision" not in record.getMessage()
    )
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def options(settings: type[Settings]) -> list[click.Parameter]:
    """One option for each setting; `parse` checks their words."""
    return [_option(settings, f.name) for f in fields(settings)]


def program(
    settings: type[Settings],
    stage: Stage,
    *,
    before: Callable[[Settings], None] | None = None,
    after: Callable[[Finished], None] | None = None,
    system_metrics: bool = False,
    steps: bool = False,
    resumes: bool = False,
    shares: bool = False,
    shard: str = "",
    join: Callable[..., Mapping[str, float]] | None = None,
) -> Program:
    """The program of the calling module, which must lie in `jobs/`."""
    frame = sys._getframe(1)
    name = Path(frame.f_code.co_filename).stem
    summary = str(frame.f_globals["__doc__"]).partition("\n")[0]
    return Program(settings, stage, name, summary, before, after, system_metrics, steps, resumes, shares, shard, join)


def programs() -> dict[str, Program]:
    """The program of every entry point."""
    return {name: find_program(name) for name in entry_points()}


def entry_points() -> list[str]:
    """Names of all entry points: each module of `jobs` is one."""
    folder = Path(__file__).parent.parent / "jobs"
    return sorted(path.stem for path in folder.glob("[!_]*.py"))


def find_program(name: str) -> Program:
    """The program of one entry point.

    Raises:
        SettingsError: there is none of that name.
    """
    if name not in entry_points():
        raise SettingsError("entry point", name, f"one of {', '.join(entry_points())}")
    found: Program = importlib.import_module(f"jobs.{name}").main
    return found


def run_program(program: Program, given: Mapping[str, str]) -> int:
    """Run a program in an MLflow run of its own; the exit status."""
    from mlflow_projects import tracking

    raise_on_signals()
    try:
        if followers.n_processes() > 1 and not program.shares:
            raise SettingsError("processes", followers.n_processes(), f"1: {program.name} does not share its work")
        if rank() > 0:
            followers.follow(program)
        else:
            with refusals_told(), tracking.tracked(program.name, system_metrics=program.system_metrics) as run_id:
                _run(program, given, run_id)
    except StoppedError as error:
        click.echo(f"Stopped: {error}", err=True)
        return 0 if os.environ.get(REQUEUE_FILE) else error.exit_code
    except ClozeError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    return 0


def _run(program: Program, given: Mapping[str, str], run_id: str) -> None:
    from mlflow_projects import tracking
    from mlflow_projects.joined import find_shards
    from mlflow_projects.stepkey import step_key
    from mlflow_projects.steps import Steps

    settings = parse(program.settings, given)
    steps = Steps(run_id, cache_folder(), state_folder())
    try:
        resolved = steps.resolve(program.name, settings)
        tracking.set_tags(resolved.tags)
        tracking.set_name(resolved.name)
        parts = resolved.key_parts()
        joined = find_shards(program, resolved, steps.cache)
        key = joined.key if joined else step_key(parts)
        tracking.log_settings(words(resolved.settings), parts)
        for name, found in resolved.inputs.items():
            tracking.log_dataset(name, found.uri, found.digest)
        if joined:
            metrics = _run_stage(program, steps, resolved, run_id, key, joined)
        elif unfinished := steps.unfinished(resolved):
            _resume(steps, resolved, unfinished)
            return
        else:
            if program.resumes:
                tracking.set_tags({"cloze.resume_key": key})
            metrics = _run_stage(program, steps, resolved, run_id, key)
    except BaseException:
        steps.stop()
        raise
    _say(program.name, run_id, metrics)


def _run_stage(
    program: Program, steps: "Steps", resolved: "Resolved", run_id: str, key: str, joined: "Joined | None" = None
) -> Mapping[str, float]:
    """Run the stage, or join its shards, in an empty folder and log what it leaves there."""
    from mlflow_projects import tracking

    with tempfile.TemporaryDirectory(prefix="cloze-") as folder:
        out = Path(folder)
        workspace = Workspace(out, steps.cache, tracking.log_step_metrics, steps.state, key, tracking.log_step_picture)
        extra = (steps,) if program.steps else ()
        if program.before:
            program.before(resolved.settings)
        followers.lead(resolved.local_settings, key)
        if joined and program.join:
            metrics = program.join(resolved.local_settings, workspace, joined.read)
        else:
            metrics = program.stage(resolved.local_settings, workspace, *extra)
        tracking.log_metrics(metrics)
        tracking.log_results(out, resolved.lineage, key)
        if program.after:
            program.after(Finished(run_id, resolved, out, metrics))
        shutil.rmtree(workspace.checkpoints, ignore_errors=True)
    return metrics


def _resume(steps: "Steps", resolved: "Resolved", unfinished: str) -> None:
    """Let the run that began the same go on, and say so in this one, which makes nothing itself."""
    from mlflow_projects import tracking

    tracking.set_tags({"cloze.resumed": f"runs:/{unfinished}"})
    steps.resume(resolved, unfinished)
    click.echo(f"{resolved.step} finished: runs:/{unfinished}")


def cache_folder() -> Path:
    """Where things that can be made again are kept: CLOZE_CACHE, else below the user's cache."""
    return _made(os.environ.get("CLOZE_CACHE") or Path.home() / ".cache" / "comics-cloze")


def state_folder() -> Path:
    """Where things that must not be lost are kept (what was paid for): CLOZE_STATE, else below the user's state."""
    return _made(os.environ.get("CLOZE_STATE") or Path.home() / ".local" / "state" / "comics-cloze")


def _made(folder: str | Path) -> Path:
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _say(name: str, run_id: str, metrics: Mapping[str, float]) -> None:
    click.echo(f"{name} finished: runs:/{run_id}")
    shown = [metric for metric in sorted(metrics) if not metric.startswith(_BESIDE)]
    for metric in shown:
        click.echo(f"  {metric} {metrics[metric]:g}")
    if n_beside := len(metrics) - len(shown):
        click.echo(f"  and {n_beside} figures beside these in the run")


def _option(settings: type[Settings], name: str) -> click.Option:
    field = settings.__dataclass_fields__[name]
    default = None if field.default is MISSING or name in of_preset(settings) else _word(settings, name)
    source = inputs(settings).get(name)
    kind: type = get_type_hints(settings)[name]
    help_text = field.metadata["help"]
    if source and source.made_by:
        help_text += f" Empty: made by `{source.made_by}`, or reused."
    if name in of_preset(settings):
        values = (f"{values.get(name, field.default)} ({preset})" for preset, values in presets(settings).items())
        help_text += f" Empty: the preset's: {', '.join(values)}."
    metavar = "|".join(choices(settings, name)) or ("INPUT" if source else kind.__name__.upper())
    return click.Option(
        [f"--{name}", name], help=help_text, default=default, show_default=bool(default), metavar=metavar
    )


def _word(settings: type[Settings], name: str) -> str:
    value = settings.__dataclass_fields__[name].default
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _end_adopted_run(reason: str) -> None:
    """`mlflow run` opened a run for a command line that cannot be parsed: it gets its end here."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        from mlflow_projects.tracking import fail_run

        fail_run(run_id, reason)
