"""What is new in what people watch: every new version of runs, tasks, alarms, actions, events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.model import records
from engine.model.dispatches import RunState
from engine.ports import Ledger

_NEWEST = 50
_NEWEST_RUNS = 3

_WATCHED: tuple[tuple[records.Collection[Any], str], ...] = (
    (records.RUNS, "created_at"),
    (records.SUPER_ALARMS, "updated_at"),
    (records.ACTIONS, "wanted_at"),
    (records.EVENTS, "at"),
    (records.DEPLOYMENTS, ""),
)


@dataclass(frozen=True, slots=True)
class News:
    """One version of a record; name: its collection and key, as `runs/r-1`."""

    name: str
    version: int
    value: object


class Feed:
    """Finds out what is new since it was last asked."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen: Mapping[str, int] = {name: version for name, version, _ in self._now()}

    def news(self) -> list[News]:
        """Return each record that is new or changed."""
        found = list(self._now())
        fresh = [News(*one) for one in found if self._seen.get(one[0]) != one[1]]
        self._seen = {name: version for name, version, _ in found}
        return fresh

    def _now(self) -> Iterator[tuple[str, int, object]]:
        for collection, order in _WATCHED:
            for stored in self._ledger.select(
                collection, order_by=order, descending=bool(order), limit=_NEWEST
            ):
                yield (
                    f"{collection.name}/{collection.key(stored.value)}",
                    stored.version,
                    stored.value,
                )
        for run_id in self._runs():
            tasks = self._ledger.select(records.TASK_RUNS, where={"run_id": run_id})
            for task in tasks:
                key = records.TASK_RUNS.key(task.value)
                yield f"{records.TASK_RUNS.name}/{key}", task.version, task.value

    def _runs(self) -> list[str]:
        """Return the runs whose tasks are watched: active ones, and the newest.

        A run that began and ended between two looks is one of the newest.
        """
        active = self._ledger.select(records.RUNS, where={"state": RunState.ACTIVE.value})
        newest = self._ledger.select(
            records.RUNS, order_by="created_at", descending=True, limit=_NEWEST_RUNS
        )
        return list(dict.fromkeys(stored.value.run_id for stored in (*active, *newest)))
