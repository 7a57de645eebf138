"""The LoRA of a finished `finetune_sd` in the model registry, with a card that says how it was made."""

import json
from typing import TYPE_CHECKING

from mlflow_projects import tracking
from mlflow_projects.registry import made_model

if TYPE_CHECKING:
    from mlflow_projects.program import Finished

NAME = "cloze-render"
_ABOUT = "LoRAs of Stable Diffusion's U-Net, in diffusers' format; `render` draws with them."
_CARD = """\
LoRA of rank {rank} for `{base}`, trained in {steps:.0f} steps on {examples:.0f} panels with descriptions of them.

Validation loss {after} with it and {before} without, at the same noise. Made by run `{run_id}`.

Draw with it: `mlflow run . -e render -P lora={uri}`

A base's licence holds for its LoRA, too; Stable Diffusion 1.5's (CreativeML OpenRAIL-M) limits what may be drawn."""


def register_lora(finished: "Finished") -> None:
    """Make a version of `cloze-render` of what a step has left in `lora/`."""
    from cloze.rendering.lora import ORIGIN
    from cloze.rendering.training import LORA

    store, run = made_model(NAME, _ABOUT), tracking.get_run(finished.run_id)
    origin = json.loads((finished.out / LORA / ORIGIN).read_text(encoding="utf-8"))
    tags = {
        "cloze.step_key": run.data.tags["cloze.step_key"],
        "cloze.digest": run.data.tags[f"cloze.digest.{LORA}"],
        "cloze.base": origin["base"],
        "cloze.base_digest": origin["digest"],
        **{f"cloze.{name}_digest": given.digest for name, given in finished.resolved.inputs.items()},
    }
    version = store.create_model_version(NAME, f"runs:/{finished.run_id}/{LORA}", finished.run_id, tags)
    uri = f"models:/{NAME}/{version.version}"
    figures = finished.metrics
    before, after = (f"{figures[n]:.3f}" if n in figures else "unknown" for n in ("val/loss_base", "val/loss_final"))
    card = _CARD.format(
        rank=run.data.params["cfg.rank"],
        base=origin["base"],
        steps=figures["steps"],
        examples=figures["examples"],
        before=before,
        after=after,
        run_id=finished.run_id,
        uri=uri,
    )
    store.update_model_version(NAME, version.version, card)
    tracking.set_tags({"cloze.model_version": uri})
