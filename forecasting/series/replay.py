"""Quantiles of many series at many origins: trees over all, then chunk by chunk.

Trees are learned from all series together. Everything after that looks at a chunk of series in
the order of their names, so that memory is bounded, chunks can be worked on in parallel, and
neither the order of the series nor the number of workers changes a bit of the answer. Where few
nights are gone through, widths are made of the errors of all chunks together (`widened`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from forecasting.series import boosting, combining, intervals, spreads
from forecasting.series.panel import Index, Known, Mask, Panel, Vector
from forecasting.series.traits import traits
from forecasting.series.walk import Block, Walk, walk

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
    weights: candidate to its weight (n,) in the first day of the last origin. shown: what widths
    are made of where all series are looked at together.
    """

    origins: Index
    quantiles: Vector
    actual: Vector
    naive: Vector
    tested: Mask
    weights: Mapping[str, Vector]
    shown: spreads.Shown | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Series to be replayed: values (n, hours known), trees with their origins, and levels.

    smoothed: whether Holt-Winters is among the methods; shown: whether to tell what was shown.
    """

    values: Vector
    hours: int
    blocks: tuple[Block, ...]
    levels: tuple[float, ...]
    smoothed: bool
    shown: bool = False


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
    shown: bool = False,
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
            shown=shown,
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
        shown=_shown(chunk.values, walked, combined.medians) if chunk.shown else None,
    )


def widened(whole: Replay, levels: Sequence[float]) -> Replay:
    """Return a replay of all series whose widths are made of the errors of all of them.

    Only where enough was known: origins and horizons of which too little was keep theirs.
    """
    if whole.shown is None:
        return whole
    found = whole.quantiles.copy()
    for place in range(1, len(whole.origins)):
        said = spreads.quantiles(whole.shown, place, levels)
        if said is not None:
            found[place, :, : said.shape[1]] = said
    return dataclasses.replace(whole, quantiles=found)


def _shown(values: Vector, walked: Walk, medians: Vector) -> spreads.Shown:
    """Return what a walk has shown, for the horizons of which an error can be known by its end."""
    known = Known(values).values
    near = slice(0, int(walked.origins[-1] - walked.origins[0]))
    told = [
        traits(
            known[:, :origin],
            walked.scale[place],
            medians[place, :, near],
            {name: said[place, :, near] for name, said in walked.members.items()},
        )
        for place, origin in enumerate(walked.origins)
    ]
    return spreads.Shown(
        origins=walked.origins,
        unit=walked.scale,
        medians=medians[:, :, near],
        actual=walked.actual[:, :, near],
        traits=np.stack(told),
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
        shown=_shown_by_all(parts),
    )


def _shown_by_all(parts: Sequence[Replay]) -> spreads.Shown | None:
    """Return what all series have shown; None where it was not asked for."""
    told = [part.shown for part in parts if part.shown is not None]
    if not told:
        return None
    return spreads.Shown(
        origins=told[0].origins,
        unit=np.concatenate([each.unit for each in told], axis=1),
        medians=np.concatenate([each.medians for each in told], axis=1),
        actual=np.concatenate([each.actual for each in told], axis=1),
        traits=np.concatenate([each.traits for each in told], axis=1),
    )
