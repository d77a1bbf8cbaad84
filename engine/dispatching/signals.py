"""What Berth's own plan says of itself: deadlines that will be missed, profiles that were wrong.

For each pipeline its newest run counts while it is active, and for some windows after, so that
what was alarmed is seen to be over. That it failed is told for a day, or until another one begins.
All values are 1 where it is so, and 0 otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine.dispatching.progress import status
from engine.model.dispatches import Run, RunState, TaskState
from engine.model.progress import RunStatus
from engine.model.records import RUNS
from engine.model.signals import Layer, Signal
from engine.windows import StoreSource

WINDOWS_AFTER = 6
"""Windows after the end of a run in which it is still told that nothing is wrong any more."""
_LAST = 20
_WORDS_MOST = 200
FAILED_WINDOWS = 1_440
"""Windows after the end of a run that failed in which that is still told."""


class PlanSignals(StoreSource):
    """Looks at runs once a window. Port `SignalSource`."""

    name = "plan"

    def _look(self, now: float) -> Sequence[Signal] | None:
        if not self._is_any(now):
            return None
        newest: dict[str, RunStatus] = {}
        failing: set[str] = set()
        for one in status(self._ledger, now):
            newest.setdefault(one.run.pipeline, one)
            if one.run.state is RunState.FAILED:
                failing.add(one.run.pipeline)
        return [
            signal
            for one in newest.values()
            if self._counts(one.run, now)
            for signal in signals_of(one, now, has_failed=one.run.pipeline in failing)
        ]

    def _is_any(self, now: float) -> bool:
        """Return whether a run counts; most of the time none does, and that is cheap to tell."""
        if self._ledger.select(RUNS, where={"state": RunState.ACTIVE.value}, limit=1):
            return True
        last = self._ledger.select(RUNS, order_by="created_at", descending=True, limit=_LAST)
        return any(self._counts(stored.value, now) for stored in last)

    def _counts(self, run: Run, now: float) -> bool:
        windows = FAILED_WINDOWS if run.state is RunState.FAILED else WINDOWS_AFTER
        return run.ended_at is None or now - run.ended_at <= windows * self._window_seconds


def signals_of(one: RunStatus, now: float, *, has_failed: bool = False) -> Iterator[Signal]:
    """Yield what a run says of its plan.

    has_failed: whether a run of its pipeline failed lately; else there is nothing to be over.

    A deadline is at risk when the median forecast of the end lies behind it: then it is more
    likely missed than kept. A profile is exceeded when a task runs for longer than the runs that
    it was learned from.
    """
    is_active = one.run.state is RunState.ACTIVE
    pipeline = one.run.pipeline
    if has_failed:
        yield _failure(one, now)
    if one.deadline_seconds is not None:
        median = max(now, one.end_seconds_p50 or now)
        is_late = is_active and median > one.deadline_seconds
        yield _signal("deadline_at_risk", f"pipeline:{pipeline}", pipeline, now, is_true=is_late)
    for task in one.tasks:
        if task.started_at is None:
            continue
        runs = is_active and task.state is TaskState.RUNNING
        ends_at = task.end_seconds_p95
        # A forecast has nothing left once a task is past every run before.
        is_over = runs and ends_at is not None and ends_at <= now
        subject = f"task:{pipeline}/{task.task}"
        yield _signal("profile_exceeded", subject, pipeline, now, is_true=is_over)


def _failure(one: RunStatus, now: float) -> Signal:
    """Return whether a run failed, with its first task that did, and why rules say it did."""
    failed = [task for task in one.tasks if task.state is TaskState.FAILED]
    has_failed = one.run.state is RunState.FAILED
    found = _signal(
        "run_failed", f"pipeline:{one.run.pipeline}", one.run.pipeline, now, is_true=has_failed
    )
    labels = {**found.labels, "run": one.run.run_id}
    if has_failed and failed:
        first = failed[0]
        diagnosis = None if first.remedy is None else first.remedy.diagnosis
        labels |= {
            "task": first.task,
            "reason": first.reason.value,
            "cause": "" if diagnosis is None else diagnosis.cause.value,
            "rule": "" if diagnosis is None else diagnosis.rule,
            "words": (first.message if diagnosis is None else diagnosis.words)[:_WORDS_MOST],
        }
    return replace(found, labels=labels)


def _signal(name: str, subject: str, pipeline: str, now: float, *, is_true: bool) -> Signal:
    return Signal(
        name=name,
        layer=Layer.PLAN,
        subject=subject,
        at=now,
        value=float(is_true),
        labels={"pipeline": pipeline},
    )
