"""Named crash points around every commit and every call of an executor or model server.

A benchmark first records which points a story passes, then runs the story once for each chosen
point, killing the process there, and compares what comes out after a restart.

Points are `commit:NAME:before`, `commit:NAME:after`, and the same with `executor:start`,
`executor:stop`, `executor:suspend`, `executor:observe` and `server:swap` in place of `commit:NAME`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.abilities import BulkExecutor, ClearingExecutor, SuspendingExecutor
from engine.model.dispatches import AttemptOrder, Deployment, Observation
from engine.model.errors import BerthError
from engine.model.identifiers import AttemptId, ClusterName, Digest
from engine.model.records import Collection, Column, Stored, Write
from engine.ports import Executor, Ledger, ModelServer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CrashPlan:
    """Where to end: when `point` is passed for the `count`-th time (from 1)."""

    point: str
    count: int = 1

    @staticmethod
    def parse(text: str) -> CrashPlan:
        """Read `POINT` or `POINT#COUNT`, as `str` writes it."""
        point, _, count = text.partition("#")
        return CrashPlan(point, int(count or "1"))

    def __str__(self) -> str:
        return f"{self.point}#{self.count}"


def kill_process() -> None:
    """End this process at once, as `kill -9` does: nothing is flushed, nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)


class CrashPoints:
    """Counts the points passed; records them, or crashes at the first that is planned.

    plans: where to crash.
    record: file to which each point passed is appended, as `POINT#COUNT` on a line.
    crash: what ends the process; a test in one process raises instead.
    """

    def __init__(
        self,
        *plans: CrashPlan,
        record: Path | None = None,
        crash: Callable[[], None] = kill_process,
    ) -> None:
        self._plans = frozenset(plans)
        self._record = record
        self._crash = crash
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def passed(self, point: str) -> None:
        """Note that a point is passed, and crash if it is planned."""
        with self._lock:
            self._passed[point] += 1
            here = CrashPlan(point, self._passed[point])
            if self._record is not None:
                with self._record.open("a", encoding="utf-8") as file:
                    file.write(f"{here}\n")
            # Still under the lock: the last line of a recording is where the process died.
            if here in self._plans:
                self._crash()


def recorded(path: Path) -> tuple[CrashPlan, ...]:
    """Return the points that a recording passed, in order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(CrashPlan.parse(line) for line in lines)


def planned(plans: str, record: Path | None) -> CrashPoints | None:
    """Return the points asked for, as `POINT` or `POINT#COUNT` with blanks between.

    None when nothing is asked for, so that an engine outside of a test has no crash points.
    """
    if not plans and record is None:
        return None
    return CrashPoints(*(CrashPlan.parse(text) for text in plans.split()), record=record)


class CrashingLedger:
    """A ledger with crash points around every commit (port `Ledger`)."""

    def __init__(self, ledger: Ledger, points: CrashPoints) -> None:
        self._ledger = ledger
        self._points = points

    def get(self, collection: Collection[T], key: str) -> Stored[T] | None:
        """Return one record, or None."""
        return self._ledger.get(collection, key)

    def select(
        self,
        collection: Collection[T],
        *,
        where: Mapping[str, Column | Sequence[Column]] | None = None,
        order_by: str = "",
        descending: bool = False,
        since: float | None = None,
        limit: int = 10_000,
    ) -> Sequence[Stored[T]]:
        """Return records as the ledger behind does."""
        return self._ledger.select(
            collection,
            where=where,
            order_by=order_by,
            descending=descending,
            since=since,
            limit=limit,
        )

    def commit(self, name: str, writes: Sequence[Write]) -> None:
        """Write all or nothing, with a point on either side."""
        self._points.passed(f"commit:{name}:before")
        self._ledger.commit(name, writes)
        self._points.passed(f"commit:{name}:after")


class CrashingExecutor:
    """An executor with crash points around every call (port `Executor`)."""

    def __init__(self, executor: Executor, points: CrashPoints) -> None:
        self._executor = executor
        self._points = points

    def start(self, order: AttemptOrder) -> None:
        """Start an attempt, with a point on either side."""
        self._points.passed("executor:start:before")
        self._executor.start(order)
        self._points.passed("executor:start:after")

    def observe(self) -> Sequence[Observation]:
        """Return what is seen, with a point on either side."""
        self._points.passed("executor:observe:before")
        seen = self._executor.observe()
        self._points.passed("executor:observe:after")
        return seen

    def stop(self, attempt: AttemptId) -> None:
        """End an attempt, with a point on either side."""
        self._points.passed("executor:stop:before")
        self._executor.stop(attempt)
        self._points.passed("executor:stop:after")

    def clear(self, is_kept: Callable[[AttemptId], bool]) -> int:
        """Clear as the executor behind does, where it can, with a point on either side."""
        if not isinstance(self._executor, ClearingExecutor):
            return 0
        self._points.passed("executor:clear:before")
        count = self._executor.clear(is_kept)
        self._points.passed("executor:clear:after")
        return count


class CrashingBulkExecutor(CrashingExecutor):
    """One that starts many at once (port `BulkExecutor`)."""

    def __init__(self, executor: Executor, bulk: BulkExecutor, points: CrashPoints) -> None:
        super().__init__(executor, points)
        self._bulk = bulk

    def start_all(self, orders: Sequence[AttemptOrder]) -> Mapping[AttemptId, BerthError | None]:
        """Start many attempts, with a point on either side."""
        self._points.passed("executor:start:before")
        told = self._bulk.start_all(orders)
        self._points.passed("executor:start:after")
        return told


class CrashingSuspendingExecutor(CrashingBulkExecutor):
    """One that can suspend as well (port `SuspendingExecutor`)."""

    def __init__(
        self,
        executor: Executor,
        bulk: BulkExecutor,
        suspending: SuspendingExecutor,
        points: CrashPoints,
    ) -> None:
        super().__init__(executor, bulk, points)
        self._suspending = suspending

    def can_suspend(self, cluster: ClusterName) -> bool:
        """Return what the executor behind says."""
        return self._suspending.can_suspend(cluster)

    def suspend(self, attempt: AttemptId) -> None:
        """Suspend an attempt, with a point on either side."""
        self._points.passed("executor:suspend:before")
        self._suspending.suspend(attempt)
        self._points.passed("executor:suspend:after")


def crashing(executor: Executor, points: CrashPoints) -> CrashingExecutor:
    """Return an executor with crash points that can what the one behind can.

    One that can suspend is expected to start many at once, too.
    """
    if isinstance(executor, BulkExecutor) and isinstance(executor, SuspendingExecutor):
        return CrashingSuspendingExecutor(executor, executor, executor, points)
    if isinstance(executor, BulkExecutor):
        return CrashingBulkExecutor(executor, executor, points)
    return CrashingExecutor(executor, points)


class CrashingModelServer:
    """A model server with crash points around every swap (port `ModelServer`)."""

    def __init__(self, server: ModelServer, points: CrashPoints) -> None:
        self._server = server
        self._points = points

    def swap(self, deployment: Deployment) -> Digest:
        """Serve what is wanted, with a point on either side."""
        self._points.passed("server:swap:before")
        digest = self._server.swap(deployment)
        self._points.passed("server:swap:after")
        return digest
