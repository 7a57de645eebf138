"""Keys and values of several prompts side by side."""

from collections.abc import Sequence

import torch
from torch.nn import functional
from transformers import DynamicCache


def join_caches(caches: Sequence[DynamicCache]) -> DynamicCache:
    """Caches of one row each as the rows of one, padded with zeros on the left, so that all end at the same column."""
    longest = max(cache.get_seq_length() for cache in caches)
    joined = DynamicCache()
    for number, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
        keys = torch.cat([_padded(layer.keys, longest) for layer in layers])
        values = torch.cat([_padded(layer.values, longest) for layer in layers])
        joined.update(keys, values, number)
    return joined


def _padded(states: torch.Tensor, longest: int) -> torch.Tensor:
    """(1, heads, longest, size)."""
    return functional.pad(states, (0, 0, longest - states.shape[-2], 0))
