"""How many samples one pass may hold: from what autograd keeps of a few, measured, not guessed.

What a pass keeps grows with its samples, plus a part that does not (weights, gradients, the
optimiser's state). Two small passes tell both parts apart, on any device, without running out of
memory on the way.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.model.errors import RefusedError

torch: Any = importlib.import_module("torch")
ROOM_BYTES = 1 << 30
"""For a pass on processors, unless something else is said."""
PROBES = (2, 6)
"""Samples of the two small passes."""
_OPTIMISER_COPIES = 3
"""Gradients, and two moments of Adam's kind: the most that an optimiser here keeps."""
_MARGIN = 1.25
"""For what is not kept but used for a moment: the largest output and its gradient."""
_GPU_SHARE = 0.9
"""Of a GPU's free memory: the rest is for its libraries, and for what lies between blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Memory of training: bytes that stay, and bytes for each sample of a pass."""

    fixed_bytes: int
    sample_bytes: float

    def samples(self, memory_bytes: int) -> int:
        """Return how many samples fit, 0 when not even one does."""
        return int(max(memory_bytes - self.fixed_bytes, 0) / (self.sample_bytes * _MARGIN))


def room_bytes(device: str) -> int:
    """Return the memory for a pass where nobody says how much: of a GPU, what is free."""
    if not device.startswith("cuda"):
        return ROOM_BYTES
    return int(_GPU_SHARE * torch.cuda.mem_get_info(device)[0])


def measure(
    model: Any,  # noqa: ANN401 - a module
    inputs: Any,  # noqa: ANN401 - a tensor
    targets: Any,  # noqa: ANN401 - a tensor
    loss: Callable[[Any, Any], Any],
) -> Need:
    """Return what training a model on such samples takes; its weights are left as they are."""
    small, large = (_kept(model, inputs[:n], targets[:n], loss) for n in PROBES)
    sample = max((large - small) / (PROBES[1] - PROBES[0]), 1.0)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    fixed = weights * (1 + _OPTIMISER_COPIES) + max(small - PROBES[0] * sample, 0.0)
    return Need(fixed_bytes=int(fixed), sample_bytes=sample)


def _kept(model: Any, inputs: Any, targets: Any, loss: Callable[[Any, Any], Any]) -> float:  # noqa: ANN401 - tensors
    """Return the bytes that autograd keeps of one pass, each piece of memory counted once."""
    seen: dict[int, int] = {}

    def pack(tensor: Any) -> Any:  # noqa: ANN401 - a tensor
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    # The inputs are slices of the whole data; they are copied so that only they count.
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = loss(model(inputs.clone()), targets.clone())
    del result
    return float(sum(size for pointer, size in seen.items() if pointer not in weights))


def micro_batch(need: Need, *, memory_bytes: int, most: int) -> int:
    """Return the largest power of two of samples that fits, `most` at most.

    Raises:
        RefusedError: when not even one sample fits.
    """
    fits = min(need.samples(memory_bytes), most)
    if fits < 1:
        wanted = need.fixed_bytes + need.sample_bytes * _MARGIN
        message = f"one sample needs {wanted / 2**20:.0f} MiB, there are {memory_bytes / 2**20:.0f}"
        raise RefusedError(message, fix="give the task more memory, or train a smaller model")
    return most if fits == most else 1 << (fits.bit_length() - 1)
