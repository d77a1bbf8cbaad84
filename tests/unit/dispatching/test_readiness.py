"""Which tasks may start: joins, skips, failures and conditions."""

from __future__ import annotations

import pytest

from engine.dispatching.readiness import ancestors, bounded, in_order, judge
from engine.model.dispatches import Reason, TaskRun, TaskState
from engine.model.identifiers import PipelineName, RunId, TaskName
from engine.model.specs import Join, TaskKind, TaskSpec
from engine.testing.samples import chain, pipeline

A, B, C = TaskName("a"), TaskName("b"), TaskName("c")


def ran(name: TaskName, state: TaskState, reason: Reason = Reason.NONE) -> TaskRun:
    return TaskRun(
        run_id=RunId("r-1"),
        pipeline=PipelineName("heart"),
        task=name,
        kind=TaskKind.ETL,
        state=state,
        reason=reason,
    )


def judged(join: Join, *upstream: TaskRun) -> tuple[TaskState, Reason]:
    task = TaskSpec(name=C, kind=TaskKind.ETL, after=tuple(r.task for r in upstream), join=join)
    judgement = judge(task, {run.task: run for run in upstream})
    return judgement.state, judgement.reason


DONE = TaskState.SUCCEEDED
SKIPPED = TaskState.SKIPPED
FAILED = TaskState.FAILED
STARTS = (TaskState.WAITING, Reason.NONE)
WAITS = (TaskState.WAITING, Reason.UPSTREAM)
SKIPS = (SKIPPED, Reason.UPSTREAM_SKIPPED)
FAILS = (SKIPPED, Reason.UPSTREAM_FAILED)


@pytest.mark.parametrize(
    ("join", "first", "second", "expected"),
    [
        (Join.ALL, DONE, DONE, STARTS),
        (Join.ALL, DONE, TaskState.RUNNING, WAITS),
        (Join.ALL, FAILED, TaskState.WAITING, WAITS),
        (Join.ALL, DONE, SKIPPED, SKIPS),
        (Join.ALL, FAILED, SKIPPED, FAILS),
        (Join.ALL, DONE, TaskState.CANCELLED, FAILS),
        (Join.ANY, DONE, SKIPPED, STARTS),
        (Join.ANY, DONE, FAILED, STARTS),
        (Join.ANY, SKIPPED, SKIPPED, SKIPS),
        (Join.ANY, FAILED, SKIPPED, FAILS),
        (Join.ANY, DONE, TaskState.WAITING, WAITS),
        (Join.DONE, FAILED, SKIPPED, STARTS),
        (Join.DONE, TaskState.CANCELLED, DONE, STARTS),
        (Join.DONE, DONE, TaskState.RUNNING, WAITS),
    ],
)
def test_two_upstream_tasks_decide(
    join: Join, first: TaskState, second: TaskState, expected: tuple[TaskState, Reason]
) -> None:
    assert judged(join, ran(A, first), ran(B, second)) == expected


@pytest.mark.parametrize("join", Join)
def test_a_task_without_upstream_starts(join: Join) -> None:
    assert judged(join) == STARTS


def test_a_failure_is_passed_on_through_skipped_tasks() -> None:
    assert judged(Join.ALL, ran(A, SKIPPED, Reason.UPSTREAM_FAILED)) == FAILS


def test_a_waiting_task_names_what_it_waits_for() -> None:
    task = TaskSpec(name=C, kind=TaskKind.ETL, after=(A, B))
    judgement = judge(task, {A: ran(A, DONE), B: ran(B, TaskState.RUNNING)})
    assert judgement.waiting_for == (B,)


def test_order_puts_every_task_after_its_upstream() -> None:
    tasks = [TaskSpec(name=C, kind=TaskKind.ETL, after=(A,)), TaskSpec(name=A, kind=TaskKind.ETL)]
    assert [task.name for task in in_order(pipeline(*tasks))] == [A, C]


def test_ancestors_are_direct_and_indirect() -> None:
    spec = chain()
    assert ancestors(spec, spec.task("package")) == ("etl", "train")
    assert ancestors(spec, spec.task("etl")) == ()


@pytest.mark.parametrize(
    ("running", "waiting_for"), [(TaskState.SUCCEEDED, ()), (TaskState.RUNNING, (A,))]
)
def test_a_loop_runs_no_more_at_once_than_it_may(
    running: TaskState, waiting_for: tuple[TaskName, ...]
) -> None:
    tasks = [
        TaskSpec(name=name, kind=TaskKind.ETL, loop=TaskName("l"), at_once=1) for name in (A, B)
    ]
    spec = pipeline(*tasks)
    runs = {A: ran(A, running), B: ran(B, TaskState.WAITING)}
    assert bounded(tasks[1], spec, runs).waiting_for == waiting_for
    assert bounded(tasks[1], spec, runs).may_start is (not waiting_for)
