"""Attempts that are intended are started: some at a time, while others are judged and stored.

The intent is stored before the executor is called, the outcome after it. An attempt whose
outcome was lost in a crash is started again under the same id, which changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import TracebackType

from engine.abilities import BulkExecutor
from engine.dispatching import admission, observing, orders, outcomes
from engine.dispatching.desk import Desk, RunView
from engine.dispatching.grouping import Group
from engine.dispatching.turns import Line
from engine.model.dispatches import Attempt, AttemptOrder, AttemptState, Observation, Reason
from engine.model.errors import BerthError, FinalError, RefusedError, RetryableError
from engine.model.fleet import Fleet
from engine.model.identifiers import AttemptId, RunId
from engine.model.records import ATTEMPTS, Put, Stored
from engine.ports import Executor

_LOG = logging.getLogger(__name__)
STARTS_AT_ONCE = 128
"""Attempts handed over together: one that is refused is told once these were all tried."""
_STARTS_MOST = 1_024
"""Attempts that one step starts of an executor: what ends meanwhile is seen in the next step."""

_Ordered = list[tuple[Stored[Attempt], AttemptOrder]]
_Told = Mapping[AttemptId, BerthError | None]


@dataclass(slots=True)
class _Queue:
    """What one executor is to start.

    left: how many more in this step. waiting: those that it was not given yet.
    ordered, told: those that are being started now.
    """

    left: int
    waiting: Line
    ordered: _Ordered = field(default_factory=list)
    told: Future[_Told] | None = None


class Launcher:
    """Starts attempts in a step; what it began is over when the `with` block ends.

    While an executor starts some, what came of those before them is stored and those after them
    are prepared, so that neither the clusters nor the store wait for the other.

    views: of runs, which grow while the step goes on.
    """

    def __init__(self, desk: Desk, fleet: Fleet, views: dict[RunId, RunView]) -> None:
        self._desk = desk
        self._fleet = fleet
        self._views = views
        self._queues: dict[str, _Queue] = {}
        self._group = Group(desk)
        self._settled = False
        desk.turns.forget()
        self._caller: ThreadPoolExecutor | None = None

    def __enter__(self) -> Launcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._caller is not None:
            self._caller.shutdown()

    @property
    def changed(self) -> bool:
        """Whether anything was stored."""
        return self._settled or self._group.changed

    def add(self, intended: Iterable[Stored[Attempt]]) -> None:
        """Take in attempts whose intent is stored; begin where there are enough of them."""
        for stored in intended:
            attempt = stored.value
            if admission.cluster_of(self._fleet, attempt.cluster) is not None:
                self._queue(attempt.executor).waiting.add(stored)
        for name, queue in self._queues.items():
            executor = self._desk.executors[name]
            while isinstance(executor, BulkExecutor) and len(queue.waiting) >= STARTS_AT_ONCE:
                self._turn(executor, queue)

    def _queue(self, executor: str) -> _Queue:
        if executor not in self._queues:
            self._queues[executor] = _Queue(_STARTS_MOST, Line(self._desk.turns))
        return self._queues[executor]

    def finish(self) -> None:
        """Start what is left, and store what came of everything."""
        for name, queue in self._queues.items():
            executor = self._desk.executors[name]
            if isinstance(executor, BulkExecutor):
                while len(queue.waiting) or queue.told is not None:
                    self._turn(executor, queue)
            else:
                self._one_by_one(executor, queue)

    def _turn(self, executor: BulkExecutor, queue: _Queue) -> None:
        """Hand over the next attempts, then store what came of those before them."""
        prepared = self._orders(self._next(queue))
        before, told = queue.ordered, queue.told.result() if queue.told is not None else {}
        queue.ordered, queue.told = [], None
        # Those that were not tried wait for the next step, with all others of their cluster.
        for busy in {order.cluster for _, order in before if order.attempt_id not in told}:
            queue.waiting.leave(busy)
        prepared = [each for each in prepared if each[1].cluster not in queue.waiting.left]
        if prepared:
            if self._caller is None:
                self._caller = ThreadPoolExecutor(1, thread_name_prefix="start")
            wanted = [order for _, order in prepared]
            queue.ordered, queue.told = prepared, self._caller.submit(executor.start_all, wanted)
        for stored, order in before:
            if order.attempt_id in told:
                queue.waiting.started(stored.value)
                self._took(stored, told[order.attempt_id])
        self._group.flush()

    def _one_by_one(self, executor: Executor, queue: _Queue) -> None:
        while batch := self._next(queue):
            for stored, order in self._orders(batch):
                queue.waiting.started(stored.value)
                self._took(stored, _tried(executor, order))
                self._group.flush()

    @staticmethod
    def _next(queue: _Queue) -> list[Stored[Attempt]]:
        """Take off a queue whose turn it is, and all off it once this step has started enough."""
        batch = queue.waiting.take(min(STARTS_AT_ONCE, queue.left))
        queue.left -= len(batch)
        if not queue.left:
            queue.waiting.clear()
        return batch

    def _orders(self, attempts: Sequence[Stored[Attempt]]) -> _Ordered:
        """Return the attempts that are still waited for, with the orders for them."""
        ordered = ((stored, self._order(stored.value)) for stored in attempts)
        return [(stored, order) for stored, order in ordered if order is not None]

    def _order(self, attempt: Attempt) -> AttemptOrder | None:
        """Return the order for an attempt, or None when nobody waits for it."""
        desk, views = self._desk, self._views
        if attempt.run_id not in views:
            run = desk.run(attempt.run_id)
            if run is None:
                return None
            views[attempt.run_id] = desk.view(run)
        view = views[attempt.run_id]
        task = view.tasks.get(attempt.task)
        current = task is not None and outcomes.is_current(task.value, attempt)
        if not current and not observing.is_wanted(desk, attempt):
            return None
        return orders.order_for(view, attempt)

    def _took(self, stored: Stored[Attempt], error: BerthError | None) -> None:
        """Store what came of a start, a success together with others."""
        attempt = stored.value
        if isinstance(error, FinalError):
            self._settled |= _refused(self._desk, stored, self._fleet, error)
        elif error is not None:
            self._settled |= _postponed(self._desk, stored, self._fleet, error.message)
        else:
            self._desk.unseen.pop(attempt.attempt_id, None)
            running = replace(attempt, state=AttemptState.RUNNING)
            write = Put(ATTEMPTS, running, stored.version)
            self._group.add(f"dispatch.started:{attempt.task}", write)


def _tried(executor: Executor, order: AttemptOrder) -> BerthError | None:
    try:
        executor.start(order)
    except (RetryableError, FinalError) as error:
        return error
    return None


def _refused(desk: Desk, stored: Stored[Attempt], fleet: Fleet, error: FinalError) -> bool:
    reason = Reason.ADMISSION if isinstance(error, RefusedError) else Reason.BAD_INPUT
    failed = _not_started(stored.value, AttemptState.FAILED, reason, error.message)
    return outcomes.settle(desk, stored, failed, fleet)


def _postponed(desk: Desk, stored: Stored[Attempt], fleet: Fleet, why: str) -> bool:
    """Try again in the next step, until the cluster's grace period has passed.

    It may have been started before a crash, so the period counts from the first refusal seen.
    """
    attempt = stored.value
    _LOG.warning("%s was not started: %s", attempt.attempt_id, why)
    if not observing.is_given_up(desk, attempt, fleet):
        return False
    lost = _not_started(attempt, AttemptState.LOST, Reason.CLUSTER_DOWN, why)
    return outcomes.settle(desk, stored, lost, fleet)


def _not_started(
    attempt: Attempt, state: AttemptState, reason: Reason, message: str
) -> Observation:
    return Observation(attempt_id=attempt.attempt_id, state=state, reason=reason, message=message)
