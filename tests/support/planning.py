"""A forecaster and a placer without models and solver, for tests of planning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.model.errors import InfeasibleError
from engine.model.fleet import Fleet
from engine.model.identifiers import FREE, MicroDollars, PipelineName
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
from engine.model.resources import Resources
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec
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
