"""What is stated of a network before it is trained, and the analytic terms that follow from it.

Memory on a GPU has few causes: a copy of the parameters, one of their gradients and two of the
optimiser's moments (16 bytes for a parameter with Adam in single precision), one more while the
optimiser steps, activations that are kept for the backward pass (4 bytes for each and sample), the
batch itself, and the context of the driver. Time on it is operations, against the cost of starting
each kernel and of bringing the batch. `training` corrects these terms by trees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import Fault, InvalidInputError
from engine.model.networks import Layer
from forecasting.profiles.replay import taken_mib

Vector = NDArray[np.float64]

_MIB = 2.0**20
_BYTES = 4.0
_OPERATIONS = 6.0
"""For a parameter and sample: a multiplication and an addition, forward once and backward twice."""
MEMORY_TERMS = 16
"""So many of the first columns are the terms of memory, in MiB."""
_SMALL_MIB = 1.0
_LARGE_MIB = 10.0
_SEGMENT_MIB = 20.0
_PAGE_MIB = 2.0
_COPIES = 4
"""Of the parameters that stay: values, gradients, and two moments of the optimiser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingShape:
    """What a person states of a training.

    inputs: values of one sample; activation and architecture are words, empty when not known;
        samples: in the data set, 0 when not known.
    """

    layers: tuple[Layer, ...]
    inputs: int
    batch_size: int
    activation: str = ""
    architecture: str = ""
    samples: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that no network has."""
        counts = [
            ("inputs", self.inputs, 1),
            ("batch_size", self.batch_size, 1),
            ("layers", len(self.layers), 1),
            ("samples", self.samples, 0),
            *(("activations", layer.activations, 0) for layer in self.layers),
            *(("parameters", layer.parameters, 0) for layer in self.layers),
        ]
        faults = [
            Fault(code="H010", message=f"`{name}` is {value!r}; it must be at least {least}")
            for name, value, least in counts
            if value < least
        ]
        if faults:
            raise InvalidInputError("training shape", faults)

    @property
    def parameters(self) -> int:
        """What all layers learn."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def activations(self) -> int:
        """Values that all layers put out for one sample."""
        return sum(layer.activations for layer in self.layers)


def segments(sizes_mib: Sequence[float]) -> tuple[float, float, float]:
    """Return what an allocator that caches takes for tensors: small, middle and large, in MiB.

    PyTorch's takes up to 1 MiB from pages of 2 MiB, up to 10 MiB from segments of 20 MiB, and
    gives larger ones pages of their own (c10/cuda/CUDACachingAllocator).
    """
    small = sum(size for size in sizes_mib if size <= _SMALL_MIB)
    large = sum(_pages(size) for size in sizes_mib if size >= _LARGE_MIB)
    room: list[float] = []
    for size in sizes_mib:
        if not _SMALL_MIB < size < _LARGE_MIB:
            continue
        place = next((i for i, left in enumerate(room) if left >= size), None)
        if place is None:
            room.append(_SEGMENT_MIB - size)
        else:
            room[place] -= size
    return _pages(small), _SEGMENT_MIB * len(room), large


def _pages(size_mib: float) -> float:
    """Return a size in whole pages."""
    return math.ceil(size_mib / _PAGE_MIB) * _PAGE_MIB


def terms(shapes: Sequence[TrainingShape]) -> Vector:
    """Return (n, k): the memory terms first, then sizes, work and counts of kinds of layer."""
    return np.array([_row(shape) for shape in shapes], dtype=np.float64)


def _memory_terms(shape: TrainingShape) -> list[float]:
    """Return the terms of memory in MiB: plain sums, as an allocator takes them, and replayed."""
    tensors = [size for layer in shape.layers for size in _tensors(layer)] or [0.0]
    kept = [
        values * shape.batch_size * _BYTES / _MIB
        for values in (shape.inputs, *(layer.activations for layer in shape.layers))
    ]
    staying = segments(tensors * _COPIES)
    stepping = segments(tensors * (_COPIES + 1))
    going = segments(kept)
    stays, steps, goes = sum(staying), sum(stepping), sum(going)
    return [
        shape.parameters * _BYTES / _MIB,
        sum(kept[1:]),
        kept[0],
        *staying,
        *going,
        steps,
        stays + goes,
        max(steps, stays + goes),
        max(tensors),
        2.0 * max(kept),
        steps - stays - goes,
        taken_mib(
            shape.layers, inputs=shape.inputs, batch_size=shape.batch_size, samples=shape.samples
        ),
    ]


def _tensors(layer: Layer) -> list[float]:
    """Return the sizes of what a layer learns in MiB: weights and bias, or two halves."""
    if not layer.parameters:
        return []
    bias = min(layer.activations, layer.parameters / 2)
    return [size * _BYTES / _MIB for size in (layer.parameters - bias, bias)]


def _row(shape: TrainingShape) -> list[float]:
    """Return the terms of one training."""
    parameters, activations = float(shape.parameters), float(shape.activations)
    batch, inputs, count = float(shape.batch_size), float(shape.inputs), float(len(shape.layers))
    memory = _memory_terms(shape)
    work = parameters * batch * _OPERATIONS / 1e9
    moved = 10.0 * memory[0] + 3.0 * memory[1]
    learning = [layer for layer in shape.layers if layer.parameters > 0]
    widths = [layer.activations for layer in learning] or [0]
    largest = max((layer.parameters for layer in learning), default=0) * _BYTES / _MIB
    kinds = [layer.kind for layer in shape.layers]
    return [
        *memory,
        inputs,
        activations,
        parameters,
        batch,
        count,
        float(len(learning)),
        float(kinds.count("batch_normalization")),
        float(kinds.count("dropout")),
        work,
        work / count,
        moved / count,
        memory[0] / (memory[0] + memory[2]) if memory[0] else 0.0,
        work / (1.0 + memory[2]),
        largest,
        float(min(widths)),
        float(max(widths)),
        float(widths[-1]),
    ]
