"""Floating-point operations of tensor operations.

PyTorch knows those of matrix products and of attention on GPUs; attention on processors is added to its registry here.
Attention counts in full, as is usual, though a causal one leaves half of it out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import (
    flop_registry,
    register_flop_formula,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)


def flops(operation: Any, arguments: Sequence[Any], keywords: Mapping[str, Any], made: Any) -> int:
    """Of an operation that was dispatched; 0 where it is neither a product nor attention."""
    formula = flop_registry.get(operation._overloadpacket)
    return int(formula(*arguments, **keywords, out_val=made)) if formula else 0


@register_flop_formula([torch.ops.aten._scaled_dot_product_flash_attention_for_cpu])
def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


@register_flop_formula([torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward])
def _attention_backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))
