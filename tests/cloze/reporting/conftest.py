"""One small study for all tests of the report; nobody writes into it."""

from pathlib import Path
from typing import NamedTuple

import pytest

from cloze.reporting.report import ReportSettings, build_report
from tests.cloze.reporting.study import write_study
from tests.cloze.scoring.tiny import workspace


class Built(NamedTuple):
    """A built report."""

    folder: Path
    metrics: dict[str, float]

    @property
    def html(self) -> str:
        return (self.folder / "report.html").read_text()


def build(cells: Path, folder: Path, strips: int = 24, compare: str = "refuse") -> Built:
    space = workspace(folder)
    return Built(space.out, build_report(ReportSettings(runs=str(cells), strips=strips, compare=compare), space))


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def report(study, tmp_path_factory) -> Built:
    return build(study, tmp_path_factory.mktemp("report"))
