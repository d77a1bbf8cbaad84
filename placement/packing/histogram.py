"""How often each shape of pod comes: all that a policy knows of the future.

The fragment of FGD is taken over the most frequent shapes, without memory; our own streams are
drawn from all shapes.
"""

import collections
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from placement.packing import kernel
from placement.packing.nodes import PodShape
from placement.packing.policies import FillSettings

COVERED_PERCENT = 95
"""Share of all pods that the typical ones cover, as published."""
_KEPT_VALUES = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts of shapes, in the order in which they were first seen."""

    counts: Mapping[PodShape, int]

    @classmethod
    def of(cls, shapes: Iterable[PodShape]) -> Self:
        """Returns the counts of these shapes."""
        return cls(counts=dict(collections.Counter(shapes)))


def shape_table(shapes: Iterable[PodShape], models: Mapping[str, int]) -> kernel.Shapes:
    """Returns shapes as arrays; `models` numbers the GPU models of the nodes."""
    rows = list(shapes)
    allowed = np.zeros((len(rows), len(models)), dtype=np.bool_)
    for row, shape in enumerate(rows):
        for model, number in models.items():
            allowed[row, number] = not shape.models or model in shape.models
    amounts = np.array(
        [(s.cpu_milli, s.memory_mib, s.gpus, s.gpu_milli) for s in rows], dtype=np.int64
    ).reshape(len(rows), 4)
    columns = [np.ascontiguousarray(column) for column in amounts.T]
    return kernel.Shapes(columns[0], columns[1], columns[2], columns[3], allowed)


def typical_pods(histogram: Histogram, models: Mapping[str, int]) -> kernel.Typical:
    """Returns the most frequent shapes that cover 95 % of all pods, memory left out."""
    counts: collections.Counter[tuple[int, int, int, tuple[str, ...]]] = collections.Counter()
    for shape, count in histogram.counts.items():
        counts[shape.cpu_milli, shape.gpu_milli, shape.gpus, shape.models] += count
    total = counts.total()
    covered, kept = 0, list[tuple[PodShape, int]]()
    for (cpu, milli, gpus, asked), count in sorted(
        counts.items(), key=lambda item: (item[1], *item[0][:3], "|".join(item[0][3])), reverse=True
    ):
        if covered >= COVERED_PERCENT * total / 100.0:
            break
        covered += count
        shape = PodShape(cpu_milli=cpu, memory_mib=0, gpus=gpus, gpu_milli=milli, models=asked)
        kept.append((shape, count))
    # Divided twice, as published: integer scores turn on the last bit.
    frequency = [(count / total) / (covered / total) for _, count in kept]
    return kernel.Typical(
        shape_table((shape for shape, _ in kept), models), np.array(frequency, dtype=np.float64)
    )


def fill_streams(
    histogram: Histogram, models: Mapping[str, int], settings: FillSettings
) -> kernel.Fill:
    """Draws the streams of typical pods.

    The draw is systematic (equal steps through the cumulated counts, one random start) and then
    shuffled, so that every shape comes in its share even in few streams. In a stream the largest
    pods come first: a node is worth what could be packed, and small pods that come early may go
    elsewhere. In the order of arrival no node would be kept whole for pods of eight GPUs.
    """
    shapes = list(histogram.counts)
    size = settings.streams * settings.length
    drawn = np.zeros(0, dtype=np.int64)
    if shapes:
        generator = np.random.default_rng(settings.seed)
        cumulated = np.cumsum(np.array(list(histogram.counts.values()), dtype=np.float64))
        steps = (np.arange(size) + generator.random()) / size * cumulated[-1]
        drawn = np.searchsorted(cumulated, steps, side="right").clip(max=len(shapes) - 1)
        drawn = generator.permutation(drawn).astype(np.int64)
    sizes = np.array([shape.total_gpu_milli for shape in shapes], dtype=np.int64)
    streams = drawn.reshape(settings.streams, -1)
    order = np.argsort(-sizes[streams], axis=1, kind="stable")
    return kernel.Fill(
        np.take_along_axis(streams, order, axis=1),
        shape_table(shapes, models),
        np.zeros(_KEPT_VALUES, dtype=np.uint64),
        np.zeros(_KEPT_VALUES, dtype=np.float64),
    )
