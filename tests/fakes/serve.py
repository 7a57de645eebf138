"""`transformers serve` as it is, but for the processor: the stock one needs torchvision for video, ours does not.

Usage: python -m tests.fakes.serve --port 8000
"""

import sys
from pathlib import Path
from typing import Any

from transformers.cli.transformers import main
from transformers.models.auto import processing_auto

from cloze.model.base import PictureProcessor


class Servable(PictureProcessor):
    """Loads where `AutoProcessor` looks for one."""

    @classmethod
    def from_pretrained(cls, place: str | Path, **options: Any) -> Any:  # type: ignore[override]
        return cls.load(place)


if __name__ == "__main__":
    processing_auto.processor_class_from_name = lambda class_name: Servable
    sys.argv = ["transformers", "serve", *sys.argv[1:]]
    main()
