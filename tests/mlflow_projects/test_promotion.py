"""Who becomes champion: real versions in a real registry, judged by policies that let each rule hold or break."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from cloze.tables import read_table
from mlflow_projects.champions import claim_succession, history
from mlflow_projects.program import find_program, run_program
from tests.mlflow_projects.conftest import finetune_again

MODEL = "cloze-pred"


class Ended(NamedTuple):
    """A run of `promote`, with what it said."""

    status: int
    said: str
    run: Any
    rows: list[dict[str, Any]]
    verdicts: dict[str, bool | None]


@pytest.fixture(scope="module")
def second(finetuned, evaluated) -> str:
    """Run that made `cloze-pred/2`, of other first weights."""
    return finetune_again(finetuned, seed=1)


@pytest.fixture
def promote(store, finetuned, second, monkeypatch, tmp_path, capsys) -> Callable[..., Ended]:
    """Start `promote` with a policy that has these rules, on the sequences and labels that version 1 was judged by."""
    for name in ("CLOZE_CACHE", "CLOZE_STATE"):
        monkeypatch.setenv(name, finetuned.environment[name])
    labels = {f"{name}_labels": path for name, path in finetuned.tables.labels.items()}

    def promote(adapter: str, rules: Mapping[str, Any] | None = None, *, resamples: int = 100, **more: str) -> Ended:
        content = {
            "predict": {"sequences": finetuned.tables.sequences},
            "eval": {**labels, "resamples": resamples},
            "rules": rules or {},
        }
        (tmp_path / "policy.yaml").write_text(yaml.safe_dump(content))
        given = {"adapter": adapter, "policy": str(tmp_path / "policy.yaml"), **more}
        status = run_program(find_program("promote"), given)
        captured = capsys.readouterr()
        (run, *_) = store.search_runs(
            [store.get_experiment_by_name("comics-cloze").experiment_id],
            "tags.`cloze.step` = 'promote'",
            order_by=["attributes.start_time DESC"],
        )
        folder = Path(run.info.artifact_uri.removeprefix("file://"))
        table, verdicts = folder / "promotions.parquet", folder / "verdicts.json"
        return Ended(
            status,
            captured.out + captured.err,
            run,
            read_table(table, "promotions").to_pylist() if table.exists() else [],
            {v["rule"]: v["holds"] for v in json.loads(verdicts.read_text())} if verdicts.exists() else {},
        )

    return promote


@pytest.fixture
def champion(store) -> Callable[[], str | None]:
    def champion() -> str | None:
        found = store.get_registered_model(MODEL).aliases.get("champion")
        return None if found is None else str(found)

    return champion


@pytest.fixture
def reigning(store, promote, champion) -> str:
    """Version 1 is champion, by a promotion; version 2 is not."""
    if champion() is not None:
        store.delete_registered_model_alias(MODEL, "champion")
    assert promote(f"models:/{MODEL}/1").status == 0
    return "1"


LIFT = {"lift": {"metric": "rougeL", "above": -1.0}}
BETTER = {"champion": {"metric": "rougeL", "above": 0.9}}
NOT_MUCH_WORSE = {"champion": {"metric": "rougeL", "above": -1.0}}


def test_the_first_that_holds_the_policy_becomes_champion(store, promote, champion):
    if champion() is not None:
        store.delete_registered_model_alias(MODEL, "champion")
    ended = promote(f"models:/{MODEL}/1", LIFT | BETTER | {"contamination": {"books": 0}})
    assert (ended.status, champion()) == (0, "1")
    assert ended.verdicts == {"files": True, "contamination": True, "lift": True, "champion": None}
    assert [(row["decision"], row["champion_before"], row["champion_after"]) for row in ended.rows][-1] == (
        "promoted", None, "1",
    )  # fmt: skip
    assert ended.rows[-1]["policy"].startswith("policy ")
    assert "promoted: models:/cloze-pred/1" in ended.said


def test_what_was_evaluated_before_is_not_evaluated_again(promote, reigning, finetuned, evaluated):
    tags = promote(f"models:/{MODEL}/2", BETTER).run.data.tags
    assert tags[f"cloze.reused.predict-{MODEL}-1"] == f"runs:/{finetuned.predicted}"
    assert tags[f"cloze.reused.eval-{MODEL}-1"] == f"runs:/{evaluated}"


def test_a_refusal_lists_each_rule_and_leaves_the_champion(store, promote, champion, reigning):
    ended = promote(f"models:/{MODEL}/2", {"lift": {"metric": "rougeL", "above": 0.9}} | BETTER)
    assert (ended.status, champion()) == (3, "1")
    assert ended.run.info.status == "FAILED"
    assert ended.verdicts == {"files": True, "champion's files": True, "lift": False, "champion": False}
    (row,) = ended.rows
    assert (row["decision"], row["champion_before"], row["champion_after"]) == ("refused", "1", "1")
    for figure in ("lift: ROUGE-L against pred labels", "champion: ROUGE-L less the champion's", "above +0.9"):
        assert figure in row["reason"]
        assert figure in ended.run.data.tags["cloze.error"]
    assert store.get_registered_model(MODEL).aliases["challenger"] in ("2", 2)


def test_a_better_one_takes_the_place_and_can_be_rolled_back_once(store, promote, champion, reigning):
    assert promote(f"models:/{MODEL}/2", NOT_MUCH_WORSE).status == 0
    assert champion() == "2"
    assert "challenger" not in store.get_registered_model(MODEL).aliases
    ended = promote(f"models:/{MODEL}", rollback="yes")
    assert (ended.status, champion()) == (0, "1")
    assert [(row["decision"], row["champion_before"], row["champion_after"]) for row in ended.rows] == [
        ("rolled back", "2", "1")
    ]


def test_there_must_be_one_to_go_back_to(store, promote, tmp_path, monkeypatch):
    monkeypatch.setattr("mlflow_projects.champions.history", lambda model, cache: [])
    store.set_registered_model_alias(MODEL, "champion", "1")
    ended = promote(f"models:/{MODEL}", rollback="yes")
    assert ended.status == 2
    assert "had no other champion before" in ended.said


def test_only_the_champion_is_rolled_back(promote, reigning):
    ended = promote(f"models:/{MODEL}/2", rollback="yes")
    assert ended.status == 2
    assert "it concerns the champion" in ended.said


def test_the_champion_is_not_promoted_again(promote, champion, reigning):
    ended = promote(f"models:/{MODEL}/1")
    assert (ended.status, ended.rows) == (2, [])
    assert "models:/cloze-pred/1 is the champion already" in ended.said


def test_a_tie_is_refused(store, promote, champion, reigning):
    """The very same files, registered again."""
    first = store.get_model_version(MODEL, "1")
    again = store.create_model_version(MODEL, source=first.source, run_id=first.run_id, tags=first.tags)
    ended = promote(f"models:/{MODEL}/{again.version}", {"champion": {"metric": "rougeL", "above": 0.0}})
    store.delete_model_version(MODEL, again.version)
    assert (ended.status, champion()) == (3, "1")
    assert "+0.0000 [+0.0000, +0.0000]" in ended.rows[0]["reason"]


@contextmanager
def flipped(path: Path) -> Iterator[None]:
    """One byte in the middle of a file is another."""
    sound = path.read_bytes()
    middle = len(sound) // 2
    path.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
    yield
    path.write_bytes(sound)


@pytest.mark.parametrize(("version", "rule"), [("2", "files"), ("1", "champion's files")])
@pytest.mark.parametrize("where", ["registry", "run"])
def test_a_flipped_byte_in_either_adapter_is_refused_before_anything_is_evaluated(
    store, promote, champion, reigning, version, rule, where
):
    found = store.get_model_version(MODEL, version)
    if where == "registry":
        root = store.get_logged_model(found.source.removeprefix("models:/")).artifact_location + "/artifacts"
    else:
        root = store.get_run(found.run_id).info.artifact_uri
    with flipped(Path(root.removeprefix("file://"), "adapter", "adapter_model.safetensors")):
        ended = promote(f"models:/{MODEL}/2", NOT_MUCH_WORSE)
    assert (ended.status, champion()) == (3, "1")
    assert ended.verdicts == {"files": True, "champion's files": True, "champion": None} | {rule: False}
    assert "SHA-256 differs" in ended.rows[0]["reason"]


def test_an_evaluation_that_cannot_be_made_changes_nothing(promote, champion, reigning):
    ended = promote(f"models:/{MODEL}/2", LIFT, resamples=1)
    assert (ended.status, ended.rows, champion()) == (2, [], "1")
    assert ended.run.info.status == "FAILED"
    assert "resamples is 1" in ended.run.data.tags["cloze.error"]


def test_of_two_at_once_the_later_is_refused(store, promote, champion, reigning, finetuned):
    """The other one has the right to decide, and has not moved the alias yet."""
    experiment = store.get_experiment_by_name("comics-cloze").experiment_id
    other = store.create_run(experiment).info.run_id
    past = history(MODEL, Path(finetuned.environment["CLOZE_CACHE"]))
    assert claim_succession(MODEL, past, other) == other
    ended = promote(f"models:/{MODEL}/2", NOT_MUCH_WORSE)
    assert (ended.status, champion()) == (3, "1")
    assert ended.rows[0]["reason"] == f"runs:/{other} decided at the same time; ask again"
    store.set_terminated(other, "KILLED")
    assert promote(f"models:/{MODEL}/2", NOT_MUCH_WORSE).status == 0
    assert champion() == "2"


def test_an_alias_that_was_moved_by_hand_is_recorded(store, promote, champion, reigning):
    store.set_registered_model_alias(MODEL, "champion", "2")
    ended = promote(f"models:/{MODEL}", rollback="yes")
    assert [(row["decision"], row["champion_before"], row["champion_after"]) for row in ended.rows] == [
        ("found", "1", "2"),
        ("rolled back", "2", "1"),
    ]
    assert champion() == "1"


def test_the_history_stands_on_the_model_and_its_versions(store, promote, reigning):
    refused = promote(f"models:/{MODEL}/2", BETTER).run.info.run_id
    page = store.get_registered_model(MODEL).description
    newest = next(line for line in page.splitlines() if line.startswith("| 2"))
    assert f"`{refused[:8]}`" in newest
    assert "| refused&nbsp; | 2&nbsp; | 1&nbsp; |" in newest
    assert f"was refused as champion (runs:/{refused})" in store.get_model_version(MODEL, "2").description
    assert "became champion (runs:/" in store.get_model_version(MODEL, "1").description


@pytest.mark.parametrize("adapter", ["models:/cloze-pred", "cloze-pred/1", "/some/folder", "models:/cloze-pred/99"])
def test_what_names_no_version_is_an_error_that_says_what_to_give(promote, adapter):
    ended = promote(adapter)
    assert ended.status == 2
    assert "models:/" in ended.said
