"""Waiting tasks: each is skipped, told what it waits for, or given an attempt.

The intent is stored here before the executor is called; `launching` does that, and stores the
outcome after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.dispatching import (
    admission,
    deployments,
    launching,
    orders,
    remedying,
    suspending,
    turns,
)
from engine.dispatching.admission import pool_of
from engine.dispatching.desk import Desk, RunView
from engine.dispatching.grouping import Group
from engine.dispatching.launching import Launcher
from engine.dispatching.looping import has_turn
from engine.dispatching.preempting import Rooms
from engine.dispatching.readiness import MAY_START, Judgement, bounded, in_order, judge
from engine.model.dispatches import (
    Attempt,
    AttemptState,
    Deployment,
    Reason,
    Run,
    RunState,
    TaskRun,
    TaskState,
)
from engine.model.errors import FinalError
from engine.model.fleet import Fleet
from engine.model.identifiers import AttemptId, Digest, RunId, TaskName, attempt_id
from engine.model.records import (
    ABSENT,
    ATTEMPTS,
    DEPLOYMENTS,
    RUNS,
    TASK_RUNS,
    Put,
    Stored,
    Write,
)
from engine.model.remedies import Configuration
from engine.model.specs import TaskKind, TaskSpec

_RUNS_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class _Step:
    """What one pass over the waiting tasks shares."""

    fleet: Fleet
    live: dict[AttemptId, Stored[Attempt]]
    holders: admission.Holders
    group: Group
    begun: dict[RunId, set[TaskName]]
    """Tasks given an attempt in this pass; the views show them only once it is written."""
    rooms: Rooms
    intended: list[Stored[Attempt]]
    """Attempts whose intent was stored in this pass, and that nobody started yet."""

    def taken(self) -> list[Stored[Attempt]]:
        """Return the attempts to start, which are no longer waited with."""
        found = list(self.intended)
        self.intended.clear()
        return found


@dataclass(frozen=True, slots=True)
class Advanced:
    """What came of a pass over the waiting tasks.

    of_run: the runs that were gone through, kept up to date, so that nobody reads them again.
    """

    changed: bool
    of_run: dict[RunId, RunView]


def advance(desk: Desk, fleet: Fleet, live: dict[AttemptId, Stored[Attempt]]) -> Advanced:
    """Go through every waiting task once that does not pause, and start what is intended.

    Executors that start many at once begin while other tasks are still gone through; an intent is
    stored before its start all the same. Attempts whose cluster does not answer wait a step.

    live: attempts that hold capacity; those intended here are added.
    """
    changed = False
    group = Group(desk)
    holders = admission.Holders.of(stored.value for stored in live.values())
    for room in suspending.kept(desk, live.values()):
        holders.keep(room)
    intended = [each for each in live.values() if each.value.state is AttemptState.INTENDED]
    views: dict[RunId, RunView] = {}
    with Launcher(desk, fleet, views) as launcher:
        launcher.add(intended)
        rooms = Rooms(desk, fleet, live, holders)
        step = _Step(fleet, live, holders, group, {}, rooms, [])
        for view, task in _in_turn(desk, fleet, holders):
            views[view.run.run_id] = view
            waits = view.tasks[task.name].value
            pauses = (waits.not_before or 0.0) > desk.clock.now()
            if waits.state is TaskState.WAITING and not pauses:
                changed |= _advance(desk, view, task, step)
            if len(group) >= launching.STARTS_AT_ONCE:
                group.flush()
                launcher.add(step.taken())
        group.flush()
        launcher.add(step.taken())
        launcher.finish()
    return Advanced(changed | group.changed | launcher.changed, views)


def _in_turn(
    desk: Desk, fleet: Fleet, holders: admission.Holders
) -> Iterator[tuple[RunView, TaskSpec]]:
    """Yield the tasks of all runs: of each tenant those of its oldest run first, in their order.

    The next one is of the tenant that holds the least, what it was given in this pass included.
    """
    runs: dict[str, list[Stored[Run]]] = {}
    for run in _runs(desk):
        runs.setdefault(run.value.owner, []).append(run)
    has = admission.everything(fleet)
    tasks = {
        owner: ((view, task) for view in desk.views(each) for task in in_order(view.spec))
        for owner, each in runs.items()
    }
    return turns.least_first(tasks, lambda owner: holders.share(owner, has))


def _runs(desk: Desk) -> list[Stored[Run]]:
    """Return the runs with tasks that may wait: active ones, and those that own a server."""
    active = desk.ledger.select(
        RUNS, where={"state": RunState.ACTIVE.value}, order_by="created_at", limit=_RUNS_MOST
    )
    found = {stored.value.run_id: stored for stored in active}
    for deployment in desk.ledger.select(DEPLOYMENTS):
        owner = desk.run(deployment.value.run_id)
        if owner is not None and owner.value.state is not RunState.CANCELLED:
            found[owner.value.run_id] = owner
    return list(found.values())


def _advance(
    desk: Desk,
    view: RunView,
    task: TaskSpec,
    step: _Step,
) -> bool:
    judgement = _judged(desk, view, task, step)
    if not judgement.may_start:
        return _store(desk, view, task, judgement, step.group)
    deployment: Stored[Deployment] | None = None
    if task.kind is TaskKind.SERVE:
        deployment = desk.ledger.get(DEPLOYMENTS, view.spec.name)
        if deployment is None or deployment.value.run_id != view.run.run_id:
            return deployments.want(desk, view, task, step.live)
        if deployment.value.attempt_id is not None:
            # The last server's end is seen, but not yet noted in the deployment.
            return False
        if any(_serves(each.value, view, task) for each in step.live.values()):
            # The last server was given up, and may still be alive.
            return False
    return _begin(desk, view, task, deployment, step)


def _serves(attempt: Attempt, view: RunView, task: TaskSpec) -> bool:
    """Return whether an attempt is a server of the same task, of whatever run."""
    return (attempt.pipeline, attempt.task) == (view.spec.name, task.name)


def _judged(desk: Desk, view: RunView, task: TaskSpec, step: _Step) -> Judgement:
    """Return whether tasks before it, its condition and its loop let a task start."""
    asks = bool(task.after) or task.at_once is not None
    tasks = {name: stored.value for name, stored in view.tasks.items()} if asks else {}
    judgement = judge(task, tasks)
    if judgement.may_start:
        judgement = has_turn(task, tasks)
    if judgement.may_start:
        judgement = _condition(desk, view, task)
    if judgement.may_start:
        judgement = bounded(task, view.spec, tasks, step.begun.get(view.run.run_id, ()))
    return judgement


def _begin(
    desk: Desk,
    view: RunView,
    task: TaskSpec,
    deployment: Stored[Deployment] | None,
    step: _Step,
) -> bool:
    """Intend an attempt where there is room for it; else store what the task waits for."""
    fleet, holders = step.fleet, step.holders
    # Most tasks are started once: only others have attempts to look up.
    again = view.tasks[task.name].value.attempt > 0
    attempts = desk.attempts_of(view.run.run_id, task.name) if again else ()
    configuration = remedying.configured(attempts)
    planned = view.plan.assignment(view.spec.name, task.name)
    assignment = remedying.placed(planned, configuration, fleet)
    pool = pool_of(fleet, assignment.cluster, assignment.pool) if assignment else None
    if assignment is None or pool is None:
        nowhere = Judgement(reason=Reason.NO_PLACE, message="the plan has no place for it")
        return _store(desk, view, task, nowhere, step.group)
    executor = fleet.cluster(assignment.cluster).executor
    if executor not in desk.executors:
        nobody = Judgement(reason=Reason.NO_PLACE, message=f"there is no executor {executor!r}")
        return _store(desk, view, task, nobody, step.group)
    needed = remedying.with_memory(admission.need(assignment), configuration)
    asked = admission.Asked(view.run.run_id, assignment, needed)
    judgement = admission.admit(asked, fleet, holders)
    waiting = view.tasks[task.name].value
    left = suspending.of_task(waiting, step.live, assignment)
    if not judgement.may_start:
        makes_room = judgement.reason is Reason.CAPACITY and step.rooms.make(asked, view)
        if left is not None:
            judgement = suspending.waits(judgement, waiting)
        return _store(desk, view, task, judgement, step.group) | makes_room
    if left is None:
        made = _next(desk, view, asked, executor, configuration)
        intended = Stored(replace(made, begins=_left(attempts)), ABSENT)
    else:
        went_on = suspending.resumed(left.value, needed, desk.clock.now(), desk.term.number)
        intended = Stored(went_on, left.version)
    # It counts as a holder at once; if it cannot be stored, others wait a step longer for it.
    holders.add(intended.value)
    step.begun.setdefault(view.run.run_id, set()).add(task.name)
    _intend(view, intended, deployment, step)
    return False


def _condition(desk: Desk, view: RunView, task: TaskSpec) -> Judgement:
    """Evaluate `when`; outputs before it are final, so the answer never changes."""
    if task.when is None:
        return MAY_START
    try:
        holds = desk.conditions.holds(task.when, orders.condition_values(view, task))
    except FinalError as error:
        return Judgement(
            state=TaskState.FAILED, reason=Reason.CONDITION_ERROR, message=error.message
        )
    if holds:
        return MAY_START
    return Judgement(
        state=TaskState.SKIPPED, reason=Reason.CONDITION_FALSE, message=f"{task.when} is false"
    )


def _store(desk: Desk, view: RunView, task: TaskSpec, judgement: Judgement, group: Group) -> bool:
    """Store why a task waits, or that it is over, unless that is known already.

    What is over is stored at once: the tasks after it are judged by it in the same step.
    """
    stored = view.tasks[task.name]
    over = judgement.state.is_terminal
    judged = replace(
        stored.value,
        state=judgement.state,
        reason=judgement.reason,
        message=judgement.message,
        waiting_for=judgement.waiting_for,
        ended_at=desk.clock.now() if over else None,
    )
    if judged == stored.value:
        return False
    if not over:
        group.add(f"dispatch.wait:{task.name}", *_put(view, judged), done=_kept(view, judged))
        return False
    written = desk.commit(f"dispatch.{judgement.state.value}:{task.name}", *_put(view, judged))
    if written:
        _kept(view, judged)()
    return written


def _next(
    desk: Desk,
    view: RunView,
    asked: admission.Asked,
    executor: str,
    configuration: Configuration | None,
) -> Attempt:
    task = view.tasks[asked.assignment.task].value
    number = task.attempt + 1
    return Attempt(
        attempt_id=attempt_id(task.run_id, task.task, number),
        run_id=task.run_id,
        pipeline=task.pipeline,
        task=task.task,
        number=number,
        executor=executor,
        cluster=asked.assignment.cluster,
        pool=asked.assignment.pool,
        held=asked.needed,
        state=AttemptState.INTENDED,
        intended_at=desk.clock.now(),
        fence=desk.term.number,
        owner=view.spec.owner,
        configuration=configuration,
        # Only workers know of one another; a service on several nodes is one attempt all the same.
        nodes=asked.assignment.node_count if asked.assignment.workers else 1,
        workers=asked.assignment.workers,
    )


def _left(attempts: Sequence[Attempt]) -> Digest | None:
    """Return what the newest attempt left that left something."""
    found = [attempt.left for attempt in attempts if attempt.left is not None]
    return found[-1] if found else None


def _intend(
    view: RunView, intended: Stored[Attempt], deployment: Stored[Deployment] | None, step: _Step
) -> None:
    """Store the intent; the executor is called for it afterwards, and after every crash.

    intended: with the version that is stored.
    """
    attempt = intended.value
    running = replace(
        view.tasks[attempt.task].value,
        state=TaskState.RUNNING,
        reason=Reason.NONE,
        message="",
        waiting_for=(),
        not_before=None,
        attempt=attempt.number,
        cluster=attempt.cluster,
        pool=attempt.pool,
        started_at=attempt.intended_at,
        ended_at=None,
    )
    writes: list[Write] = [Put(ATTEMPTS, attempt, intended.version)]
    if deployment is not None:
        served = replace(deployment.value, attempt_id=attempt.attempt_id, endpoint="")
        writes.append(Put(DEPLOYMENTS, served, deployment.version))
    keep = _kept(view, running)

    def done() -> None:
        keep()
        stored = step.live[attempt.attempt_id] = Stored(attempt, intended.version + 1)
        step.intended.append(stored)

    step.group.add(f"dispatch.intend:{attempt.task}", *_put(view, running), *writes, done=done)


def _put(view: RunView, task: TaskRun) -> tuple[Write, ...]:
    return (Put(TASK_RUNS, task, view.tasks[task.task].version),)


def _kept(view: RunView, task: TaskRun) -> Callable[[], None]:
    """Return what keeps a view up to date once a task is stored."""
    version = view.tasks[task.task].version

    def keep() -> None:
        view.tasks[task.task] = Stored(task, version + 1)

    return keep
