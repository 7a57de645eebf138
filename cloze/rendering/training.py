"""The `finetune_sd` step: a LoRA of Stable Diffusion, by which the comics' own look comes into what is drawn."""

from cloze.rendering.sd_settings import FinetuneSdSettings
from cloze.stage import Workspace

LORA = "lora"


def finetune_sd(settings: FinetuneSdSettings, workspace: Workspace) -> dict[str, float]:
    """Train a LoRA and leave it in `lora/`, with the captions used in `captions.parquet`.

    Where `workspace.checkpoints` holds a checkpoint, training goes on from it, to the same weights as without a stop.

    Raises:
        DataError: a table that is not what it must be, or a checkpoint of another training.
        MissingInputError: no such base; or another process trains the same.
        SettingsError: layers that the base does not have, or a precision that this machine cannot do.
        StoppedError: a signal or a file asked to stop; a checkpoint was saved.
    """
    import torch

    from cloze.data.images import open_images
    from cloze.locks import locked
    from cloze.rendering.captioned import choose, write_captions
    from cloze.rendering.diffusion import load_painter
    from cloze.rendering.lora import add_lora, require_loads, save_lora
    from cloze.rendering.session import Session
    from cloze.tables import images_uri, read_table

    torch.set_num_threads(settings.threads)
    with locked(workspace.checkpoints.with_suffix(".lock"), "this very training"):
        sequences = read_table(settings.sequences, "sequences")
        images = open_images(images_uri(sequences), workspace.cache)
        painter = load_painter(settings.base_sd, lora=None, precision=settings.precision, memory="none")
        chosen = choose(settings, sequences, images, painter)
        n_weights = add_lora(painter.pipeline.unet, settings.rank, settings.alpha, settings.target_names, settings.seed)
        figures = Session(settings, workspace, painter, images, chosen).train()
        save_lora(painter.pipeline, workspace.out / LORA, painter.name, painter.digest)
        require_loads(painter.pipeline, workspace.out / LORA, painter.digest)
        write_captions(chosen.train, workspace.out / "captions.parquet")
    return {**chosen.counts, "trainable_parameters": n_weights, **figures}
