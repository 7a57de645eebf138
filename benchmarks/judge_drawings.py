"""Claim: palette tells a related panel from an unrelated one (AUC .80), edges (.68) and structure (.63) hardly.

    python -m benchmarks.judge_drawings

Related: the next panel of the same book. Unrelated: a random panel of another book. AUC is the probability that the
first is more like a panel than the second is; its 95 % interval resamples books. Copies are crops of up to 5 % a side,
brightness and colours changed by up to 15 and 20 %, saved as JPEG at quality 60: how many are found by NEAR_COPY, and
how many next panels are called copies. The real panels lie at CLOZE_TEST_DATA (../shared/data).
"""

import io
import os
import random
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from cloze.rendering.judged import NEAR_COPY
from cloze.rendering.similarity import SIMILARITIES
from cloze.scoring.intervals import effective_clusters, percentile_interval, resampled_means

SINGLES = "9000"  # a folder of single panels of different books
RESAMPLES, SEED = 2000, 1


def books(folder: Path) -> dict[str, list[Image.Image]]:
    """Panels by book, in their order."""
    found = {}
    for book in sorted(path for path in folder.iterdir() if path.name != SINGLES):
        paths = sorted(book.glob("*.jpg"), key=lambda path: tuple(map(int, path.stem.split("_"))))
        found[book.name] = [Image.open(path).convert("RGB") for path in paths]
    return found


def jittered(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A copy as image-to-image might make it: shifted, recoloured, noisy."""
    left, top, right, bottom = (rng.uniform(0, 0.05) for _ in range(4))
    width, height = picture.size
    copy = picture.crop(
        (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
    )
    copy = ImageEnhance.Brightness(copy).enhance(rng.uniform(0.85, 1.15))
    copy = ImageEnhance.Color(copy).enhance(rng.uniform(0.8, 1.2))
    buffer = io.BytesIO()
    copy.save(buffer, "JPEG", quality=60)
    return Image.open(buffer).convert("RGB")


def main() -> None:
    root = Path(os.environ.get("CLOZE_TEST_DATA", "../shared/data"))
    panels = books(root / "real_comics" / "images")
    rng = random.Random(SEED)  # noqa: S311
    pairs = [(book, one, other) for book, pictures in panels.items() for one, other in pairwise(pictures)]
    strangers = [rng.choice([p for other, ps in panels.items() if other != book for p in ps]) for book, _, _ in pairs]
    copies = [jittered(one, rng) for _, one, _ in pairs]
    groups = np.array([book for book, _, _ in pairs])
    print(f"{len(pairs)} pairs of {len(panels)} books")
    for name, measure in SIMILARITIES.items():
        begun = time.process_time()
        scored = [
            [measure.compare(measure.view(one), measure.view(other)) for other in (after, stranger, copy)]
            for (_, one, after), stranger, copy in zip(pairs, strangers, copies, strict=True)
        ]
        each_ms = 1000 * (time.process_time() - begun) / (3 * len(pairs))
        after, foreign, copied = np.array(scored).T
        wins = (np.greater.outer(after, foreign) + 0.5 * np.equal.outer(after, foreign)).mean(axis=1)[:, None]
        means = resampled_means(wins, groups, RESAMPLES, SEED)[:, 0]
        low, high = percentile_interval(means, float(effective_clusters(wins, groups)[0]))
        told = f"{name:9} AUC {wins.mean():.2f} [{low:.2f}, {high:.2f}], {each_ms:.0f} ms a pair"
        if name == "edges":
            told += f"; copies found {(copied >= NEAR_COPY).mean():.1%}, next panels {(after >= NEAR_COPY).mean():.1%}"
        print(told)


if __name__ == "__main__":
    main()
