"""The `cloze` command as a person calls it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mlflow_projects.cli import main
from tests.cloze.model.conftest import base_folder, tables  # noqa: F401 - fixtures


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.setenv("CLOZE_CACHE", str(tmp_path / "cache"))

    def called(*arguments):
        return CliRunner().invoke(main, ["doctor", *arguments])

    return called


@pytest.fixture
def given(base_folder, tables):  # noqa: F811
    return ["--base", str(base_folder), "--sequences", tables.sequences, "--examples", "8"]


def test_a_healthy_run_exits_with_0_and_shows_tables(call, given, tables):  # noqa: F811
    done = call(*given, "--labels", tables.labels["pred"])
    assert done.exit_code == 0, done.output
    assert done.output.endswith("no fault found\n")
    assert "8 examples = 8 x 1" in done.output


def test_a_fault_exits_with_2_and_is_shown_first(call, given, tables):  # noqa: F811
    done = call(*given, "--labels", tables.labels["descp"])
    assert done.exit_code == 2
    assert done.output.endswith("1 fault: no run would start\n")
    first = done.output.partition("findings\n")[2].splitlines()[0]
    assert first.startswith("  FAULT    labels: sequence 1/1_5: its label is of paradigm descp, not pred")


def test_json_is_json(call, given, tables):  # noqa: F811
    done = call(*given, "--labels", tables.labels["pred"], "--json")
    assert json.loads(done.stdout)["masks"]["examples"] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rank", "0"], "Error: rank is 0; it must be 1 or more"),
        (["--sequences", "absent.parquet"], "absent.parquet: no such file or folder"),
        (["--base", "nobody/nothing"], "Error: base nobody/nothing: no such folder"),
    ],
)
def test_what_cannot_be_examined_exits_with_2_and_says_why(call, arguments, message):
    done = call(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_without_data_it_examines_what_can_be_known(call):
    done = call("--examples", "16")
    assert done.exit_code == 0
    assert "data: not looked at: no sequences and labels given" in done.output


def test_help_loads_neither_torch_nor_mlflow():
    code = (
        "import sys; from click.testing import CliRunner; from mlflow_projects.cli import main\n"
        "assert CliRunner().invoke(main, ['doctor', '--help']).exit_code == 0\n"
        "sys.exit(bool({'torch', 'transformers', 'mlflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
