"""`cloze predict`: what a registered adapter thinks comes after a few panels; makes no run."""

import base64
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cloze.errors import ClozeError, DataError, SettingsError
from mlflow_projects.program import quieten_libraries
from mlflow_projects.refusals import refusals_told

_CHAMPION = "models:/cloze-pred@champion"


def _predict(pictures: Sequence[Path], texts: Sequence[str], read: bool, adapter: str, form: str) -> None:
    """Write what happens after the panels whose pictures are given, in reading order.

    The answer is that of `mlflow models serve` on the same adapter. Without lettering, name it with --text once for
    each panel ("" where there is none), or let --read find it. Exit status: 0; 2 for what cannot be answered.
    """
    quieten_libraries()
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        if texts and len(texts) != len(pictures):
            raise SettingsError("text", len(texts), f"given {len(pictures)} times, once for each panel, or not at all")
        if texts and read:
            raise SettingsError("text", texts[0], "left out with --read")
        if not adapter.startswith("models:/"):
            raise SettingsError("adapter", adapter, "a registered one: models:/NAME/VERSION or models:/NAME@ALIAS")
        contents = [_content(path) for path in pictures]
        lettering = _read(contents, pictures) if read else list(texts) or [""] * len(pictures)
        answer = _answer(adapter, contents, lettering)
    except ClozeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    if form == "json":
        click.echo(json.dumps(answer | {"adapter": adapter, "texts": lettering}, indent=1))
        return
    click.echo(answer["prediction"])
    if answer["finish_reason"] == "length":
        click.echo("(cut: the answer is longer than the adapter may write)", err=True)


def _content(path: Path) -> bytes:
    from cloze.data.pictures import MAX_BYTES, problem_of

    if not path.is_file():
        raise DataError(path, "no such picture")
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if problem := problem_of(content):
        raise DataError(path, f"the picture is {problem}; a whole JPEG or PNG of a panel's size was expected")
    return content


def _read(contents: Sequence[bytes], pictures: Sequence[Path]) -> list[str]:
    """The lettering of each panel, shown as it is found: a misread word may decide the answer."""
    from cloze.labels.local_reader import Engine
    from cloze.labels.reading import OcrSettings

    engine, sure = Engine(), OcrSettings().min_confidence
    texts = []
    for content, path in zip(contents, pictures, strict=True):
        texts.append(" ".join(balloon.text for balloon in engine.read(content).balloons(sure)))
        click.echo(f"{path.name}: {texts[-1] or '(no lettering)'}", err=True)
    return texts


def _answer(adapter: str, contents: Sequence[bytes], texts: Sequence[str]) -> dict[str, Any]:
    import mlflow
    from mlflow.exceptions import MlflowException

    from mlflow_projects.registry import find_version
    from mlflow_projects.tracking import require_store

    require_store()
    with refusals_told():
        uri, _ = find_version(adapter)
    try:
        model = mlflow.pyfunc.load_model(uri, suppress_warnings=True)
        request = {"images": [base64.b64encode(content).decode() for content in contents], "texts": list(texts)}
        answers: list[dict[str, Any]] = model.predict([request]).to_dict("records")
    except MlflowException as error:
        raise DataError(adapter, str(error.message)) from error
    return answers[0]


def predict() -> click.Command:
    """The command."""
    callback: Any = _predict
    params: list[click.Parameter] = [
        click.Argument(["pictures"], nargs=-1, required=True, type=click.Path(path_type=Path)),
        click.Option(["--text", "texts"], multiple=True, help="Lettering of a panel, once for each, in their order."),
        click.Option(["--read"], is_flag=True, help="Read the lettering from the pictures, on this machine."),
        click.Option(["--adapter"], default=_CHAMPION, show_default=True, help="models:/NAME/VERSION or @ALIAS."),
        click.Option(["--format", "form"], type=click.Choice(["text", "json"]), default="text", show_default=True),
    ]
    return click.Command("predict", callback=callback, help=_predict.__doc__, params=params)
