"""What the engine answers beside the values of `engine.model`."""

from __future__ import annotations

from dataclasses import dataclass

from engine.model.dispatches import Run
from engine.model.identifiers import MicroDollars, PipelineName, PlanId
from engine.model.plans import Mode, Plan
from engine.model.specs import PipelineSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAnswer:
    """A plan with what is no part of the document: how long the solver took.

    document: canonical JSON of the plan, byte for byte the same through every face.
    """

    plan: Plan
    document: str
    solved_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary:
    """One line about a stored plan."""

    plan_id: PlanId
    as_of: float
    mode: Mode
    pipelines: tuple[PipelineName, ...]
    task_count: int
    unplaced_count: int
    run_cost_micro_dollars: MicroDollars
    serving_micro_dollars_per_hour: MicroDollars
    gap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Pipelines without a fault, as they were understood, and what is worth a second look."""

    pipelines: tuple[PipelineSpec, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The runs of a plan. `again` is true when an earlier request had started them already."""

    plan_id: PlanId
    runs: tuple[Run, ...]
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that `berth doctor` looked at."""

    name: str
    fine: bool
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the engine and each of its loops is well."""

    version: str
    process: int
    started_at: float
    now: float
    loops: tuple[Finding, ...] = ()


def summary(plan: Plan) -> PlanSummary:
    """Return one line about a plan."""
    promises = plan.placement.promises
    return PlanSummary(
        plan_id=plan.plan_id,
        as_of=plan.request.as_of,
        mode=plan.request.mode,
        pipelines=tuple(pipeline.name for pipeline in plan.request.pipelines),
        task_count=len(plan.placement.assignments),
        unplaced_count=len(plan.placement.unplaced),
        run_cost_micro_dollars=MicroDollars(sum(p.run_cost_micro_dollars for p in promises)),
        serving_micro_dollars_per_hour=MicroDollars(
            sum(p.serving_micro_dollars_per_hour for p in promises)
        ),
        gap=plan.placement.gap,
    )
