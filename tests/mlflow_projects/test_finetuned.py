"""What a finished fine-tuning run shows."""

from pathlib import Path


def test_the_loss_is_shown_as_a_figure_with_all_its_points(store, finetuned):
    run = store.get_run(finetuned.run_id)
    figure = Path(run.info.artifact_uri.removeprefix("file://"), "loss.svg").read_text(encoding="utf-8")
    for words in (">training<", ">validation<", ">learning rate<", ">loss (nats per answer token)<"):
        assert words in figure
    n_steps = int(run.data.metrics["steps"])
    assert store.get_metric_history(finetuned.run_id, "train/lr")[-1].step == n_steps
    assert f">{n_steps // 5 * 5}<" in figure or f">{n_steps}<" in figure
