"""What a run of `finetune` leaves besides its adapter: its loss as a figure, and a version in the registry."""

from typing import TYPE_CHECKING

from mlflow_projects import tracking
from mlflow_projects.model_card import write_card
from mlflow_projects.registry import register_adapter

if TYPE_CHECKING:
    from mlflow_projects.program import Finished

FIGURE = "loss.svg"
_LOSSES = {"train/loss": "training", "val/loss": "validation"}
_RATE = "train/lr"


def show_and_register(finished: "Finished") -> None:
    """Log the figure and register the adapter."""
    from cloze.reporting.curves import draw_training

    tracking.await_queued()  # the last points of the curves may be on their way
    histories = {label: tracking.metric_history(finished.run_id, name) for name, label in _LOSSES.items()}
    losses = {label: curve for label, curve in histories.items() if curve}  # without validation rows, no such curve
    tracking.log_text(draw_training(losses, tracking.metric_history(finished.run_id, _RATE)), FIGURE)
    write_card(register_adapter(finished))
