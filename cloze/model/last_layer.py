"""The last decoder layer, computed only where its output is wanted.

What comes out of the last layer at a token is read by nothing but the token's own logits. Training wants it where the
next token carries loss, reading a prompt wants it nowhere: only its keys and values are needed. So the queries, the
attention and the MLP of the last layer are computed for the wanted tokens alone, forwards and backwards. Values and
gradients are those of the whole layer.
"""

from typing import Any

import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer, rotate_half


class LastLayer(Qwen2DecoderLayer):
    """A decoder layer whose output may be asked for at some tokens only; it has the weights and names of any other."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        use_cache: bool | None = False,
        position_embeddings: Any = None,
        wanted: torch.Tensor | None = None,
        **more: Any,
    ) -> torch.Tensor:
        """Hidden states (rows, wanted, size).

        Args:
            wanted: (rows, wanted) columns of `hidden_states`; all of them where it is None.
        """
        if wanted is None:
            whole: torch.Tensor = super().forward(
                hidden_states, attention_mask, position_ids, past_key_values, use_cache, position_embeddings, **more
            )
            return whole
        attention: Any = self.self_attn
        rows = torch.arange(len(hidden_states), device=hidden_states.device)[:, None]
        normed = self.input_layernorm(hidden_states)
        cos, sin = (part.expand(len(normed), -1, -1) for part in position_embeddings)
        keys = _rotated(_heads(attention, attention.k_proj(normed)), cos, sin)
        values = _heads(attention, attention.v_proj(normed))
        if past_key_values is not None:
            keys, values = past_key_values.update(keys, values, attention.layer_idx)
        kept = hidden_states[rows, wanted]
        if not wanted.shape[1]:
            return kept
        queries = _heads(attention, attention.q_proj(normed[rows, wanted]))
        found, _ = sdpa_attention_forward(
            attention,
            _rotated(queries, cos[rows, wanted], sin[rows, wanted]),
            keys,
            values,
            _mask_of(attention_mask, wanted, keys.shape[-2] - normed.shape[1], keys.shape[-2]),
            dropout=attention.attention_dropout if self.training else 0.0,
            scaling=attention.scaling,
        )
        kept = kept + attention.o_proj(found.flatten(2))
        after: torch.Tensor = kept + self.mlp(self.post_attention_layernorm(kept))
        return after


def spare_last_layer(model: Any) -> Any:
    """Let a LlavaOnevisionForConditionalGeneration be asked for `wanted` tokens; the model itself.

    Raises:
        TypeError: its language model is no Qwen2.
    """
    layer = model.model.language_model.layers[-1]
    if type(layer) is not Qwen2DecoderLayer:
        raise TypeError(f"the last layer is a {type(layer).__name__}; it must be a Qwen2DecoderLayer")
    layer.__class__ = LastLayer
    return model


def wanted_where(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns of the true places of a mask (rows, columns), and which of those are real.

    Returns:
        (rows, most of any row) columns in order, rows with fewer filled up with others; and a mask of that shape.
    """
    counts = mask.sum(1, keepdim=True)
    columns = mask.int().argsort(dim=1, descending=True, stable=True)[:, : int(counts.max())]
    return columns, torch.arange(columns.shape[1], device=mask.device) < counts


def nowhere(rows: int, device: torch.device) -> torch.Tensor:
    """No token of any row: for reading what is only looked back at."""
    return torch.empty(rows, 0, dtype=torch.long, device=device)


def _heads(attention: Any, projected: torch.Tensor) -> torch.Tensor:
    """(rows, heads, tokens, size of a head)."""
    return projected.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)


def _rotated(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding (Su et al. 2021, arXiv:2104.09864), as Qwen2 applies it."""
    turned: torch.Tensor = states * cos[:, None] + rotate_half(states) * sin[:, None]
    return turned


def _mask_of(mask: torch.Tensor | None, wanted: torch.Tensor, n_before: int, n_keys: int) -> torch.Tensor:
    """What the wanted tokens may look at: (rows, 1, wanted, keys)."""
    if mask is None:  # attention is causal by itself
        columns = torch.arange(n_keys, device=wanted.device)
        return columns <= (wanted + n_before)[:, None, :, None]
    mask = mask.expand(len(wanted), -1, -1, -1)
    return mask.gather(2, wanted[:, None, :, None].expand(-1, mask.shape[1], -1, mask.shape[3]))
