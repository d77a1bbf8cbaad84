"""When tasks will start and end, at one level of their duration quantiles. Pure.

Ends are added along the graph at the same level, as if all tasks were slow together. P95 is
therefore an upper bound, which is the honest side for a promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.dispatching.readiness import FOR_ROOM, in_order
from engine.model.dispatches import Reason, TaskRun, TaskState
from engine.model.identifiers import TaskName
from engine.model.profiles import Quantiles
from engine.model.specs import PipelineSpec

_HALVINGS = 40
_NOBODY_KNOWS = frozenset({Reason.NO_PLACE, Reason.CLUSTER_DOWN})


@dataclass(frozen=True, slots=True)
class Span:
    """Start and end of a task as instants; None where nobody can tell."""

    start: float | None
    end: float | None


def spans(
    spec: PipelineSpec,
    tasks: Mapping[TaskName, TaskRun],
    durations: Mapping[TaskName, Quantiles | None],
    free_at: Mapping[str, float | None],
    *,
    now: float,
    level: float,
) -> dict[TaskName, Span]:
    """Return the span of every task of a run.

    durations: seconds where the task runs; None for one that runs until it is replaced.
    free_at: when each attempt that holds capacity will end, by `PIPELINE/TASK`.
    """
    found: dict[TaskName, Span] = {}
    for task in in_order(spec):
        run = tasks[task.name]
        duration = durations[task.name]
        if run.state.is_terminal:
            found[task.name] = Span(run.started_at, run.ended_at)
        elif run.state is TaskState.RUNNING:
            end = running_end(run.started_at or now, duration, now=now, level=level)
            found[task.name] = Span(run.started_at, end)
        else:
            start = _start(run, [found[name] for name in task.after], free_at, now)
            end = None if start is None or duration is None else start + duration.at(level)
            found[task.name] = Span(start, end)
    return found


def _start(
    run: TaskRun, before: list[Span], free_at: Mapping[str, float | None], now: float
) -> float | None:
    """Return when a waiting task may start: after those before it, and when there is room."""
    ends = [span.end for span in before]
    known = [end for end in ends if end is not None]
    if run.reason in _NOBODY_KNOWS or len(known) < len(ends):
        return None
    if run.reason in FOR_ROOM:
        room = [end for end in map(free_at.get, run.waiting_for) if end is not None]
        if not room:
            return None
        known.append(min(room))
    return max([now, run.not_before or now, *known])


def running_end(
    started_at: float, duration: Quantiles | None, *, now: float, level: float
) -> float | None:
    """Return when a task that runs will end, or None for one that runs until it is replaced."""
    if duration is None:
        return None
    return now + remaining_seconds(duration, now - started_at, level)


def remaining_seconds(duration: Quantiles, elapsed: float, level: float) -> float:
    """Return the quantile of the time left of a task that has run for `elapsed` seconds.

    It is that of the runs that took longer than `elapsed`; 0 once it is past all of them.
    """
    ended = level_of(duration, elapsed)
    return max(0.0, duration.at(ended + level * (1.0 - ended)) - elapsed)


def level_of(duration: Quantiles, elapsed: float) -> float:
    """Return the share of runs that have ended after `elapsed` seconds, within 1e-12."""
    if elapsed <= duration.at(0.0):
        return 0.0
    if elapsed >= duration.p99:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if duration.at(middle) < elapsed:
            low = middle
        else:
            high = middle
    return (low + high) / 2
