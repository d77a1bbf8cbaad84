"""A forecaster of durations as plain numbers: it goes on to speak without the library.

`durations.DurationForecaster` learns and is frozen at night; what is frozen can be written down,
and says of a run what the forecaster would have said.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from forecasting.profiles import ranges
from forecasting.profiles.rowtrees import Nodes, RowTrees
from forecasting.profiles.runlog import Recent, Vector, log_seconds

_MOST_LOG = math.log(ranges.MOST_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenDurations:
    """What a forecaster of durations knew when it was frozen.

    medians: trees of medians; the second half of them may be of seconds, not their logarithm.
    widths: trees of the logarithm of how wide errors are. weight: of the trees against recent runs.
    default_log: what stands for recent runs where there are none. offsets: errors in widths that
    each level covers; group_offsets: those of groups that have enough of their own.
    """

    medians: tuple[Nodes, ...]
    second_is_seconds: bool
    widths: Nodes
    weight: float
    default_log: float
    offsets: tuple[float, ...]
    group_offsets: Mapping[str, tuple[float, ...]]


class MeanLog:
    """The mean of the logarithms that models say of a row; the second half may say seconds."""

    def __init__(self, models: Sequence[RowTrees], *, second_is_seconds: bool) -> None:
        self._models = tuple(models)
        self._logs = len(models) // 2 if second_is_seconds else len(models)

    @property
    def nodes(self) -> tuple[Nodes, ...]:
        """The trees of all."""
        return tuple(model.nodes for model in self._models)

    def predict(self, row: Vector) -> float:
        """Return the logarithm of seconds for one row."""
        told = [model.predict(row) for model in self._models]
        logs = told[: self._logs] + [log_seconds(seconds) for seconds in told[self._logs :]]
        return sum(logs) / len(logs)


class FrozenForecaster:
    """Says what a frozen forecaster knows, in tens of microseconds."""

    def __init__(self, frozen: FrozenDurations) -> None:
        self._frozen = frozen
        self._medians = MeanLog(
            [RowTrees(nodes) for nodes in frozen.medians],
            second_is_seconds=frozen.second_is_seconds,
        )
        self._widths = RowTrees(frozen.widths)

    def log_quantiles(self, row: Vector, recent: Recent | None, group: str) -> tuple[float, ...]:
        """Return logarithms of seconds at each of the stated levels, rising.

        Args:
            row: What `RunLog` says of the run.
            recent: Means of its finest group with runs, None where there is none.
            group: Name of the group whose errors may be of its own.
        """
        frozen = self._frozen
        trees = self._medians.predict(row)
        seconds = None if recent is None else self._recent(recent)
        lately = frozen.default_log if seconds is None else log_seconds(seconds)
        median = frozen.weight * trees + (1.0 - frozen.weight) * lately
        width = math.exp(self._widths.predict(row))
        offsets = frozen.group_offsets.get(group, frozen.offsets)
        return within([median + width * offset for offset in offsets])

    def _recent(self, recent: Recent) -> float:
        return recent.last_five if self._frozen.second_is_seconds else recent.last_two


def within(logs: Sequence[float]) -> tuple[float, ...]:
    """Return logarithms of seconds that a run can take; widths that are wild would pass it."""
    return tuple(min(log, _MOST_LOG) for log in logs)


def group_name(group: Hashable) -> str:
    """Return a group of runs as one word: the values that its runs have in common."""
    values = group if isinstance(group, tuple) else (group,)
    return " ".join(map(str, values))
