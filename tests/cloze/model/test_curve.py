import pytest

from cloze.model.curve import Curve
from cloze.model.loop import Step


def run(n_steps: int, losses: list[float], state=None, done: int = 0):
    """A curve after some steps, and what was logged of them."""
    logged: list[tuple[int, dict[str, float]]] = []
    curve = Curve(n_steps, lambda metrics, step: logged.append((step, dict(metrics))), state)
    for number, loss in enumerate(losses, start=done + 1):
        curve.add(Step(number, n_steps, loss, 1e-3, 0.5, 100, 0.1, 0.02))
    return curve, logged


def test_a_long_run_is_logged_in_a_hundred_points_of_mean_losses_and_its_last_step():
    _, logged = run(1001, [float(number) for number in range(1001)])
    assert [step for step, _ in logged] == [*range(11, 1002, 11)]
    assert logged[0][1]["train/loss"] == pytest.approx(5.0)  # 0 to 10
    assert run(205, [0.0] * 205)[1][-1][0] == 205


def test_the_final_loss_is_the_mean_of_the_last_tenth():
    assert run(40, [9.0] * 36 + [1.0, 2.0, 3.0, 4.0])[0].final_loss == 2.5
    assert run(3, [9.0, 9.0, 1.0])[0].final_loss == 1.0


def test_validation_is_due_five_times_and_at_the_end():
    curve, _ = run(12, [])
    assert [step for step in range(1, 13) if curve.is_validated(step)] == [3, 6, 9, 12]
    assert curve.validation_loss is None
    curve.add_validation(3, 0.7)
    curve.add_validation(6, 0.6)
    assert curve.validation_loss == 0.6


def test_a_curve_that_is_taken_up_again_logs_what_was_before_and_goes_on_as_if_never_put_away():
    losses = [1.0 / (number + 1) for number in range(400)]
    whole, logged = run(400, losses)
    first, before = run(400, losses[:150])
    second, after = run(400, losses[150:], first.state, done=150)
    assert after[: len(before)] == before
    assert [(step, values["train/loss"]) for step, values in after] == [(s, v["train/loss"]) for s, v in logged]
    assert second.final_loss == whole.final_loss
