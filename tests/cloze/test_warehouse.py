"""Questions in SQL have the answers that are worked out by hand, nothing can be written, and no run hides another."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloze.errors import SettingsError
from cloze.tables import SCHEMAS, table, write_table
from cloze.warehouse import SQL, QueryError, RunRecord, Warehouse, find_query, open_warehouse, queries

BOOKS = {"1/1_0": 1, "1/2_0": 1, "2/1_0": 2, "2/3_1": 2}
SCORES = {"zero-shot": [0.2, 0.4, 0.6, 0.8], "fine-tuned": [0.1, 0.5, 0.9, 0.9]}
FLOORS = {"foreign": 0.25, "panel5": 0.3, "labels": 0.95}
IDS = {name: f"{number:032x}" for number, name in enumerate(["sequences", "pred", "descp", "finetune", "promote"])}
EVAL = {"zero-shot": "e0" * 16, "fine-tuned": "e1" * 16}
PREDICT = {"zero-shot": "a0" * 16, "fine-tuned": "a1" * 16}
DAY = datetime(2026, 1, 1, tzinfo=UTC)
PANEL = {"panel_id": "", "image": None, "text": "HELP!"}


def record(run_id: str, step: str, folder: Path, tables: Mapping[str, list[dict[str, Any]]], **more: Any) -> RunRecord:
    """A finished run with tables on the disk."""
    here = {}
    for name, rows in tables.items():
        here[name] = folder / run_id / f"{name}.parquet"
        here[name].parent.mkdir(exist_ok=True)
        write_table(table(name, rows), here[name])
    words = {"run_id": run_id, "run_name": step, "step": step, "status": "FINISHED", "experiment": "e"}
    return RunRecord(words | more.pop("words", {}), DAY, DAY.replace(second=30), tables=here, **more)


def evaluated(condition: str, scores: list[float], folder: Path) -> list[RunRecord]:
    words = {"condition": condition, "paradigm": "pred"}
    predicted = [{"sequence_id": key, "prediction": f"{condition} of {key}", "finish_reason": "stop"} for key in BOOKS]
    own = {"reference": "pred", "metric": "rougeL"}
    facts = {"reference": "facts", "metric": "recall_picture"}
    rows: list[dict[str, Any]] = [
        {"sequence_id": key, **own, "score": score} for key, score in zip(BOOKS, scores, strict=True)
    ]
    floors = [
        {"sequence_id": key, **own, "floor": name, "score": score} for key in BOOKS for name, score in FLOORS.items()
    ]
    known: list[dict[str, Any]] = [
        {"sequence_id": "1/1_0", **facts, "score": 0.5},
        {"sequence_id": "1/2_0", **facts, "score": None},
    ]
    below = [{"sequence_id": "1/1_0", **facts, "floor": "panel5", "score": 0.75}]
    params = {
        "cfg.predictions": f"runs:/{PREDICT[condition]}/predictions.parquet",
        "cfg.sequences": f"runs:/{IDS['sequences']}/sequences.parquet",
        "cfg.pred_labels": f"runs:/{IDS['pred']}/labels.parquet",
        "cfg.descp_labels": f"runs:/{IDS['descp']}/labels.parquet",
        "cfg.split": "test",
    }
    metrics = {"ci_low/pred/rougeL": 0.4, "ci_high/pred/rougeL": 0.7, "ci_low/lift/pred/rougeL": 0.05}
    return [
        record(
            PREDICT[condition], "predict", folder, {"predictions": predicted}, words=words, params={"cfg.blind": "none"}
        ),
        record(
            EVAL[condition],
            "eval",
            folder,
            {"scores": [*rows, *known], "floors": [*floors, *below]},
            words=words,
            params=params,
            metrics=metrics,
        ),
    ]


def labelled(paradigm: str, folder: Path) -> RunRecord:
    rows = [
        {
            "sequence_id": key,
            "paradigm": paradigm,
            "state": "blocked" if key == "1/2_0" else "ok",
            "text": None if key == "1/2_0" else f"{paradigm} of {key}",
            "labeller": "gemini",
            "model": "flash",
            "input_tokens": 1000,
            "output_tokens": 100,
            "cost_usd": 0.01,
        }
        for key in BOOKS
    ]
    return record(IDS[paradigm], "label", folder, {"labels": rows}, words={"paradigm": paradigm})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    """A study small enough to be worked out by hand."""
    folder = tmp_path_factory.mktemp("runs")
    sequences = [
        {
            "sequence_id": key,
            "book": book,
            "story": 1,
            "group": book,
            "split": "test",
            "context": [PANEL] * 5,
            "target": PANEL,
        }
        for key, book in BOOKS.items()
    ]
    figures = {"examples": 640.0, "tokens": 200_000.0, "supervised_tokens": 20_000.0, "masking_ratio": 0.9}
    decisions = [
        {
            "model": "cloze-pred",
            "decision": decision,
            "version": version,
            "champion_before": before,
            "champion_after": after,
            "policy": "default",
            "reason": "why",
            "decided_at": DAY.replace(day=day),
        }
        for day, decision, version, before, after in [
            (1, "promoted", "1", None, "1"),
            (2, "refused", "2", "1", "1"),
            (3, "promoted", "3", "1", "3"),
            (4, "found", "", "3", None),
            (5, "promoted", "4", None, "4"),
        ]
    ]
    return [
        record(IDS["sequences"], "sequences", folder, {"sequences": sequences}),
        labelled("pred", folder),
        labelled("descp", folder),
        record(IDS["finetune"], "finetune", folder, {}, words={"paradigm": "pred"}, metrics=figures),
        record(IDS["promote"], "promote", folder, {"promotions": decisions}),
        *(run for condition, scores in SCORES.items() for run in evaluated(condition, scores, folder)),
    ]


@pytest.fixture(scope="module")
def warehouse(runs, tmp_path_factory) -> Iterator[Warehouse]:
    with open_warehouse(runs, tmp_path_factory.mktemp("spill")) as opened:
        yield opened


def ask(warehouse: Warehouse, name: str, **given: str) -> list[dict[str, Any]]:
    query = find_query(name)
    rows: list[dict[str, Any]] = warehouse.ask(query.sql, query.bind(given)).to_pylist()
    return rows


def columns(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(round(v, 9) if isinstance(v, float) else v for v in (row[name] for name in names)) for row in rows]


def test_two_by_two_shows_no_score_without_its_floor(warehouse):
    rows = ask(warehouse, "two_by_two")
    assert columns(rows, "condition", "n", "score", "floor", "floor_name", "lift") == [
        ("zero-shot", 4, 0.5, 0.3, "panel5", 0.2),
        ("fine-tuned", 4, 0.6, 0.3, "panel5", 0.3),
    ]
    assert columns(rows, "low", "high", "lift_low", "lift_high") == [(0.4, 0.7, 0.05, None)] * 2


def test_relative_gain_is_what_fine_tuning_adds(warehouse):
    rows = ask(warehouse, "relative_gain")
    assert columns(rows, "paradigm", "zero_shot", "fine_tuned", "gain", "gain_percent") == [
        ("pred", 0.5, 0.6, 0.1, 20.0)
    ]


def test_paired_difference_has_its_standard_error_by_book(warehouse):
    # Differences -.1 .1 | .3 .1 deviate by -.2 | .2 from 2 x .1: sqrt(2/1 x (.04 + .04)) / 4.
    rows = ask(warehouse, "paired_difference")
    assert columns(rows, "difference", "standard_error", "n_sequences", "n_books", "n_better", "n_worse") == [
        (0.1, 0.1, 4, 2, 3, 1)
    ]


def test_worst_regressions_show_both_texts_and_the_label(warehouse):
    (row,) = ask(warehouse, "worst_regressions")
    assert (row["sequence_id"], round(row["difference"], 9)) == ("1/1_0", -0.1)
    assert row["zero_shot_text"] == "zero-shot of 1/1_0"
    assert row["fine_tuned_text"] == "fine-tuned of 1/1_0"
    assert row["label"] == "pred of 1/1_0"


def test_best_and_worst_are_of_the_newest_fine_tuned_run_unless_one_is_named(warehouse):
    rows = ask(warehouse, "best_and_worst", limit="1")
    assert columns(rows, "kind", "sequence_id", "score") == [("best", "2/1_0", 0.9), ("worst", "1/1_0", 0.1)]
    rows = ask(warehouse, "best_and_worst", limit="1", run=EVAL["zero-shot"])
    assert columns(rows, "sequence_id", "prediction") == [
        ("2/3_1", "zero-shot of 2/3_1"),
        ("1/1_0", "zero-shot of 1/1_0"),
    ]


def test_by_book(warehouse):
    rows = ask(warehouse, "by_book")
    assert columns(rows, "condition", "book", "n", "score") == [
        ("zero-shot", 2, 2, 0.7),
        ("zero-shot", 1, 2, 0.3),
        ("fine-tuned", 2, 2, 0.9),
        ("fine-tuned", 1, 2, 0.3),
    ]


def test_by_story_position(warehouse):
    rows = ask(warehouse, "by_story_position")
    assert columns(rows, "condition", "third", "n", "score") == [
        ("zero-shot", "2 middle", 2, 0.4),
        ("zero-shot", "3 end", 2, 0.6),
        ("fine-tuned", "2 middle", 2, 0.5),
        ("fine-tuned", "3 end", 2, 0.7),
    ]


def test_fact_recall_counts_what_is_known_only(warehouse):
    rows = ask(warehouse, "fact_recall")
    assert columns(rows, "seen_in", "n", "recall", "floor", "lift") == [("picture only", 1, 0.5, 0.75, -0.25)] * 2


def test_label_states(warehouse):
    rows = ask(warehouse, "label_states")
    assert columns(rows, "paradigm", "state", "n", "percent") == [
        ("pred", "ok", 3, 75.0),
        ("pred", "blocked", 1, 25.0),
        ("descp", "ok", 3, 75.0),
        ("descp", "blocked", 1, 25.0),
    ]


def test_cost(warehouse):
    rows = ask(warehouse, "cost")
    assert (
        columns(rows, "n", "input_tokens", "output_tokens", "cost_usd", "usd_per_1000")
        == [(4, 4000, 400, 0.04, 10.0)] * 2
    )


def test_masking(warehouse):
    rows = ask(warehouse, "masking")
    assert columns(rows, "examples", "tokens", "supervised_tokens", "masking_ratio") == [(640, 200_000, 20_000, 0.9)]


def test_disagreement_puts_the_widest_spread_first(warehouse):
    rows = ask(warehouse, "disagreement", reference="pred")
    assert columns(rows, "sequence_id", "spread", "best_cell", "worst_text")[0] == (
        "2/1_0",
        0.3,
        "fine-tuned pred",
        "zero-shot of 2/1_0",
    )
    assert len(rows) == 4


def test_champion_history_has_a_row_for_each_spell(warehouse):
    rows = ask(warehouse, "champion_history")
    assert [(row["version"], row["since"].day, row["until"] and row["until"].day) for row in rows] == [
        ("4", 5, None),
        ("3", 3, 4),
        ("1", 1, 3),
    ]


def test_every_query_is_tested_here():
    here = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in queries() if f'"{name}"' not in here] == []


def test_every_file_says_what_a_row_is_and_every_mart_is_a_view(warehouse):
    files = sorted(SQL.glob("*/*.sql"))
    assert all(path.read_text(encoding="utf-8").startswith("-- One row is ") for path in files)
    views = {path.stem for path in files if path.parent.name != "queries"}
    assert set(warehouse.views()) == views >= {"runs", "params", "metrics", *SCHEMAS}


@pytest.mark.parametrize("name", sorted(queries()))
def test_without_runs_every_question_has_an_empty_answer(name, tmp_path):
    with open_warehouse([], tmp_path) as empty:
        assert ask(empty, name) == []


@settings(max_examples=20)  # each opens a warehouse
@given(st.lists(st.tuples(st.integers(1, 3), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_paired_differences_are_those_of_numpy(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("property")
    keys = [f"{book}/1_{number}" for number, (book, _, _) in enumerate(rows)]
    made = [
        {
            "sequence_id": key,
            "book": row[0],
            "story": 1,
            "group": row[0],
            "split": "test",
            "context": [],
            "target": PANEL,
        }
        for key, row in zip(keys, rows, strict=True)
    ]
    params = {"cfg.sequences": f"runs:/{IDS['sequences']}/sequences.parquet", "cfg.split": "test"}
    records = [record(IDS["sequences"], "sequences", folder, {"sequences": made})]
    for place, condition in ((1, "zero-shot"), (2, "fine-tuned")):
        scores = [
            {"sequence_id": key, "reference": "pred", "metric": "rougeL", "score": row[place]}
            for key, row in zip(keys, rows, strict=True)
        ]
        words = {"condition": condition, "paradigm": "pred"}
        records.append(record(EVAL[condition], "eval", folder, {"scores": scores}, words=words, params=params))
    with open_warehouse(records, folder) as opened:
        (row,) = ask(opened, "paired_difference")
    books, before, after = (np.array(column) for column in zip(*rows, strict=True))
    difference = after - before
    assert row["difference"] == pytest.approx(difference.mean(), abs=1e-12)
    sums = np.array([(difference - difference.mean())[books == book].sum() for book in np.unique(books)])
    if len(sums) == 1:
        assert row["standard_error"] is None
    else:
        expected = np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(rows)
        assert row["standard_error"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to '{file}'",
        "create table t as select 1",
        "create view v as select 1",
        "insert into raw.tags values ('a', 'b', 'c')",
        "delete from raw.tags",
        "drop view runs",
        "attach '{file}'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "pragma database_list",
        "export database '{file}'",
        "select 1; select 2",
        "",
    ],
)
def test_what_would_write_is_refused(warehouse, tmp_path, sql):
    with pytest.raises(QueryError):
        warehouse.ask(sql.format(file=tmp_path / "file"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sql",
    [
        "with x as (copy (select 1) to '{file}' (use_tmp_file false)) select 1",
        "select (with x as (copy (select 1) to '{file}' (use_tmp_file false)) select 1)",
        "explain analyze copy (select 1) to '{file}' (use_tmp_file false)",
        "from query('with x as (copy (select 1) to ''{file}'' (use_tmp_file false)) select 1')",
        "with x as (delete from raw.tags returning *) from x",
        "from main.json_execute_serialized_sql('{{}}')",
    ],
)
def test_nothing_that_writes_hides_in_what_reads(runs, warehouse, sql):
    """DuckDB calls these SELECT or EXPLAIN, and it may write to the files that it may read."""
    file = next(run.tables["predictions"] for run in runs if "predictions" in run.tables)
    before = file.read_bytes()
    with pytest.raises(QueryError, match="only statements that read are"):
        warehouse.ask(sql.format(file=file))
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from glob('/*')",
        "select * from read_parquet('{file}')",
        "select * from read_csv('http://127.0.0.1:1/x.csv')",
    ],
)
def test_no_other_file_is_read(warehouse, tmp_path, sql):
    file = tmp_path / "other.parquet"
    write_table(table("facts", []), file)
    with pytest.raises(QueryError, match=r"disabled|Permission|not exist|allowed|extension|No function"):
        warehouse.ask(sql.format(file=file))


@settings(max_examples=40)
@given(st.text(max_size=40))
def test_values_are_bound_never_pasted(warehouse, value):
    assert ask(warehouse, "two_by_two", metric=value) == []
    if "\0" not in value and max(value, default="") < "\ud800":
        (row,) = warehouse.ask("select $v::varchar as v", {"v": f"x{value}"}).to_pylist()
        assert row["v"] == f"x{value}"


@pytest.mark.parametrize("damage", ["missing", "cut", "column", "kind"])
def test_a_table_that_cannot_be_read_is_named_and_hides_no_other(runs, tmp_path, caplog, damage):
    bad = tmp_path / "scores.parquet"
    if damage == "cut":
        whole = next(run for run in runs if run.run_id == EVAL["zero-shot"]).tables["scores"].read_bytes()
        bad.write_bytes(whole[: len(whole) // 2])
    elif damage == "column":
        write_table(table("scores", []).drop_columns(["score"]), bad)
    elif damage == "kind":
        write_table(table("facts", []).append_column("score", [[]]), bad)
    changed = [
        replace(run, tables={**run.tables, "scores": bad}) if run.run_id == EVAL["zero-shot"] else run for run in runs
    ]
    with open_warehouse(changed, tmp_path) as opened:
        assert columns(ask(opened, "two_by_two"), "condition", "score") == [("fine-tuned", 0.6)]
    assert EVAL["zero-shot"] in caplog.text
    assert str(bad) in caplog.text


def test_unknown_names_are_told_with_near_ones(warehouse):
    with pytest.raises(SettingsError, match=r"two_by_too.*two_by_two"):
        find_query("two_by_too")
    with pytest.raises(SettingsError, match=r"metrc.*one of metric, reference, blind for two_by_two"):
        find_query("two_by_two").bind({"metrc": "bleu"})
    with pytest.raises(QueryError, match=r"\$x has no value: give it with -p x=VALUE"):
        warehouse.ask("select $x")
    with pytest.raises(QueryError, match=r"no parameter \$y"):
        warehouse.ask("select 1", {"y": "1"})
    with pytest.raises(QueryError, match="predictionz"):
        warehouse.ask("select * from predictionz")


def test_similarities_of_drawn_panels_have_a_row_each_with_the_floor_that_they_are_of(tmp_path):
    metrics = [{"metric": "palette", "score": 0.75}, {"metric": "floor/panel5/palette", "score": 0.5}]
    row = {"sequence_id": "1/1_0", "image": "panels/1/1_0.png", "prompt": "a man", "seed": 1, "metrics": metrics}
    run = record("ab" * 16, "render", tmp_path, {"renders": [row, row | {"sequence_id": "1/2_0", "metrics": None}]})
    with open_warehouse([run], tmp_path / "spill") as warehouse:
        rows = warehouse.ask("select sequence_id, floor, metric, score from render_scores order by floor").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("1/1_0", "", "palette", 0.75),
        ("1/1_0", "panel5", "palette", 0.5),
    ]
