"""Whether a waiting task may start, from the states of the tasks before it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from engine.model.dispatches import Reason, TaskRun, TaskState
from engine.model.identifiers import TaskName
from engine.model.specs import Join, PipelineSpec, TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is to become of a waiting task; a waiting one without a reason may start."""

    state: TaskState = TaskState.WAITING
    reason: Reason = Reason.NONE
    message: str = ""
    waiting_for: tuple[str, ...] = ()

    @property
    def may_start(self) -> bool:
        """Whether nothing stands in its way."""
        return self.state is TaskState.WAITING and self.reason is Reason.NONE


MAY_START = Judgement()
FOR_ROOM = frozenset({Reason.CAPACITY, Reason.PREEMPTED})
"""Reasons of tasks that wait until others leave their pool."""


def in_order(spec: PipelineSpec) -> tuple[TaskSpec, ...]:
    """Return the tasks so that each stands after those it comes after."""
    graph = TopologicalSorter({task.name: task.after for task in spec.tasks})
    by_name = {task.name: task for task in spec.tasks}
    return tuple(by_name[name] for name in graph.static_order())


def ancestors(spec: PipelineSpec, task: TaskSpec) -> tuple[TaskName, ...]:
    """Return every task before a task, direct or not, in order."""
    found = set(task.after)
    if not found:
        return ()
    order = in_order(spec)
    for earlier in reversed(order):
        if earlier.name in found:
            found.update(earlier.after)
    return tuple(earlier.name for earlier in order if earlier.name in found)


def judge(task: TaskSpec, tasks: Mapping[TaskName, TaskRun]) -> Judgement:
    """Return whether the tasks right before it let a task start.

    tasks: every task of the run by name.
    """
    upstream = [tasks[name] for name in task.after]
    pending = tuple(run.task for run in upstream if not run.state.is_terminal)
    if pending:
        return Judgement(reason=Reason.UPSTREAM, waiting_for=pending)
    if task.join is Join.DONE:
        return MAY_START
    if task.join is Join.ANY:
        return _any(upstream)
    return _all(upstream)


def bounded(
    task: TaskSpec,
    spec: PipelineSpec,
    tasks: Mapping[TaskName, TaskRun],
    begun: Collection[TaskName] = (),
) -> Judgement:
    """Return whether the bound of its loop lets a task start beside those that run.

    begun: tasks that were just given an attempt, which `tasks` does not show yet.
    """
    if task.at_once is None:
        return MAY_START
    others = [other.name for other in spec.tasks if other.loop == task.loop]
    running = tuple(
        name for name in others if name in begun or tasks[name].state is TaskState.RUNNING
    )
    if len(running) < task.at_once:
        return MAY_START
    return Judgement(reason=Reason.LOOP, waiting_for=running)


def _all(upstream: Sequence[TaskRun]) -> Judgement:
    failed = [run for run in upstream if _failed(run)]
    # Turns beyond the end of a list are as if they had never been written down.
    skipped = [
        run
        for run in upstream
        if run.state is TaskState.SKIPPED and run.reason is not Reason.NO_VALUE
    ]
    if failed:
        return _skip(Reason.UPSTREAM_FAILED, failed)
    if skipped:
        return _skip(Reason.UPSTREAM_SKIPPED, skipped)
    return MAY_START


def _any(upstream: Sequence[TaskRun]) -> Judgement:
    if any(run.state is TaskState.SUCCEEDED for run in upstream):
        return MAY_START
    failed = [run for run in upstream if _failed(run)]
    if failed:
        return _skip(Reason.UPSTREAM_FAILED, failed)
    return _skip(Reason.UPSTREAM_SKIPPED, upstream) if upstream else MAY_START


def _failed(run: TaskRun) -> bool:
    # A task that was skipped because of a failure passes the failure on.
    if run.state is TaskState.SKIPPED:
        return run.reason is Reason.UPSTREAM_FAILED
    return run.state in {TaskState.FAILED, TaskState.CANCELLED}


def _skip(reason: Reason, because_of: Sequence[TaskRun]) -> Judgement:
    names = ", ".join(run.task for run in because_of)
    return Judgement(state=TaskState.SKIPPED, reason=reason, message=f"because of {names}")
