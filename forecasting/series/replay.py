"""Quantiles of many series at many origins: trees over all, then chunk by chunk.

Trees are learned from all series together. Everything after that looks at a chunk of series in
the order of their names, so that memory is bounded, chunks can be worked on in parallel, and
neither the order of the series nor the number of workers changes a bit of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from forecasting.series import boosting, combining, intervals
from forecasting.series.panel import Index, Known, Mask, Panel, Vector
from forecasting.series.walk import Block, walk

CHUNK = 64
"""Series that are worked on together; their losses and errors stand in for one another's."""
MOST_SMOOTHED = 16
"""Series up to which classical methods are fitted to each."""
LEVELS = (0.025, 0.05, 0.10, 0.50, 0.80, 0.90, 0.95, 0.975, 0.99)

_Task = TypeVar("_Task")
_Answer = TypeVar("_Answer")


class Apply(Protocol):
    """Applies a pure function to tasks and keeps their order: `map`, or a parallel one."""

    def __call__(
        self, function: Callable[[_Task], _Answer], tasks: Iterable[_Task], /
    ) -> Iterable[_Answer]:
        """Return the answers in the order of the tasks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What was said at o origins of n series.

    origins: (o,) first hour to forecast; quantiles: (o, n, h, levels); actual: (o, n, h), NaN
    where unknown; naive: (o, n, h) the last day again; tested: (o, h) whether errors were known;
    weights: candidate to its weight (n,) in the first day of the last origin.
    """

    origins: Index
    quantiles: Vector
    actual: Vector
    naive: Vector
    tested: Mask
    weights: Mapping[str, Vector]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Series to be replayed: values (n, hours known), trees with their origins, and levels.

    smoothed: whether Holt-Winters is among the methods.
    """

    values: Vector
    hours: int
    blocks: tuple[Block, ...]
    levels: tuple[float, ...]
    smoothed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    """What trees are learned from."""

    series: Panel
    hours: int
    seed: int
    effort: boosting.Effort | None


def replay(
    series: Panel,
    blocks: Sequence[Sequence[int]],
    *,
    hours: int,
    seed: int,
    levels: Sequence[float] = LEVELS,
    effort: boosting.Effort | None = None,
    apply: Apply = map,
) -> list[Replay]:
    """Return the replays of chunks of series; together they are the panel's in its order.

    Args:
        series: A panel in the order of its names.
        blocks: Origins in time order; trees are learned at the first of each block.
        hours: Longest horizon.
        seed: Of the trees.
        levels: Rising levels of the quantiles, 0.5 among them.
        effort: How much is learned; by the number of series unless said.
        apply: Maps in parallel or not.
    """
    learned = learn(
        series, [block[0] for block in blocks], hours=hours, seed=seed, effort=effort, apply=apply
    )
    parts = chunks(
        series,
        blocks,
        learned,
        hours=hours,
        levels=levels,
        smoothed=len(series.names) <= MOST_SMOOTHED,
    )
    return list(apply(judge, parts))


def learn(
    series: Panel,
    instants: Sequence[int],
    *,
    hours: int,
    seed: int,
    effort: boosting.Effort | None = None,
    apply: Apply = map,
) -> list[boosting.Trees | None]:
    """Return trees learned at each instant from what lies before it."""
    lessons = [
        _Lesson(series=series.until(instant), hours=hours, seed=seed, effort=effort)
        for instant in instants
    ]
    return list(apply(_learn, lessons))


def chunks(
    series: Panel,
    blocks: Sequence[Sequence[int]],
    learned: Sequence[boosting.Trees | None],
    *,
    hours: int,
    levels: Sequence[float],
    smoothed: bool,
) -> list[Chunk]:
    """Return the chunks of a panel with what they need."""
    served = tuple((trees, tuple(block)) for trees, block in zip(learned, blocks, strict=True))
    return [
        Chunk(
            values=series.values[start : start + CHUNK],
            hours=hours,
            blocks=served,
            levels=tuple(levels),
            smoothed=smoothed,
        )
        for start in range(0, len(series.names), CHUNK)
    ]


def judge(chunk: Chunk) -> Replay:
    """Return the replay of one chunk."""
    walked = walk(chunk.values, chunk.blocks, hours=chunk.hours, smoothed=chunk.smoothed)
    combined = combining.combine(walked)
    banded = intervals.band(walked, combined.medians, chunk.levels)
    return Replay(
        origins=walked.origins,
        quantiles=banded.quantiles,
        actual=walked.actual,
        naive=walked.members["last day"],
        tested=banded.tested,
        weights=combined.weights,
    )


def _learn(lesson: _Lesson) -> boosting.Trees | None:
    """Return trees from one lesson."""
    return boosting.fit(
        Known(lesson.series.values),
        lesson.series.names,
        hours=lesson.hours,
        seed=lesson.seed,
        effort=lesson.effort,
    )


def joined(parts: Sequence[Replay]) -> Replay:
    """Return chunks of series as one replay."""
    return Replay(
        origins=parts[0].origins,
        quantiles=np.concatenate([part.quantiles for part in parts], axis=1),
        actual=np.concatenate([part.actual for part in parts], axis=1),
        naive=np.concatenate([part.naive for part in parts], axis=1),
        tested=parts[0].tested,
        weights={
            name: np.concatenate([part.weights[name] for part in parts])
            for name in parts[0].weights
        },
    )
