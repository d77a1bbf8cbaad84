"""The network that a task trains, as far as its attributes say, and what it takes from a GPU.

Where every layer is named, the training is replayed tensor by tensor (`profiles.replay`); where
only sums are, the terms that follow from them stand in. Both come before anything like it ran.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

from engine.model.networks import FULLY_CONNECTED, Layer, layers_of
from engine.model.specs import NETWORK_LAYERS, NETWORK_TERMS, Scalar
from forecasting.profiles.replay import taken_mib

_MIB_PER_GIB = 1_024.0
_GIB = 2.0**30
_VALUE_BYTES = 4.0
_COPIES = 4.0
"""Of each parameter that stay: value, gradient, two moments of the optimiser."""
_CONTEXT_GIB = 0.5
"""What a driver takes before anything is computed."""
_REPLAYED_CONTEXT_GIB = 1_429.0 / _MIB_PER_GIB
"""The same with the libraries of PyTorch, as 2,000 measured trainings have it beyond their replay
(median; nine in ten within 3 MiB)."""
REPLAY_SPREAD = 0.03
"""Standard deviation of the logarithm of measured over replayed memory before there is a run. The
trainings that were measured vary by a tenth of it; drivers and libraries of others do not."""
_REMEMBERED = 4_096


def number(attributes: Mapping[str, Scalar], name: str) -> float | None:
    """Return a numeric attribute, or None when it is missing, not a number or negative."""
    value = attributes.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def terms(attributes: Mapping[str, Scalar]) -> tuple[float | None, ...]:
    """Return what is known of `NETWORK_TERMS`: stated, or summed over the layers."""
    stated = [number(attributes, name) for name in NETWORK_TERMS]
    layers = _stated(attributes)
    if layers is None:
        return tuple(stated)
    sums = (
        float(sum(layer.parameters for layer in layers)),
        float(sum(layer.activations for layer in layers)),
    )
    return (*sums, *stated[2:])


def is_stated(attributes: Mapping[str, Scalar]) -> bool:
    """Whether memory on a GPU follows from what is stated of the network."""
    weights, activations, _, _ = terms(attributes)
    return weights is not None or activations is not None


def is_replayed(attributes: Mapping[str, Scalar]) -> bool:
    """Whether it does layer by layer, in kinds whose replay was held against measurements."""
    layers = _stated(attributes)
    return layers is not None and all(layer.kind in FULLY_CONNECTED for layer in layers)


def told(attributes: Mapping[str, Scalar]) -> str:
    """Return in words what memory on a GPU follows from."""
    layers = _stated(attributes)
    if layers is None:
        return "it follows from the sums that are stated of its network"
    said = f"the tensors of {len(layers)} layers were replayed through PyTorch's allocator"
    others = sorted({layer.kind for layer in layers} - FULLY_CONNECTED)
    return f"{said}, never measured for {', '.join(others)}" if others else said


def gib(attributes: Mapping[str, Scalar]) -> float:
    """Return the memory of a training on a GPU by its analytic terms; 0 where none is stated.

    By replay where every layer is named. Else the context of the driver; 16 bytes for a parameter
    (value, gradient, two moments of the optimiser) and one more copy while it steps; 4 bytes for
    each value that is kept for the backward pass, and for the batch itself
    (`forecasting.profiles.shapes`).
    """
    layers = _stated(attributes)
    weights, activations, inputs, batch = terms(attributes)
    if layers is not None and inputs and batch:
        samples = number(attributes, "rows") or 0.0
        taken = _taken_gib(layers, int(inputs), int(batch), int(samples))
        return _REPLAYED_CONTEXT_GIB + taken
    if weights is None and activations is None:
        return 0.0
    kept = (activations or 0.0) + (inputs or 0.0)
    stays = _COPIES * _VALUE_BYTES * (weights or 0.0)
    peak = max(_VALUE_BYTES * kept * (batch or 1.0), _VALUE_BYTES * (weights or 0.0))
    return _CONTEXT_GIB + (stays + peak) / _GIB


def _stated(attributes: Mapping[str, Scalar]) -> tuple[Layer, ...] | None:
    """Return the layers that are stated; None where none are, or not so that they can be read."""
    text = attributes.get(NETWORK_LAYERS)
    inputs, batch = (number(attributes, name) for name in ("network_inputs", "batch_size"))
    if not isinstance(text, str) or not inputs or not batch:
        return None
    return _read(text, int(inputs))


@functools.lru_cache(maxsize=_REMEMBERED)
def _read(text: str, inputs: int) -> tuple[Layer, ...] | None:
    """Return layers, None where they cannot be read: records of others are not refused for it."""
    try:
        return layers_of(text, inputs=inputs)
    except ValueError:
        return None


@functools.lru_cache(maxsize=_REMEMBERED)
def _taken_gib(layers: tuple[Layer, ...], inputs: int, batch: int, samples: int) -> float:
    taken = taken_mib(layers, inputs=inputs, batch_size=batch, samples=samples)
    return taken / _MIB_PER_GIB
