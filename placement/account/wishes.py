"""Wishes that a plan may fail to keep together, and the problem without one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.model.fleet import Fleet
from engine.model.plans import PlacementProblem
from engine.model.specs import Affinity, BudgetPeriod, PipelineSpec, TaskSpec

ANY_CHANCE = 0.5
"""A pipeline that gives up its `keep` is planned at the median."""

PLENTY = 1_000


class WishKind(StrEnum):
    """What a wish is about."""

    BUDGET = "budget"
    DEADLINE = "deadline"
    KEEP = "keep"
    REGIONS = "regions"
    PROVIDERS = "providers"
    AVAILABILITY = "availability"
    LATENCY = "latency"
    STAYING = "machines that stay"
    BESIDE = "beside"
    APART = "apart from"
    CAPACITY = "capacity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One wish: of a pipeline, of a serve task of it, or (capacity) of nobody."""

    kind: WishKind
    pipeline: str = ""
    task: str = ""


def wishes(problem: PlacementProblem) -> list[Wish]:
    """Return every wish of a problem, capacity last."""
    found: list[Wish] = []
    for pipeline in problem.request.pipelines:
        limits, name = pipeline.limits, pipeline.name
        if limits.budget_micro_dollars is not None:
            found.append(Wish(kind=WishKind.BUDGET, pipeline=name))
        if pipeline.sla.has_hard_deadline:
            found.append(Wish(kind=WishKind.DEADLINE, pipeline=name))
            if pipeline.sla.keep > ANY_CHANCE:
                found.append(Wish(kind=WishKind.KEEP, pipeline=name))
        if limits.regions:
            found.append(Wish(kind=WishKind.REGIONS, pipeline=name))
        if limits.providers:
            found.append(Wish(kind=WishKind.PROVIDERS, pipeline=name))
        for task in pipeline.tasks:
            if not task.interruptible:
                found.append(Wish(kind=WishKind.STAYING, pipeline=name, task=task.name))
            if task.beside:
                found.append(Wish(kind=WishKind.BESIDE, pipeline=name, task=task.name))
            if task.apart_from:
                found.append(Wish(kind=WishKind.APART, pipeline=name, task=task.name))
            if task.serving is not None and task.serving.availability is not None:
                found.append(Wish(kind=WishKind.AVAILABILITY, pipeline=name, task=task.name))
            if task.serving is not None and task.serving.latency_ms_p99 is not None:
                found.append(Wish(kind=WishKind.LATENCY, pipeline=name, task=task.name))
    return [*found, Wish(kind=WishKind.CAPACITY)]


def named(problem: PlacementProblem, wish: Wish) -> str:
    """Return a wish as its author would write it."""
    if wish.kind is WishKind.CAPACITY:
        return "the capacity there is"
    pipeline = pipeline_of(problem, wish)
    limits, sla = pipeline.limits, pipeline.sla
    texts: dict[WishKind, Callable[[], str]] = {
        WishKind.BUDGET: lambda: budget_text(
            limits.budget_micro_dollars or 0, limits.budget_period
        ),
        WishKind.DEADLINE: lambda: "the deadline",
        WishKind.KEEP: lambda: f"keep {sla.keep:g}",
        WishKind.REGIONS: lambda: f"regions {', '.join(limits.regions)}",
        WishKind.PROVIDERS: lambda: f"providers {', '.join(limits.providers)}",
        WishKind.AVAILABILITY: lambda: f"availability {_serving(pipeline, wish, 'availability')}",
        WishKind.LATENCY: lambda: f"p99 {_serving(pipeline, wish, 'latency_ms_p99')} ms",
        WishKind.STAYING: lambda: WishKind.STAYING.value,
        WishKind.BESIDE: lambda: affinity_text("beside", pipeline.task(wish.task).beside),
        WishKind.APART: lambda: affinity_text("apart from", pipeline.task(wish.task).apart_from),
    }
    place = f"{wish.pipeline}/{wish.task}" if wish.task else wish.pipeline
    return f"{texts[wish.kind]()} of {place}"


def without(problem: PlacementProblem, given_up: Iterable[Wish]) -> PlacementProblem:
    """Return the problem in which some wishes are given up."""
    for wish in given_up:
        problem = _without(problem, wish)
    return problem


def changed(
    problem: PlacementProblem, name: str, change: Callable[[PipelineSpec], PipelineSpec]
) -> PlacementProblem:
    """Return the problem with one of its pipelines changed."""
    pipelines = tuple(change(p) if p.name == name else p for p in problem.request.pipelines)
    return replace(problem, request=replace(problem.request, pipelines=pipelines))


def with_fleet(problem: PlacementProblem, fleet: Fleet) -> PlacementProblem:
    """Return the problem on another fleet."""
    return replace(problem, request=replace(problem.request, fleet=fleet))


def promised(pipeline: PipelineSpec, task: str, **fields: float | None) -> PipelineSpec:
    """Return the pipeline in which one serve task promises something else."""

    def change(spec: TaskSpec) -> TaskSpec:
        if spec.name != task or spec.serving is None:
            return spec
        return replace(spec, serving=replace(spec.serving, **fields))  # type: ignore[arg-type]  # both fields are float | None

    return replace(pipeline, tasks=tuple(change(spec) for spec in pipeline.tasks))


def near(pipeline: PipelineSpec, wish: Wish, affinities: tuple[Affinity, ...]) -> PipelineSpec:
    """Return the pipeline in which the affinities that a wish is about are others."""

    def change(spec: TaskSpec) -> TaskSpec:
        if spec.name != wish.task:
            return spec
        if wish.kind is WishKind.BESIDE:
            return replace(spec, beside=affinities)
        return replace(spec, apart_from=affinities)

    return replace(pipeline, tasks=tuple(change(spec) for spec in pipeline.tasks))


def affinities_of(pipeline: PipelineSpec, wish: Wish) -> tuple[Affinity, ...]:
    """Return the affinities that a wish is about."""
    task = pipeline.task(wish.task)
    return task.beside if wish.kind is WishKind.BESIDE else task.apart_from


def affinity_text(key: str, affinities: Iterable[Affinity]) -> str:
    """Return affinities as they would be told: `beside etl in one cluster`."""
    preposition = "in one" if key == "beside" else "in another"
    texts = []
    for affinity in affinities:
        labels = [f"{name}={value}" for name, value in affinity.labels.items()]
        named = ", ".join([*affinity.tasks, *labels])
        texts.append(f"{named} {preposition} {affinity.within.value}")
    return f"{key} {' and '.join(texts)}"


def pipeline_of(problem: PlacementProblem, wish: Wish) -> PipelineSpec:
    """Return the pipeline whose wish it is."""
    return next(p for p in problem.request.pipelines if p.name == wish.pipeline)


def budget_text(micro_dollars: int, period: BudgetPeriod) -> str:
    """Return a budget in dollars; small ones with all their digits."""
    dollars = micro_dollars / 1_000_000
    digits = 2 if micro_dollars % 10_000 == 0 else 6
    return f"budget {dollars:.{digits}f} USD per {period.value}"


def _serving(pipeline: PipelineSpec, wish: Wish, field: str) -> str:
    return f"{getattr(pipeline.task(wish.task).serving, field):g}"


def _without(problem: PlacementProblem, wish: Wish) -> PlacementProblem:
    if wish.kind is WishKind.CAPACITY:
        request = replace(problem.request, reservations=())
        return with_fleet(replace(problem, request=request), _ample(problem.request.fleet))
    changes: dict[WishKind, Callable[[PipelineSpec], PipelineSpec]] = {
        WishKind.BUDGET: lambda p: replace(p, limits=replace(p.limits, budget_micro_dollars=None)),
        WishKind.DEADLINE: lambda p: replace(p, sla=replace(p.sla, deadline=None)),
        WishKind.KEEP: lambda p: replace(p, sla=replace(p.sla, keep=min(p.sla.keep, ANY_CHANCE))),
        WishKind.REGIONS: lambda p: replace(p, limits=replace(p.limits, regions=())),
        WishKind.PROVIDERS: lambda p: replace(p, limits=replace(p.limits, providers=())),
        WishKind.AVAILABILITY: lambda p: promised(p, wish.task, availability=None),
        WishKind.LATENCY: lambda p: promised(p, wish.task, latency_ms_p99=None),
        WishKind.STAYING: lambda p: replace(
            p,
            tasks=tuple(
                replace(t, interruptible=True) if t.name == wish.task else t for t in p.tasks
            ),
        ),
        WishKind.BESIDE: lambda p: near(p, wish, ()),
        WishKind.APART: lambda p: near(p, wish, ()),
    }
    return changed(problem, wish.pipeline, changes[wish.kind])


def _ample(fleet: Fleet) -> Fleet:
    """Return a fleet with many times its nodes and without quotas; what is not there stays so."""
    clusters = []
    for cluster in fleet.clusters:
        pools = tuple(replace(p, node_count=p.node_count * PLENTY) for p in cluster.pools)
        clusters.append(replace(cluster, pools=pools, quota={}))
    return replace(fleet, clusters=tuple(clusters))
