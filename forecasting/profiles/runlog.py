"""What is known when a run is submitted: its attributes, and the finished runs most like it.

Only runs that have ended by then are known by their time; of those still going it is known how
long they have been, and when the latest were submitted. Runs are grouped by some of their
attributes, from fine (all of them equal) to coarse (the same owner, any run), and each group
remembers its last runs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import FinalError, InvalidInputError
from engine.model.specs import Scalar
from forecasting.profiles import ranges

Vector = NDArray[np.float64]

_REMEMBERED = 10
_ARRIVALS = 50
"""Latest submissions of a group that are counted; more in a minute say no more."""
_LATELY_SECONDS = (60.0, 600.0)
LEAST_SECONDS = 1.0
"""Shorter runs count as this long: below it the clock speaks, not the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A run as it is submitted.

    attributes: what is stated of it; numbers are used as such, words and truths by group only.
    submitted_at: in seconds.
    """

    name: str
    attributes: Mapping[str, Scalar]
    submitted_at: float


@dataclass(frozen=True, slots=True)
class Recent:
    """What the finest group with finished runs took: means of its last one, two and five."""

    last: float
    last_two: float
    last_five: float


@dataclass(slots=True)
class _Group:
    """The last runs of a group as logarithms, its runs that are going, and the last submissions.

    Both are in order of time.
    """

    logs: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    going: dict[str, float] = field(default_factory=dict)
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=_ARRIVALS))
    count: int = 0
    ended_at: float = -math.inf


_NOBODY = _Group()
"""Nothing is ever added to it."""


class RunLog:
    """Turns submissions into features of what is known by then.

    Args:
        numbers: Attributes that are numbers.
        groupings: Names of attributes of each grouping, from fine to coarse; () is any run.
        counts_going: Whether runs that are going count; not where they are not always known.
    """

    def __init__(
        self,
        *,
        numbers: Sequence[str],
        groupings: Sequence[Sequence[str]],
        counts_going: bool = True,
    ) -> None:
        self._numbers = tuple(numbers)
        self._counts_going = counts_going
        self._groupings = tuple(tuple(names) for names in groupings)
        self._groups: dict[tuple[object, ...], _Group] = {}
        self._going: dict[str, Submission] = {}

    def submit(self, run: Submission) -> tuple[Vector, Recent | None]:
        """Return the features of a run and what its finest known group took; it is going now.

        Raises:
            FinalError: A run of this name is going already.
        """
        if run.name in self._going:
            raise FinalError(f"run {run.name!r} is submitted twice", code="H014")
        said = self.described(run)
        if self._counts_going:
            for key in self._keys(run):
                group = self._groups.setdefault(key, _Group())
                group.going[run.name] = run.submitted_at
                group.arrivals.append(run.submitted_at)
        self._going[run.name] = run
        return said

    def described(self, run: Submission) -> tuple[Vector, Recent | None]:
        """Return what `submit` does of a run that does not go."""
        row = [_number(run.attributes.get(name)) for name in self._numbers]
        groups = [self._groups.get(key, _NOBODY) for key in self._keys(run)]
        for group in groups:
            row += _described(group, run.submitted_at)
        # Last, so that models that were kept before this was known still find their columns.
        for group in groups:
            row += _arrived(group, run.submitted_at)
        recent = next((_recent(group) for group in groups if group.logs), None)
        return np.array(row, dtype=np.float64), recent

    def finish(self, name: str, seconds: float) -> None:
        """Learn what a run took.

        Raises:
            FinalError: No run of this name is going.
            InvalidInputError: The duration is negative, missing or beyond what can be.
        """
        if name not in self._going:
            raise FinalError(f"no run {name!r} was submitted", code="H015")
        faults = ranges.seconds(seconds, 0)
        if faults:
            raise InvalidInputError(f"run {name}", faults)
        self.learn(self._going.pop(name), seconds)

    def learn(self, run: Submission, seconds: float) -> None:
        """Learn what a run took that may never have been asked about."""
        for key in self._keys(run):
            group = self._groups.setdefault(key, _Group())
            group.going.pop(run.name, None)
            group.logs.append(log_seconds(seconds))
            group.count += 1
            group.ended_at = max(group.ended_at, run.submitted_at + seconds)

    def _keys(self, run: Submission) -> list[tuple[object, ...]]:
        """Return the group of a run in each grouping."""
        return [
            (place, *(run.attributes.get(name) for name in names))
            for place, names in enumerate(self._groupings)
        ]


def log_seconds(seconds: float) -> float:
    """Return the logarithm of a duration."""
    return math.log(max(seconds, LEAST_SECONDS))


def _number(value: Scalar | None) -> float:
    """Return a number, or NaN for anything else."""
    return math.nan if value is None or isinstance(value, str) else float(value)


def _described(group: _Group, now: float) -> list[float]:
    """Return the features of one group."""
    logs = list(group.logs)
    oldest = next(iter(group.going.values()), None)
    going = [
        float(len(group.going)),
        math.log1p(max(now - oldest, 0.0)) if oldest is not None else -1.0,
        math.log1p(group.count),
    ]
    if not logs:
        return [math.nan] * 8 + going
    few = logs[-5:]
    mean_seconds = math.log(sum(map(math.exp, few)) / len(few))
    ordered = sorted(logs)
    return [
        logs[-1],
        logs[-2] if len(logs) > 1 else math.nan,
        sum(logs[-2:]) / len(logs[-2:]),
        mean_seconds,
        ordered[len(ordered) // 2],
        ordered[0],
        ordered[-1],
        math.log1p(max(now - group.ended_at, 0.0)),
        *going,
    ]


def _arrived(group: _Group, now: float) -> list[float]:
    """Return how many of a group were submitted lately, and how long ago the last was."""
    since = [now - at for at in group.arrivals]
    counts = [float(sum(age < seconds for age in since)) for seconds in _LATELY_SECONDS]
    return [*counts, math.log1p(max(since[-1], 0.0)) if since else -1.0]


def _recent(group: _Group) -> Recent:
    """Return the means of a group's last runs, in seconds."""
    seconds = [math.exp(log) for log in group.logs]
    return Recent(
        last=seconds[-1],
        last_two=sum(seconds[-2:]) / len(seconds[-2:]),
        last_five=sum(seconds[-5:]) / len(seconds[-5:]),
    )
