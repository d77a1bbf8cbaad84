"""Columns of a source: which are there, and of what type, against those of the runs before.

No test of chance: a column that is gone is gone. What comes the same several times in a row is how
the source is from now on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alarms.detection.significance import Finding, Judgement
from engine.model.signals import Signal

NAME = "columns"
LABEL = "schema"
"""The label that holds the columns: `NAME:TYPE` each, one a line."""
TEST = "schema"
EMPTY = "empty"
"""Type of a column without values, of which nothing is known; nulls have a signal of their own."""
ADOPT_RUNS = 3
"""Runs in a row with the same columns after which these are normal."""
_NAMED_MOST = 5


class SchemaTracker:
    """Compares the columns of each run with those that are normal."""

    def __init__(self) -> None:
        self._normal: Mapping[str, str] | None = None
        self._candidate: Mapping[str, str] = {}
        self._runs = 0

    def observe(self, signal: Signal, level: float) -> Judgement | None:
        """Return what changed; None for the first columns, or where none are told."""
        del level
        found = read(signal.labels.get(LABEL, ""))
        if not found:
            return None
        if self._normal is None:
            self._normal = found
            return None
        changed = changes(self._normal, found)
        if not changed:
            self._runs = 0
            # Types that were not known yet are learned.
            self._normal = {**self._normal, **_typed(found)}
        else:
            self._follow(found)
        usual = float(len(self._normal))
        finding = Finding(
            test=TEST,
            value=signal.value,
            statistic=float(len(changed)),
            p_value=0.0 if changed else 1.0,
            usual=usual,
            low=usual,
            high=usual,
            said=told(changed),
        )
        return Judgement(finding, outside=bool(changed))

    def _follow(self, found: Mapping[str, str]) -> None:
        """Adopt columns that came often enough."""
        is_same = found == self._candidate
        self._candidate, self._runs = found, self._runs + 1 if is_same else 1
        if self._runs >= ADOPT_RUNS:
            self._normal, self._runs = found, 0


def read(text: str) -> dict[str, str]:
    """Return the type of each column that a label tells.

    >>> read("age:number")
    {'age': 'number'}
    """
    pairs = (line.rpartition(":") for line in text.split("\n") if line)
    return {name: kind for name, _, kind in pairs}


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return what changed, as words: columns that are gone, then new ones, then other types."""
    gone = sorted(before.keys() - after.keys())
    new = sorted(after.keys() - before.keys())
    retyped = sorted(
        name
        for name in before.keys() & after.keys()
        if before[name] != after[name] and EMPTY not in {before[name], after[name]}
    )
    return [
        *(f"column {name} is gone" for name in gone),
        *(f"column {name} is new" for name in new),
        *(f"column {name} holds {after[name]}, was {before[name]}" for name in retyped),
    ]


def told(changed: Sequence[str]) -> str:
    """Return the first few changes in words, and how many more there are."""
    left = len(changed) - _NAMED_MOST
    return "; ".join(changed[:_NAMED_MOST]) + (f"; and {left} more" if left > 0 else "")


def _typed(columns: Mapping[str, str]) -> dict[str, str]:
    return {name: kind for name, kind in columns.items() if kind != EMPTY}
