"""Each fault that the doctor is there for, planted once in an otherwise healthy run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cloze.errors import DataError, SettingsError, UserError
from cloze.model.base import load_chat
from cloze.model.batches import collate
from cloze.model.conversation import Chat
from cloze.model.doctor import examine
from cloze.model.examples import expected_books
from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.memory import Device
from cloze.settings import parse
from cloze.tables import table, write_table
from tests.cloze.model.conftest import LABELS

H200 = Device("NVIDIA H200", 150 * 10**9)


@pytest.fixture
def settings(tiny_settings):
    return replace(tiny_settings, examples=0, batch=2, accumulate=2, dropout=0.0)


@pytest.fixture
def look(settings, tmp_path):
    """Examine the healthy run with some settings or parts changed."""

    def examined(changes=None, **parts):
        return examine(replace(settings, **(changes or {})), tmp_path, **parts).report

    return examined


def faulty(base_folder, change):
    """A chat whose training examples are changed; prompts for prediction stay right."""

    class FaultyChat(Chat):
        def encode(self, sequence, answer=None, blind="none"):
            example = super().encode(sequence, answer, blind)
            return example if answer is None else change(example)

    return FaultyChat(load_chat(str(base_folder)).processor)


def written(name, rows, folder, images=""):
    path = folder / f"{name}.parquet"
    write_table(table(name, rows, str(images)), path)
    return str(path)


def labels_of(rows, state="ok"):
    text = LABELS[0] if state == "ok" else None
    return [{"sequence_id": r["sequence_id"], "paradigm": "pred", "state": state, "text": text} for r in rows]


def only_fault(report, subject):
    assert [fault.subject for fault in report.faults] == [subject]
    with pytest.raises(UserError):
        report.stop_on_faults()
    return report.faults[0].text


def test_a_healthy_run_has_no_fault_and_every_part(look):
    report = look()
    assert report.faults == []
    report.stop_on_faults()
    assert None not in (report.lora, report.tokens, report.masks, report.books, report.data, report.memory)
    assert report.masks.examples == 11
    assert all(text.endswith("<|im_end|>") for text in report.masks.shown.values())
    assert len(report.masks.shown) == 3


def test_tokens_and_their_parts_add_up_under_both_layouts(look, base, tables):
    tokens = look().tokens
    labels = [row["sequence_id"] for row in tables.rows]
    assert labels
    example = base.chat.encode(tables.rows[0], LABELS[1])
    n_pictures = example.ids.count(base.chat.image_id)
    assert (tokens.pictures["multi"].minimum, tokens.pictures["multi"].maximum) == (n_pictures, n_pictures)
    assert tokens.pictures["anyres"].minimum > tokens.pictures["multi"].maximum
    assert tokens.total["multi"].minimum <= len(example.ids) <= tokens.total["multi"].maximum


def test_an_unmasked_prompt_is_a_fault(look, base_folder):
    chat = faulty(base_folder, lambda e: replace(e, supervised=(False, False, True, *e.supervised[3:])))
    text = only_fault(look(chat=chat), "masks")
    assert text.startswith("sequence 1/1_5: token 2 of its prompt carries loss")
    assert "(and 10 more examples)" in text


def test_a_truncated_response_is_a_fault(look, base_folder):
    chat = faulty(base_folder, lambda e: replace(e, ids=e.ids[:-2], supervised=e.supervised[:-2]))
    assert "its answer is cut" in only_fault(look(chat=chat), "masks")


def test_pictures_without_their_tokens_are_a_fault(look, base_folder):
    chat = faulty(base_folder, lambda e: replace(e, pictures=e.pictures[:4]))
    report = look(chat=chat)
    assert {fault.subject for fault in report.faults} == {"masks", "batches"}
    assert "85 picture tokens for 4 pictures, which have 68 features" in report.faults[0].text


def test_a_collator_that_drops_examples_is_a_fault_that_counts(look):
    report = look(collator=lambda examples, pad_id: collate(examples[:1], pad_id))
    text = only_fault(report, "batches")
    assert "dropped from its batch (1 rows of 2 examples)" in text
    assert "of 11 examples an epoch would train 6" in text
    assert (report.batches.configured, report.batches.found) == (4, 2)


def test_a_name_that_matches_no_layer_to_adapt_is_a_fault(look):
    report = look({"targets": "q_proj,fc1"})
    assert "fc1: no layer of the language model has this name" in only_fault(report, "LoRA")
    with pytest.raises(SettingsError):
        report.stop_on_faults()


def test_a_suffix_that_reaches_the_vision_tower_unasked_is_a_fault(look):
    # A name that gets round the pattern which keeps LoRA weights in the language model.
    report = look({"targets": "q_proj)|.*vision_tower.*(k_proj"})
    assert any("also match the vision tower" in fault.text for fault in report.faults)


def test_names_shared_with_the_vision_tower_are_told_though_left_alone(look):
    told = [finding.text for finding in look().findings if finding.subject == "LoRA"]
    assert told == ["q_proj, k_proj, v_proj name layers of the vision tower, too; they are left alone (vision_lora=no)"]


def test_labels_of_the_other_paradigm_are_a_fault(look, tables):
    report = look({"labels": tables.labels["descp"]})
    assert "its label is of paradigm descp, not pred" in only_fault(report, "labels")


def test_groups_in_train_and_in_test_are_a_fault_though_books_differ(look, tables, tmp_path):
    rows = [row | {"group": 1 if row["book"] == 6 else row["group"]} for row in tables.rows]
    report = look({"sequences": written("sequences", rows, tmp_path, tables.pictures)})
    assert "1 groups lie in train and in val or test (1)" in only_fault(report, "splits")
    assert (report.data.shared_groups, report.data.shared_books) == ([1], [])


def test_missing_labels_are_told_by_state(look, tables, tmp_path):
    train = [row for row in tables.rows if row["split"] == "train"]
    labels = labels_of(train[:8]) + labels_of(train[8:10], "missing") + labels_of(train[10:11], "blocked")
    report = look({"labels": written("labels", labels, tmp_path)})
    assert report.data.label_states == {"ok": 8, "missing": 2, "blocked": 1, "no row": 1}
    warnings = [finding.text for finding in report.findings if finding.severity == "warning"]
    assert warnings == ["4 of 12 train sequences have no label: 1 blocked, 2 missing, 1 no row"]


def test_no_label_at_all_is_a_fault(look, tables, tmp_path):
    report = look({"labels": written("labels", labels_of(tables.rows, "missing"), tmp_path)})
    assert "no train sequence with a label" in only_fault(report, "data")


def test_labels_of_the_first_book_only_are_a_fault(look, tables, tmp_path):
    labels = labels_of([row for row in tables.rows if row["book"] == 1])
    report = look({"labels": written("labels", labels, tmp_path)})
    assert "its 4 labelled examples come from 1 of 3 books" in only_fault(report, "books")


def test_a_draw_covers_the_books_that_the_first_examples_would_not(look):
    books = look({"examples": 4}).books
    assert (books.in_train, books.of_the_first) == (3, 2)
    assert books.covered == 3


def test_the_expected_number_of_books_is_that_of_drawing_without_replacement(tables):
    train = [row for row in tables.rows if row["split"] == "train"]
    assert expected_books(train, 0) == 0
    assert expected_books(train, 1) == pytest.approx(1)
    assert expected_books(train, 2) == pytest.approx(1 + 8 / 11)
    assert expected_books(train, 9) == 3


def test_a_panel_without_picture_is_a_fault(look, tables, tmp_path):
    rows = [dict(row) for row in tables.rows]
    rows[0]["context"] = [{**rows[0]["context"][0], "image": None}, *rows[0]["context"][1:]]
    report = look({"sequences": written("sequences", rows, tmp_path, tables.pictures)})
    assert "sequence 1/1_5: panel 1/1_0 has no picture" in only_fault(report, "examples")


def test_a_picture_that_is_gone_is_a_fault(look, tables, tmp_path):
    report = look({"sequences": written("sequences", tables.rows, tmp_path, tmp_path)})
    assert "no such picture" in only_fault(report, "pictures")


def test_batches_that_processes_cannot_share_are_a_fault(look):
    assert "accumulate is 2; it must be a multiple of the 3 processes" in only_fault(look(processes=3), "batches")


def test_steps_and_what_the_last_one_sees(look):
    batches = look({"epochs": 2.0}).batches
    assert (batches.configured, batches.found, batches.steps_per_epoch, batches.steps, batches.last) == (4, 4, 3, 6, 3)


def test_a_step_that_does_not_fit_stops_a_run_and_warns_a_person(look):
    tiny = Device("a watch", 1000)
    assert look(device=tiny).memory.checkpointing
    assert look(device=tiny).faults == []
    assert "a step takes" in only_fault(look(device=tiny, is_run=True), "memory")


@pytest.mark.parametrize("preset", ["original", "ours"])
def test_the_large_base_is_examined_without_its_files_or_data(preset, tmp_path):
    report = examine(parse(FinetuneSettings, {"preset": preset}), tmp_path, device=H200).report
    vision = 2_875_392 if preset == "original" else 0
    assert report.faults == []
    assert report.base.parameters.total == 8_029_890_080
    assert report.lora.trainable.total == 40_370_176 + vision
    assert (report.tokens.pictures["multi"].median, report.tokens.total["multi"].median) == (3650, 4170)
    assert report.batches.steps == 625
    assert report.memory.checkpointing == (preset == "original")
    unchecked = [finding.subject for finding in report.findings if "not " in finding.text]
    assert {"tokens", "data"} <= set(unchecked)


def test_the_report_is_the_same_as_text_and_as_json(look):
    report = look()
    parts = json.loads(report.as_json())
    assert parts["lora"]["trainable"]["language"] == report.lora.trainable.language
    text = report.as_text()
    for heading in ("base ", "LoRA weights", "tokens of", "masks", "batches", "books", "labels", "memory", "findings"):
        assert f"\n{heading}" in f"\n{text}"
    assert text.endswith("no fault found\n")


def test_data_that_is_no_table_is_a_fault_not_a_crash(look, tmp_path):
    (tmp_path / "sequences.parquet").write_text("words")
    report = look({"sequences": str(tmp_path / "sequences.parquet")})
    assert "not a Parquet file" in only_fault(report, "data")
    with pytest.raises(DataError):
        report.stop_on_faults()


def test_nothing_is_written(look, tmp_path):
    look()
    assert list(Path(tmp_path).iterdir()) == []
