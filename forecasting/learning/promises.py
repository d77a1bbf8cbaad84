"""What was told of runs before they began, held against what they took, by week and kind."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence

from engine.model.learning import WeekOfRuns
from engine.model.profiles import QUANTILE_LEVELS, RunRecord
from engine.model.specs import TaskKind

_PROMISED = 0.95
_CHANCE = 0.01
"""A week in which so many runs pass P95 happens by chance once in a hundred weeks."""


def weeks(history: Sequence[RunRecord]) -> tuple[WeekOfRuns, ...]:
    """Return every week and kind with runs of which something was told, newest first."""
    groups: dict[tuple[str, TaskKind], list[RunRecord]] = {}
    for record in history:
        told = record.told
        if told is not None and told.duration_seconds is not None and record.succeeded:
            groups.setdefault((_week(record.ended_at), record.kind), []).append(record)
    order = sorted(groups, key=lambda key: (key[0], key[1].value), reverse=True)
    return tuple(_of_week(week, kind, groups[week, kind]) for week, kind in order)


def _week(at: float) -> str:
    year, week, _ = datetime.datetime.fromtimestamp(at, datetime.UTC).isocalendar()
    return f"{year}-W{week:02d}"


def _of_week(week: str, kind: TaskKind, records: Sequence[RunRecord]) -> WeekOfRuns:
    counts = [0] * len(QUANTILE_LEVELS)
    for record in records:
        if record.told is None or record.told.duration_seconds is None:
            continue
        for place, value in enumerate(record.told.duration_seconds.values):
            counts[place] += record.duration_seconds <= value
    missed = len(records) - counts[QUANTILE_LEVELS.index(_PROMISED)]
    return WeekOfRuns(
        week=week,
        kind=kind,
        run_count=len(records),
        covered={
            f"{level:.2f}": count / len(records)
            for level, count in zip(QUANTILE_LEVELS, counts, strict=True)
        },
        kept=_chance_of_missing(missed, len(records)) >= _CHANCE,
    )


def _chance_of_missing(missed: int, count: int) -> float:
    """Return the probability that so many or more of `count` runs pass P95 by chance."""
    miss = 1.0 - _PROMISED
    fewer = sum(math.comb(count, k) * miss**k * (1.0 - miss) ** (count - k) for k in range(missed))
    return max(1.0 - fewer, 0.0)
