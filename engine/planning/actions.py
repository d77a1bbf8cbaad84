"""The loop that owns the actions `re-plan` and `retrain` of the watch loop.

Everything an action brings about is written in one commit together with the action's new state,
and every read is checked by version. A crash before the commit loses nothing but the time of
planning; a crash after it finds the action in its next state. So nothing happens twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine import runs
from engine.model.alarms import Action, ActionKind, ActionState, Event
from engine.model.dispatches import Run, RunCause, RunState, TaskRun, TaskState
from engine.model.errors import ConflictError, FinalError, InfeasibleError
from engine.model.fleet import Fleet
from engine.model.identifiers import MicroDollars, PipelineName, RunId
from engine.model.plans import Assignment, Mode, Plan, PlanRequest, task_key
from engine.model.records import (
    ABSENT,
    ACTIONS,
    DEPLOYMENTS,
    EVENTS,
    PIPELINES,
    PLANS,
    RUNS,
    TASK_RUNS,
    TERMS,
    Check,
    Put,
    Stored,
    Term,
    Write,
)
from engine.model.specs import Deadline, PipelineSpec, TaskKind
from engine.planning import differences, resizing, running
from engine.planning.planner import Planner
from engine.ports import Clock, FleetSource, Ledger


class ActionReconciler:
    """Carries out re-plans and retrainings.

    term: when given, nothing is written after a newer engine took over.
    """

    def __init__(
        self,
        ledger: Ledger,
        planner: Planner,
        fleet_source: FleetSource,
        clock: Clock,
        *,
        term: Term | None = None,
    ) -> None:
        self._ledger = ledger
        self._planner = planner
        self._fleet_source = fleet_source
        self._clock = clock
        self._term = term

    def step(self) -> bool:
        """Take every open action one state further; return whether anything changed.

        A compare-and-set that is lost leaves the action to the next step.
        """
        changed = False
        for stored in self._open(ActionKind.REPLAN, ActionState.WANTED):
            changed |= self._carried_out(stored)
        for stored in self._open(ActionKind.RESIZE, ActionState.WANTED):
            changed |= self._carried_out(stored)
        for stored in self._open(ActionKind.RETRAIN, ActionState.WANTED):
            changed |= self._carried_out(stored)
        for stored in self._open(ActionKind.RETRAIN, ActionState.STARTED):
            changed |= self._followed(stored)
        return changed

    def _open(self, kind: ActionKind, state: ActionState) -> Sequence[Stored[Action]]:
        where = {"kind": kind.value, "state": state.value}
        return self._ledger.select(ACTIONS, where=where, order_by="wanted_at")

    def _carried_out(self, stored: Stored[Action]) -> bool:
        action = stored.value
        try:
            if action.kind is ActionKind.REPLAN:
                return self._replan(stored)
            if action.kind is ActionKind.RESIZE:
                return self._resize(stored)
            return self._retrain(stored)
        except FinalError as error:
            failed = self._ended(action, ActionState.FAILED, f"{error.message} ({error.code})")
            return self._commit(f"plan.failed:{action.kind.value}", stored, failed, [])

    def _ended(self, action: Action, state: ActionState, result: str) -> Action:
        return replace(action, state=state, ended_at=self._clock.now(), result=result)

    def _commit(
        self, name: str, stored: Stored[Action], action: Action, writes: Sequence[Write]
    ) -> bool:
        """Write an action's new state with all it brings about; false when somebody was faster."""
        fence = [] if self._term is None else [Check(TERMS, "engine", self._term.number)]
        try:
            self._ledger.commit(name, [*fence, Put(ACTIONS, action, stored.version), *writes])
        except ConflictError:
            return False
        return True

    # Re-plan

    def _replan(self, stored: Stored[Action]) -> bool:
        action = stored.value
        affected = _affected(self._ledger, action)
        writes: list[Write] = []
        results: list[str] = []
        last: Plan | None = None
        for run in affected:
            old = _plan(self._ledger, run.value)
            last = self._around(run.value, old)
            difference = differences.diff(old, last)
            moved = replace(run.value, plan_id=last.plan_id)
            results.append(f"{run.value.run_id}: {differences.summary(difference)}")
            writes += [
                *_new_plan(self._ledger, last),
                Put(RUNS, moved, run.version),
                Put(EVENTS, self._news(moved, results[-1])),
            ]
        result = "; ".join(results) or f"nothing to move: no task depends on {action.subject}"
        done = self._ended(action, ActionState.DONE, result)
        if last is not None:
            done = replace(done, plan_id=last.plan_id, run_id=affected[-1].value.run_id)
        return self._commit("plan.replan", stored, done, writes)

    def _around(self, run: Run, old: Plan, sized: PipelineSpec | None = None) -> Plan:
        """Return a plan for what is left of a run, on the clusters that answer.

        sized: the pipeline with another size of its server, which starts anew then.
        """
        now = self._clock.now()
        fleet = running.current_fleet(self._ledger, self._fleet_source)
        tasks = _tasks(self._ledger, run.run_id)
        spec = sized or _spec(old, run.pipeline)
        fixed = self._standing(run, old, fleet, tasks)
        if sized is not None:
            servers = {task.name for task in spec.tasks if task.kind is TaskKind.SERVE}
            fixed = tuple(each for each in fixed if each.task not in servers)
        request = replace(
            old.request,
            pipelines=(_with_promise(spec, old),),
            fleet=fleet,
            as_of=now,
            fixed=fixed,
            moved_from={
                task_key(a.pipeline, a.task): f"{a.cluster}/{a.pool}"
                for a in old.placement.assignments
                if a.pipeline == run.pipeline
            },
            done={run.pipeline: tuple(t.task for t in tasks if t.state.is_terminal)},
            reservations=running.running_reservations(
                self._ledger,
                now,
                fleet=fleet,
                without_runs=[run.run_id],
                serving_planned=[run.pipeline],
            ),
        )
        return self._best(request)

    def _standing(
        self, run: Run, old: Plan, fleet: Fleet, tasks: Sequence[TaskRun]
    ) -> tuple[Assignment, ...]:
        """Return what runs of a pipeline and stays where it is.

        A running task on a cluster that does not answer counts as one without a place.
        """
        live = [task for task in tasks if task.state is TaskState.RUNNING]
        fixed = running.running_assignments(self._ledger, old, fleet, live)
        held_elsewhere = running.standing_servers(self._ledger, fleet, [run.pipeline])
        serving = {a.task for a in fixed}
        return fixed + tuple(a for a in held_elsewhere if a.task not in serving)

    def _resize(self, stored: Stored[Action]) -> bool:
        """Plan the server of a pipeline with another size; dispatching restarts it then.

        Raises:
            FinalError: when nothing serves any more, or no place has room for the new size.
        """
        action = stored.value
        deployment = self._ledger.get(DEPLOYMENTS, action.pipeline or "")
        run = self._ledger.get(RUNS, deployment.value.run_id) if deployment else None
        if deployment is None or run is None:
            raise FinalError(f"nothing serves {action.pipeline!r} any more", code="S012")
        old = _plan(self._ledger, run.value)
        spec = resizing.resized(_spec(old, run.value.pipeline), action.parameters)
        plan = self._around(run.value, old, spec)
        if plan.placement.unplaced:
            raise FinalError(resizing.no_room(plan), code="S012")
        started = replace(
            action,
            state=ActionState.STARTED,
            run_id=run.value.run_id,
            plan_id=plan.plan_id,
            result=f"plan {plan.plan_id} holds {resizing.in_words(action.parameters)}",
        )
        moved = replace(run.value, plan_id=plan.plan_id)
        writes = [
            *_new_plan(self._ledger, plan),
            Put(RUNS, moved, run.version),
            Put(EVENTS, self._news(moved, f"{action.subject}: {started.result}")),
        ]
        return self._commit("plan.resize", stored, started, writes)

    def _best(self, request: PlanRequest) -> Plan:
        """Return the plan in the asked mode, or the one that keeps most when not all can hold."""
        history = running.history(self._ledger)
        try:
            return self._planner.plan(request, history)
        except InfeasibleError:
            return self._planner.plan(replace(request, mode=Mode.MOST_SLA), history)

    def _news(self, run: Run, result: str) -> Event:
        return Event(
            event_id=f"replanned:{run.run_id}:{run.plan_id}",
            at=self._clock.now(),
            kind="plan",
            subject=f"pipeline:{run.pipeline}",
            message=f"plan {run.plan_id} is in force: {result}",
            labels={"run": run.run_id, "plan": run.plan_id, "pipeline": run.pipeline},
        )

    # Retrain

    def _retrain(self, stored: Stored[Action]) -> bool:
        action = stored.value
        spec = self._ledger.get(PIPELINES, action.pipeline or "")
        if spec is None:
            raise FinalError(f"there is no pipeline {action.pipeline!r} to train again")
        plan = self._fresh(spec.value)
        run = Run(
            run_id=runs.next_run_id(self._ledger),
            pipeline=spec.value.name,
            plan_id=plan.plan_id,
            cause=RunCause.RETRAIN,
            state=RunState.ACTIVE,
            created_at=self._clock.now(),
            owner=spec.value.owner,
            parameters=action.parameters,
            reason=action.super_alarm_id,
        )
        started = replace(
            action,
            state=ActionState.STARTED,
            run_id=run.run_id,
            plan_id=plan.plan_id,
            cost_micro_dollars=MicroDollars(
                sum(promise.run_cost_micro_dollars for promise in plan.placement.promises)
            ),
            result=f"{run.run_id} started under plan {plan.plan_id}",
        )
        writes = [*_new_plan(self._ledger, plan), *runs.creation(run, spec.value)]
        return self._commit("plan.retrain", stored, started, writes)

    def _fresh(self, spec: PipelineSpec) -> Plan:
        """Return a plan for a whole new run, its server staying where it is.

        Raises:
            FinalError: when a task has no place; such a run would wait for ever.
        """
        now = self._clock.now()
        fleet = running.current_fleet(self._ledger, self._fleet_source)
        template = _latest_request(self._ledger, spec.name)
        request = PlanRequest(pipelines=(spec,), fleet=fleet, as_of=now, seed=spec.seed)
        if template is not None:
            # Mode, slots and work limit of the last plan were somebody's choice.
            request = replace(
                template,
                pipelines=(spec,),
                fleet=fleet,
                as_of=now,
                done={},
                fixed=(),
                moved_from={},
            )
        request = replace(
            request,
            fixed=running.standing_servers(self._ledger, fleet, [spec.name]),
            reservations=running.running_reservations(
                self._ledger, now, fleet=fleet, serving_planned=[spec.name]
            ),
        )
        plan = self._best(request)
        if plan.placement.unplaced:
            first = plan.placement.unplaced[0]
            message = f"no cluster can run task {first.task!r}: {first.refusal.limit.value}"
            raise FinalError(message, code="S012")
        return plan

    def _followed(self, stored: Stored[Action]) -> bool:
        """Close a retraining whose run has ended."""
        action = stored.value
        run = self._ledger.get(RUNS, action.run_id or "")
        if run is None or run.value.state is RunState.ACTIVE:
            return False
        if run.value.state is not RunState.SUCCEEDED:
            reason = f": {run.value.reason}" if run.value.reason else ""
            result = f"{action.run_id} {run.value.state.value}{reason}"
            failed = self._ended(action, ActionState.FAILED, result)
            return self._commit("plan.retrain.failed", stored, failed, [])
        deployment = self._ledger.get(DEPLOYMENTS, run.value.pipeline)
        serving = deployment.value.serving if deployment else None
        result = f"{action.run_id} succeeded" + (f"; {serving} serves" if serving else "")
        done = self._ended(action, ActionState.DONE, result)
        return self._commit("plan.retrain.done", stored, done, [])


def _affected(ledger: Ledger, action: Action) -> list[Stored[Run]]:
    """Return the runs with something left to do that an action is about, oldest first."""
    cluster = action.subject.removeprefix("cluster:") if ":" in action.subject else ""
    found: dict[str, Stored[Run]] = {}
    for task in running.undecided_tasks(ledger):
        run = ledger.get(RUNS, task.run_id)
        if run is None or task.run_id in found:
            continue
        if action.pipeline is not None:
            concerned = task.pipeline == action.pipeline
        else:
            concerned = _place(ledger, run.value, task) == cluster
        if concerned:
            found[task.run_id] = run
    return sorted(found.values(), key=lambda stored: stored.value.created_at)


def _place(ledger: Ledger, run: Run, task: TaskRun) -> str | None:
    """Return the cluster where a task runs, or where its plan puts it."""
    if task.state is TaskState.RUNNING and task.cluster is not None:
        return task.cluster
    plan = ledger.get(PLANS, run.plan_id)
    assignment = plan.value.assignment(run.pipeline, task.task) if plan else None
    return assignment.cluster if assignment else None


def _plan(ledger: Ledger, run: Run) -> Plan:
    stored = ledger.get(PLANS, run.plan_id)
    if stored is None:
        raise FinalError(f"plan {run.plan_id!r} of run {run.run_id!r} is not stored", code="D001")
    return stored.value


def _tasks(ledger: Ledger, run_id: RunId) -> list[TaskRun]:
    found = ledger.select(TASK_RUNS, where={"run_id": run_id})
    return [stored.value for stored in found]


def _spec(plan: Plan, pipeline: PipelineName) -> PipelineSpec:
    return next(spec for spec in plan.request.pipelines if spec.name == pipeline)


def _with_promise(spec: PipelineSpec, old: Plan) -> PipelineSpec:
    """Return a spec with the deadline as the instant promised before.

    A deadline `in 30 min` counted anew from each re-plan would never come.
    """
    promised = next(
        (p.deadline_seconds for p in old.placement.promises if p.pipeline == spec.name), None
    )
    if promised is None:
        return spec
    return replace(spec, sla=replace(spec.sla, deadline=Deadline(at_seconds=promised)))


def _new_plan(ledger: Ledger, plan: Plan) -> list[Write]:
    """Return the write of a plan, none when the same plan is stored already."""
    return [] if ledger.get(PLANS, plan.plan_id) else [Put(PLANS, plan, ABSENT)]


def _latest_request(ledger: Ledger, pipeline: PipelineName) -> PlanRequest | None:
    """Return the request of the newest run's plan: its mode, slots and work limit hold again."""
    newest = ledger.select(
        RUNS, where={"pipeline": pipeline}, order_by="created_at", descending=True, limit=1
    )
    plan = ledger.get(PLANS, newest[0].value.plan_id) if newest else None
    return plan.value.request if plan else None
