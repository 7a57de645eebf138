"""`cloze lineage` goes from comics to champion and back, once through every run."""

import json

import pytest
from click.testing import CliRunner

from mlflow_projects.ancestry import Ancestry, Node, shown
from mlflow_projects.cli import main


@pytest.fixture
def chain(store, tmp_path) -> dict[str, str]:
    """Ids of runs: comics -> panels -> sequences -> labels -> adapter (version 1) -> predictions -> report."""
    experiment = store.get_experiment_by_name("comics-cloze").experiment_id
    model = f"cloze-{tmp_path.name}".replace("_", "-")
    runs: dict[str, str] = {"model": model}

    def ran(name: str, **read: str) -> None:
        tags = {"cloze.step": name, f"cloze.digest.{name}.parquet": "d" * 64}
        run_id = store.create_run(experiment, run_name=name, tags=tags).info.run_id
        for key, value in read.items():
            store.log_param(run_id, f"cfg.{key}", value)
        runs[name] = run_id
        store.set_terminated(run_id)

    ran("panels", comics="/data/COMICS", ocr=f"/data/ocr.csv#sha256={'e' * 64}")
    store.log_dict(runs["panels"], {"contents": {"comics": "c" * 64}}, "step.json")
    ran("sequences", panels=f"runs:/{runs['panels']}/panels.parquet")
    ran("labels", sequences=f"runs:/{runs['sequences']}/sequences.parquet")
    both = {name: f"runs:/{runs[name]}/{name}.parquet" for name in ("sequences", "labels")}
    ran("adapter", **both)
    store.create_registered_model(model)
    store.create_model_version(model, source=str(tmp_path), run_id=runs["adapter"], tags={"cloze.digest": "a" * 64})
    store.set_registered_model_alias(model, "champion", "1")
    ran("predictions", adapter=f"models:/{model}/1", sequences=both["sequences"])
    ran("report", runs=runs["predictions"])
    return runs


def lines(node: Node, depth: int = 0) -> list[tuple[int, str]]:
    return [(depth, node.uri), *(line for following in node.next for line in lines(following, depth + 1))]


def test_upwards_it_ends_at_the_comics_with_their_digests(chain, tmp_path):
    ancestry = Ancestry(tmp_path)
    found = ancestry.up(ancestry.run_of(f"runs:/{chain['labels']}"))
    assert lines(found) == [
        (0, f"runs:/{chain['labels']}"),
        (1, f"runs:/{chain['sequences']}"),
        (2, f"runs:/{chain['panels']}"),
        (3, "/data/COMICS"),
        (3, "/data/ocr.csv"),
    ]
    comics, ocr = found.next[0].next[0].next
    assert (comics.digests, ocr.digests) == ({"comics": "c" * 64}, {"ocr": "e" * 64})


def test_downwards_it_ends_at_versions_with_their_aliases_and_at_reports(chain, tmp_path):
    ancestry = Ancestry(tmp_path)
    found = ancestry.down(ancestry.run_of(chain["adapter"]))
    assert lines(found) == [
        (0, f"runs:/{chain['adapter']}"),
        (1, f"runs:/{chain['predictions']}"),
        (2, f"runs:/{chain['report']}"),
        (1, f"models:/{chain['model']}/1"),
    ]
    assert found.next[1].what == f"version 1 of {chain['model']} @champion"


def test_a_run_on_two_ways_is_told_once_and_then_pointed_to(chain, tmp_path):
    found = Ancestry(tmp_path).up(chain["predictions"])
    again = [line for line in lines(found) if line[1] == f"runs:/{chain['sequences']}"]
    assert len(again) == 3
    assert len([line for line in lines(found) if line[1] == "/data/COMICS"]) == 1
    assert "(see above)" in shown(found.next[-1])


@pytest.mark.parametrize("named", ["runs:/{adapter}", "{adapter}", "models:/{model}/1", "models:/{model}@champion"])
def test_a_run_may_be_named_by_what_it_made(chain, tmp_path, named):
    assert Ancestry(tmp_path).run_of(named.format(**chain)) == chain["adapter"]


def test_a_version_that_was_deleted_is_said_to_be_gone(chain, store, tmp_path):
    store.delete_registered_model(chain["model"])
    found = Ancestry(tmp_path).up(chain["predictions"])
    assert [node.uri for node in found.next if node.what == "no longer in the registry"] == [
        f"models:/{chain['model']}/1"
    ]


def test_on_the_command_line(chain, store, monkeypatch, tmp_path):
    monkeypatch.setenv("CLOZE_CACHE", str(tmp_path))
    text = CliRunner().invoke(main, ["lineage", f"models:/{chain['model']}@champion"]).stdout
    assert "comics  /data/COMICS  comics cccccccccccc" in text
    assert f"version 1 of {chain['model']} @champion" in text
    assert "made of it" not in CliRunner().invoke(main, ["lineage", chain["adapter"], "--up"]).stdout
    listed = json.loads(CliRunner().invoke(main, ["lineage", chain["adapter"], "--down", "--format", "json"]).stdout)
    assert list(listed) == ["made of it"]
    for word in ("f" * 32, store.create_run("0").info.run_id, "models:/nobody/1"):
        assert CliRunner().invoke(main, ["lineage", word]).exit_code == 2
