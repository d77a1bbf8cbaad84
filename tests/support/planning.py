"""A forecaster and a placer without models and solver, for tests of planning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.model.alarms import Action, ActionKind, ActionState
from engine.model.dispatches import Attempt, AttemptState, Deployment, TaskState
from engine.model.errors import InfeasibleError
from engine.model.fleet import Fleet
from engine.model.identifiers import (
    FREE,
    AttemptId,
    ClusterName,
    Digest,
    MicroDollars,
    PipelineName,
    RunId,
    SuperAlarmId,
    TaskName,
)
from engine.model.plans import (
    Assignment,
    Limit,
    Mode,
    Placement,
    PlacementProblem,
    PlanRequest,
    Promise,
    Refusal,
    Unplaced,
)
from engine.model.profiles import Profile, RunRecord
from engine.model.records import (
    ATTEMPTS,
    DEPLOYMENTS,
    TASK_RUNS,
    Collection,
    Put,
    task_run_key,
)
from engine.model.resources import Resources
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec
from engine.ports import Ledger
from engine.testing import samples

NOW = 1_000.0
COST = MicroDollars(1_000)


class SampleForecaster:
    """Gives every task the same profile, and remembers the history it was given."""

    def __init__(self) -> None:
        self.history: Sequence[RunRecord] = ()

    def profile(
        self, pipeline: PipelineSpec, task: TaskSpec, fleet: Fleet, history: Sequence[RunRecord]
    ) -> Profile:
        self.history = history
        return samples.profile(task)


class FirstPlacer:
    """Puts every task on the first cluster that answers; fixed ones stay, done ones go.

    strict: whether `LEAST_COST` is infeasible; full: whether nothing has a place.
    """

    def __init__(self) -> None:
        self.strict = False
        self.full = False
        self.problems: list[PlacementProblem] = []

    def place(self, problem: PlacementProblem) -> Placement:
        self.problems.append(problem)
        request = problem.request
        if self.strict and request.mode is Mode.LEAST_COST:
            raise InfeasibleError("the budget cannot be kept")
        fixed = {(a.pipeline, a.task): a for a in request.fixed}
        tasks = [
            (spec.name, task)
            for spec in request.pipelines
            for task in spec.tasks
            if task.name not in request.done.get(spec.name, ())
        ]
        up = [cluster for cluster in request.fleet.clusters if cluster.reachable]
        placed = tuple(
            fixed.get((name, task.name)) or _assignment(request, name, task, up[0].name)
            for name, task in tasks
            if not self.full
        )
        refusal = Refusal(limit=Limit.MEMORY, needs=8.0, has=4.0, unit="GiB")
        return Placement(
            assignments=placed,
            unplaced=tuple(
                Unplaced(pipeline=name, task=task.name, refusal=refusal)
                for name, task in tasks
                if self.full
            ),
            explanations=(),
            sharing=(),
            promises=tuple(_promise(request, spec, placed) for spec in request.pipelines),
            objective_micro_dollars=FREE,
            bound_micro_dollars=FREE,
            gap=0.0,
            optimal=True,
        )


def _assignment(
    request: PlanRequest, pipeline: PipelineName, task: TaskSpec, cluster: str
) -> Assignment:
    plan = samples.plan(samples.pipeline(task, name=pipeline), samples.fleet(cluster))
    serve = task.kind is TaskKind.SERVE
    return replace(
        plan.placement.assignments[0],
        start_seconds=request.as_of,
        end_seconds_p50=None if serve else request.as_of + 10,
        end_seconds_p95=None if serve else request.as_of + 16,
        cost_micro_dollars=COST,
        held=Resources(cpu_cores=1.0, memory_gib=1.0),
    )


def _promise(request: PlanRequest, spec: PipelineSpec, placed: Sequence[Assignment]) -> Promise:
    deadline = spec.sla.deadline
    at = None
    if deadline is not None:
        at = deadline.at_seconds or request.as_of + (deadline.within_seconds or 0.0)
    return Promise(
        pipeline=spec.name,
        deadline_seconds=at,
        keep_asked=spec.sla.keep,
        keep_forecast=None,
        run_cost_micro_dollars=MicroDollars(sum(a.cost_micro_dollars for a in placed)),
        run_cost_micro_dollars_p95=FREE,
        serving_micro_dollars_per_hour=FREE,
    )


def put(ledger: Ledger, *records: tuple[Collection[Any], Any]) -> None:
    """Store records, whatever was there before."""
    ledger.commit("test", [Put(collection, value) for collection, value in records])


def live_attempt(run: str, task: str, cluster: str, *, pipeline: str = "heart") -> Attempt:
    """Return an attempt that runs since `NOW`."""
    return Attempt(
        attempt_id=AttemptId(f"{run}.{task}.1"),
        run_id=RunId(run),
        pipeline=PipelineName(pipeline),
        task=TaskName(task),
        number=1,
        executor="local",
        cluster=ClusterName(cluster),
        pool=samples.POOL,
        held=samples.HELD,
        state=AttemptState.RUNNING,
        intended_at=NOW,
        fence=1,
        started_at=NOW,
    )


def set_task(ledger: Ledger, run: str, task: str, state: TaskState, cluster: str = "") -> None:
    """Bring a stored task of a run into a state."""
    stored = ledger.get(TASK_RUNS, task_run_key(run, task))
    assert stored is not None
    where = ClusterName(cluster) if cluster else None
    put(ledger, (TASK_RUNS, replace(stored.value, state=state, cluster=where)))


def serving(ledger: Ledger, run: str, cluster: str) -> None:
    """Let the server of a run of `heart` be up on a cluster."""
    attempt = live_attempt(run, "serve", cluster)
    set_task(ledger, run, "serve", TaskState.RUNNING, cluster)
    deployment = Deployment(
        pipeline=attempt.pipeline,
        task=attempt.task,
        run_id=attempt.run_id,
        wanted=Digest("sha256:1"),
        attempt_id=attempt.attempt_id,
    )
    put(ledger, (ATTEMPTS, attempt), (DEPLOYMENTS, deployment))


def wanted(kind: ActionKind, subject: str, *, pipeline: str | None = None) -> Action:
    """Return an action that the watch loop wants."""
    return Action(
        action_id=f"{kind.value}:{subject}",
        kind=kind,
        state=ActionState.WANTED,
        super_alarm_id=SuperAlarmId("SA-1"),
        subject=subject,
        policy="test",
        wanted_at=NOW,
        pipeline=PipelineName(pipeline) if pipeline else None,
        parameters={"etl.unit.chol": "mmol/L"} if kind is ActionKind.RETRAIN else {},
    )
