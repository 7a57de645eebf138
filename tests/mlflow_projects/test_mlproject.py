"""MLproject and conda.yaml are made from the programs and pyproject.toml, and are up to date."""

import tomllib

import yaml

from mlflow_projects.mlproject import ROOT, render_conda, render_mlproject
from mlflow_projects.program import programs


def test_mlproject_is_what_the_programs_say():
    assert (ROOT / "MLproject").read_text(encoding="utf-8") == render_mlproject(programs()), (
        "run: python -m jobs --write"
    )


def test_conda_yaml_lists_the_third_parties_of_pyproject_and_nothing_else():
    text = (ROOT / "conda.yaml").read_text(encoding="utf-8")
    assert text == render_conda(), "run: python -m jobs --write"
    *_, pip = yaml.safe_load(text)["dependencies"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert pip["pip"] == project["dependencies"]
    assert not [name for name in pip["pip"] if name.startswith((".", "-e", project["name"]))]


def test_every_entry_point_takes_exactly_its_settings_as_options():
    points = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    assert set(points) == set(programs())
    for name, program in programs().items():
        parameters = points[name]["parameters"]
        assert [option.name for option in program.command().params] == list(parameters)
        assert all(f"--{parameter} {{{parameter}}}" in points[name]["command"] for parameter in parameters)
