"""How much memory a training step takes, and how much arithmetic, found by running one without memory.

The true layers, LoRA inside, do a forward and a backward pass over tensors that have shapes and no contents, while
every storage that comes alive and dies, and every operation, is counted. So nothing here knows what a layer keeps:
attention, dropout masks and casts count because they happen. All layers of a tower are alike, so three and four of them
tell of any number.
"""

import copy
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import DynamicCache

from cloze.model.adapter import inject, lora_config
from cloze.model.base import DTYPES
from cloze.model.caches import join_caches
from cloze.model.flops import flops
from cloze.model.known_bases import meta_model
from cloze.model.last_layer import nowhere
from cloze.model.objectives import precise, without_lora

if TYPE_CHECKING:
    from cloze.model.finetune_settings import FinetuneSettings

# A number in 4 bits, and one in 32 bits for every 64 of them that scales these.
_NF4_BYTES = 0.5 + 4 / 64
# Two moments for each LoRA weight: in 32 bits, or in 8 with a scale in 32 for every 256.
_STATE_BYTES = {"adamw": 8.0, "adamw8bit": 2 * (1 + 4 / 256)}
# An allocator cannot use the last of a device's memory.
_USABLE = 0.92


class Load(NamedTuple):
    """The largest batch of a run.

    Attributes:
        rows: examples in it.
        tokens: of its longest example that are read with gradients.
        supervised: tokens that carry loss, all rows together.
        picture_tokens: all rows together.
        tiles: that the vision tower would see, all rows together.
        prompt: tokens of its longest prompt, where prompts are read before, without gradients (`adapted=answer`).
    """

    rows: int
    tokens: int
    supervised: int
    picture_tokens: int
    tiles: int
    prompt: int = 0


@dataclass(frozen=True)
class Estimate:
    """Bytes of one training step at its highest.

    Attributes:
        weights: of the frozen base.
        lora: LoRA weights, their gradients and the optimizer's state.
        features: of the batch's pictures.
        activations: kept for the backward pass by the language model, and by the vision tower where it is trained;
            keys and values of prompts that were read before.
        logits: kept, of the supervised tokens.
        working: what comes and goes above all this while gradients are computed.
        flops: no bytes, but the step's floating-point operations; those of a frozen vision tower are left out.
    """

    weights: int
    lora: int
    features: int
    activations: int
    logits: int
    working: int
    flops: int

    @property
    def total(self) -> int:
        """All bytes."""
        return self.weights + self.lora + self.features + self.activations + self.logits + self.working


class Device(NamedTuple):
    """What a run would have for itself."""

    name: str
    free_bytes: int

    def fits(self, estimate: Estimate) -> bool:
        """Whether a step stays clear of the device's last bytes."""
        return estimate.total <= _USABLE * self.free_bytes


class Passes(NamedTuple):
    """Bytes alive after the forward pass, those that the loss adds, and the most that the backward pass adds; FLOPs."""

    kept: int
    logits: int
    working: int
    flops: int


def this_device() -> Device:
    """The accelerator where there is one, else this machine's memory; call it before a base is loaded."""
    if torch.cuda.is_available():
        return Device(torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0])
    return Device("this machine's memory (no accelerator)", psutil.virtual_memory().available)


def needs_checkpointing(checkpointing: str, kept: Estimate, device: Device) -> bool:
    """Whether activations are to be computed again.

    Args:
        checkpointing: yes, no, or auto, which keeps them where a step fits the device.
        kept: estimate of a step that keeps them.
    """
    return checkpointing == "yes" or (checkpointing == "auto" and not device.fits(kept))


def estimate(config: Any, settings: "FinetuneSettings", load: Load, *, checkpointing: bool) -> Estimate:
    """Memory of a training step on this batch."""
    dtype = DTYPES[settings.precision]
    model = meta_model(config, dtype)
    weights = _weights_bytes(model, settings.quantise)
    inject(model, lora_config(settings))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    lora = sum(2 * p.nbytes + _STATE_BYTES[settings.optimizer] * p.numel() for p in trained)
    passes = _passes_of_all_layers(config, settings, load, checkpointing)
    features = load.picture_tokens * config.text_config.hidden_size * dtype.itemsize
    return Estimate(weights, int(lora), features, *passes)


def measure(model: Any, load: Load, *, with_vision: bool) -> Passes:
    """Run a step of a model whose parameters have memory or only seem to, and count what is alive.

    Args:
        model: with LoRA layers inside, in training mode.
        with_vision: the vision tower is trained and runs, too.
    """
    hidden = model.config.text_config.hidden_size
    device = next(model.parameters()).device
    live = _Live(model)
    with live:
        with precise(model):
            cache = _read(model, load)
            embeds = torch.zeros(load.rows, load.tokens, hidden, dtype=model.dtype, device=device)
            if with_vision:
                embeds = embeds + _seen(model, load.tiles)
            # No mask, as in a batch that is padded on the right: attention is causal by itself.
            mask = torch.zeros(load.rows, 1, load.tokens, load.prompt + load.tokens, device=device) if cache else None
            found = model.model.language_model(
                inputs_embeds=embeds,
                attention_mask={"full_attention": mask},
                past_key_values=cache,
                use_cache=cache is not None,
                wanted=torch.zeros(load.rows, -(-load.supervised // load.rows), dtype=torch.long, device=device),
            ).last_hidden_state
            del embeds
            kept = live.bytes
            logits = model.lm_head(found.reshape(-1, hidden)[: load.supervised])
        labels = torch.zeros(load.supervised, dtype=torch.long, device=device)
        loss = functional.cross_entropy(logits.float(), labels, reduction="sum")
        del logits, labels
        after_loss = live.bytes
        del found
        loss.backward()
    return Passes(kept, after_loss - kept, live.peak - after_loss, live.flops)


def _read(model: Any, load: Load) -> DynamicCache | None:
    """Keys and values of the prompts, one read after another."""
    if load.prompt == 0:
        return None
    hidden, device = model.config.text_config.hidden_size, next(model.parameters()).device
    caches = []
    with torch.no_grad(), without_lora(model):
        for _ in range(load.rows):
            cache = DynamicCache(config=model.config)
            embeds = torch.zeros(1, load.prompt, hidden, dtype=model.dtype, device=device)
            model.model.language_model(
                inputs_embeds=embeds,
                attention_mask={"full_attention": None},
                past_key_values=cache,
                wanted=nowhere(1, device),
            )
            caches.append(cache)
        return join_caches(caches)


def without_memory(model: Any) -> FakeTensorMode:
    """Give a model on the meta device parameters that seem to lie on the processor; the mode to run it in.

    On the meta device itself attention takes a path that no device takes, and autocast does nothing.
    """
    mode = FakeTensorMode()
    with mode:
        for layer in model.modules():
            for name, parameter in layer._parameters.items():
                if parameter is not None:
                    seeming = torch.empty(parameter.shape, dtype=parameter.dtype)
                    layer._parameters[name] = nn.Parameter(seeming, parameter.requires_grad)
            for name, buffer in layer._buffers.items():
                if buffer is not None:
                    layer._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
    return mode


def _passes_of_all_layers(config: Any, settings: "FinetuneSettings", load: Load, checkpointing: bool) -> Passes:
    text, vision = config.text_config.num_hidden_layers, config.vision_config.num_hidden_layers
    least = min(3, text)
    base = _passes(config, settings, load, checkpointing, least, 2)
    kept, n_flops = base.kept, base.flops
    more = [(text - least, (least + 1, 2))] if text > least else []
    if settings.vision_lora and vision > 2:
        more.append((vision - 2, (least, 3)))
    for n_layers, with_one_more in more:
        found = _passes(config, settings, load, checkpointing, *with_one_more)
        kept += n_layers * (found.kept - base.kept)
        n_flops += n_layers * (found.flops - base.flops)
    return base._replace(kept=kept, flops=n_flops)


def _passes(
    config: Any, settings: "FinetuneSettings", load: Load, checkpointing: bool, n_text: int, n_vision: int
) -> Passes:
    """A step of a model with so many layers in its two towers."""
    small = copy.deepcopy(config)
    small.text_config.num_hidden_layers = n_text
    small.text_config.layer_types = small.text_config.layer_types[:n_text]
    small.vision_config.num_hidden_layers = n_vision
    model = meta_model(small, DTYPES[settings.precision])
    inject(model, lora_config(settings))
    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    with ExitStack() as stack:
        stack.enter_context(without_memory(model))
        return measure(model, load, with_vision=settings.vision_lora)


def _seen(model: Any, n_tiles: int) -> torch.Tensor:
    """Tiles through vision tower and projector; a scalar, so that gradients flow back whatever the layout is."""
    vision = model.config.vision_config
    reference = next(model.parameters())
    pixels = torch.zeros(n_tiles, 3, vision.image_size, vision.image_size, dtype=model.dtype, device=reference.device)
    features: torch.Tensor = model.model.multi_modal_projector(model.model.vision_tower(pixels).last_hidden_state)
    return features.mean()


def _weights_bytes(model: nn.Module, quantise: str) -> int:
    """Bytes of a frozen base; in 4 bits are the linear layers between the language model's embeddings and head."""
    total = sum(parameter.nbytes for parameter in model.parameters())
    if quantise == "nf4":
        linear = [
            layer.weight
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear) and "language_model.layers." in name
        ]
        total -= int(sum(weight.nbytes - _NF4_BYTES * weight.numel() for weight in linear))
    return total


class _Live(TorchDispatchMode):
    """Counts storages that operations make, for as long as anything holds them, and the operations' arithmetic.

    The model's own storages do not count.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self.peak = 0
        self.flops = 0
        own = [*model.parameters(), *model.buffers()]
        self._known = weakref.WeakSet(tensor.untyped_storage() for tensor in own)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.flops += flops(func, args, kwargs or {}, made)
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._watch(leaf.untyped_storage())
        return made

    def _watch(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        self.bytes += storage.nbytes()
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._forget, storage.nbytes())

    def _forget(self, n_bytes: int) -> None:
        self.bytes -= n_bytes
