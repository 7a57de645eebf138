import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor
from transformers.models.qwen2.modeling_qwen2 import Qwen2MLP

from cloze.digests import file_digest
from cloze.errors import DataError, SettingsError
from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.training import finetune
from cloze.tables import table, write_table
from tests.cloze.model.conftest import make_workspace


@pytest.fixture
def settings(tiny_settings):
    return replace(tiny_settings, epochs=4)


def test_fine_tuning_leaves_adapter_prompt_examples_and_curves(settings, tmp_path):
    curve: dict[int, dict[str, float]] = {}
    workspace = make_workspace(tmp_path / "out", curve)
    metrics = finetune(settings, workspace)
    left = sorted(path.name for path in workspace.out.iterdir())
    assert left == ["adapter", "doctor.json", "doctor.txt", "examples.parquet", "prompt.txt"]
    assert (metrics["examples"], metrics["dropped_without_label"], metrics["books"]) == (11, 1, 3)
    assert 0.9 < metrics["masking_ratio"] < 1
    assert metrics["trainable_parameters_vision"] == 0
    assert sorted(curve) == list(range(1, 13))
    assert set(curve[12]) == {
        "train/loss",
        "train/lr",
        "train/grad_norm",
        "train/tokens_per_second",
        "train/data_wait",
        "train/memory_gb",
        "val/loss",
    }
    assert curve[12]["train/loss"] < curve[1]["train/loss"]
    assert metrics["val/loss_final"] == curve[12]["val/loss"]


def test_the_supervised_tokens_are_counted_over_the_examples_used(settings, workspace):
    metrics = finetune(replace(settings, examples=5), workspace)
    used = pq.read_table(workspace.out / "examples.parquet")
    assert used.num_rows == metrics["examples"] == 5
    assert sum(used["supervised_tokens"].to_pylist()) == metrics["supervised_tokens"]
    assert len(set(used["book"].to_pylist())) > 1


def test_the_prompt_is_shown_with_what_carries_loss(settings, workspace):
    finetune(replace(settings, epochs=0.1), workspace)
    shown = (workspace.out / "prompt.txt").read_text()
    assert shown.startswith("sequence 1/1_5; what carries loss stands in ⟦ ⟧")
    assert shown.count("⟦") == 2
    assert "<|im_start|>assistant\n⟦" in shown


def test_the_same_seed_gives_the_same_curve_and_weights_bit_for_bit(settings, tmp_path):
    curves, digests = [], []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        curve: dict[int, dict[str, float]] = {}
        workspace = make_workspace(tmp_path / name / "out", curve)
        finetune(replace(settings, seed=seed), workspace)
        curves.append([(step, values["train/loss"], values["train/grad_norm"]) for step, values in curve.items()])
        digests.append(file_digest(workspace.out / "adapter" / "adapter_model.safetensors"))
    assert curves[0] == curves[1]
    assert digests[0] == digests[1]
    assert curves[0] != curves[2]


def test_no_file_names_a_place_on_this_machine_but_the_base_asked_for(settings, workspace):
    finetune(replace(settings, epochs=0.1), workspace)
    config = json.loads((workspace.out / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == settings.base


def test_the_vision_tower_can_be_trained_too(settings, workspace):
    metrics = finetune(replace(settings, vision_lora=True, epochs=0.1), workspace)
    assert metrics["trainable_parameters_vision"] > 0


def test_activations_that_are_computed_again_change_no_loss(settings, tmp_path, monkeypatch):
    forward = Qwen2MLP.forward
    calls: Counter[str] = Counter()

    def counted(self, *arguments, **keywords):
        in_doctor = isinstance(arguments[0], FakeTensor)
        calls[checkpointing] += torch.is_grad_enabled() and not in_doctor
        return forward(self, *arguments, **keywords)

    monkeypatch.setattr(Qwen2MLP, "forward", counted)
    curves: dict[str, dict[int, dict[str, float]]] = {"no": {}, "yes": {}}
    for checkpointing, curve in curves.items():
        workspace = make_workspace(tmp_path / checkpointing / "out", curve)
        finetune(replace(settings, epochs=1, checkpointing=checkpointing), workspace)
    assert calls["yes"] == calls["no"] + 2 * 3  # once more in each of two layers in each of three steps
    assert [v["train/loss"] for v in curves["yes"].values()] == [v["train/loss"] for v in curves["no"].values()]


def test_16_bits_train_too(settings, tmp_path):
    curve: dict[int, dict[str, float]] = {}
    finetune(replace(settings, precision="bf16"), make_workspace(tmp_path / "out", curve))
    assert curve[12]["train/loss"] < curve[1]["train/loss"]


def test_weights_that_act_on_answers_learn_and_kept_prompts_change_no_bit(settings, tmp_path):
    settings = replace(settings, adapted="answer")
    curves: list[dict[int, dict[str, float]]] = [{}, {}]
    digests = []
    for name, curve in zip(("first", "again"), curves, strict=True):
        workspace = make_workspace(tmp_path / name, curve)  # they share a cache, and with it the prompts
        finetune(settings, workspace)
        digests.append(file_digest(workspace.out / "adapter" / "adapter_model.safetensors"))
        shutil.rmtree(workspace.state)
    assert curves[0][12]["train/loss"] < curves[0][1]["train/loss"]
    assert [values["train/loss"] for values in curves[0].values()] == [v["train/loss"] for v in curves[1].values()]
    assert digests[0] == digests[1]
    kept = [json.loads(path.read_text())["of"] for path in (tmp_path / "cache" / "features").glob("*/what.json")]
    assert sorted(kept) == ["pictures", "prompts"]


def test_labels_of_the_other_paradigm_stop_the_run_before_anything_is_written(settings, workspace, tables):
    with pytest.raises(DataError, match="its label is of paradigm descp, not pred"):
        finetune(replace(settings, labels=tables.labels["descp"]), workspace)
    assert not list(workspace.out.iterdir())


def test_the_run_keeps_what_the_doctor_said_of_it(settings, workspace):
    metrics = finetune(replace(settings, epochs=0.1), workspace)
    report = json.loads((workspace.out / "doctor.json").read_text())
    assert report["masks"]["examples"] == metrics["examples"] == 11
    assert report["lora"]["trainable"]["language"] == metrics["trainable_parameters"]
    assert (workspace.out / "doctor.txt").read_text().endswith("no fault found\n")


def test_a_run_with_several_faults_names_the_first_and_counts_the_rest(settings, workspace, tables):
    faulty = replace(settings, labels=tables.labels["descp"], targets="q_proj,fc1")
    with pytest.raises(SettingsError, match=r"fc1: no layer of the language model .* \(and 1 more; `cloze doctor`"):
        finetune(faulty, workspace)


def test_nothing_to_train_on_is_an_error_that_counts(settings, workspace, tables, tmp_path):
    test_rows = [row for row in tables.rows if row["split"] == "test"]
    only_test = tmp_path / "sequences.parquet"
    write_table(table("sequences", test_rows, str(tables.pictures)), only_test)
    with pytest.raises(DataError, match=r"no train sequence with a label \(8 sequences, 0 of them in train"):
        finetune(replace(settings, sequences=str(only_test)), workspace)


def test_where_there_are_fewer_examples_than_asked_for_all_are_used_and_counted(settings, workspace):
    assert finetune(replace(settings, examples=99, epochs=0.1), workspace)["examples"] == 11


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("paradigm", "guess", "one of pred, descp"),
        ("precision", "fp8", "one of fp32, bf16"),
        ("rank", 0, "1 or more"),
        ("lr", 0.0, "more than 0"),
        ("lr", float("nan"), "more than 0"),
        ("warmup", 1.0, "0 or more and less than 1"),
        ("examples", -1, "0 or more"),
        ("targets", "q_proj,,v_proj", "names separated by commas"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, value, expected):
    with pytest.raises(SettingsError, match=f"{name} is .*; it must be {expected}"):
        FinetuneSettings(**{name: value})


def test_importing_settings_loads_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, cloze.model.training, cloze.model.decoding, cloze.model.pretraining;"
        "sys.exit(bool({'torch', 'transformers', 'peft', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0


@pytest.mark.parametrize(("name", "value"), [("vision_lora", True), ("checkpointing", "yes")])
def test_what_cannot_go_with_weights_that_act_on_answers_is_refused(settings, name, value):
    with pytest.raises(SettingsError, match=f"{name} is 'yes'; it must be .* with adapted=answer"):
        replace(settings, adapted="answer", **{name: value})
