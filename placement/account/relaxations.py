"""For a wish of a clashing set the cheapest change of it that ends the clash."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from engine.model.identifiers import MicroDollars
from engine.model.plans import PlacementProblem, task_key
from engine.model.specs import Affinity, BudgetPeriod, PipelineSpec, Within
from placement.account.wishes import (
    ANY_CHANCE,
    Wish,
    WishKind,
    affinities_of,
    affinity_text,
    budget_text,
    changed,
    near,
    pipeline_of,
    promised,
    with_fleet,
    without,
)
from placement.problem.building import DAYS_PER_MONTH, Terms, build
from placement.problem.candidates import MOST_REPLICAS_ADDED, availability
from placement.problem.instance import MILLISECONDS, Job
from placement.search import draft as drafts
from placement.search import greedy
from placement.search.model import solve
from placement.search.orders import Goal, Task, everything
from placement.search.solving import Effort, search

MOST_NODES = 64
KEEP_STEP = 0.01


def feasible(problem: PlacementProblem) -> int | None:
    """Return the money of a plan that keeps every wish; None when none was found."""
    instance = build(problem, Terms())
    request = problem.request
    effort = Effort(all_placed=True, seed=request.seed, work_limit=request.work_limit)
    plan = search(instance, effort).plan
    return None if plan is None else greedy.value(instance, plan)[1]


def relaxation(problem: PlacementProblem, wish: Wish) -> str:
    """Return the cheapest change of a wish, all others held, in words with its numbers."""
    ways: dict[WishKind, Callable[[PlacementProblem, Wish], str]] = {
        WishKind.BUDGET: _budget,
        WishKind.DEADLINE: _deadline,
        WishKind.KEEP: _keep,
        WishKind.REGIONS: _regions,
        WishKind.PROVIDERS: _providers,
        WishKind.AVAILABILITY: _availability,
        WishKind.LATENCY: _latency,
        WishKind.STAYING: lambda _problem, _wish: "machines that may be taken away",
        WishKind.BESIDE: _affinity,
        WishKind.APART: _affinity,
        WishKind.CAPACITY: _capacity,
    }
    return ways[wish.kind](problem, wish)


def duration_text(seconds: float) -> str:
    """Return a duration rounded up to its two largest units."""
    whole = math.ceil(seconds - 1e-9)
    if whole < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - minutes of an hour
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    minutes += bool(rest)
    if minutes < 2_880:  # noqa: PLR2004 - minutes of two days
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    hours = math.ceil(minutes / 60)
    return f"{hours // 24:,} d {hours % 24} h" if hours % 24 else f"{hours // 24:,} d"


def _least(problem: PlacementProblem, pipeline: str, goal: Goal) -> int:
    """Return the least value of a quantity of one pipeline over all plans."""
    instance = build(problem, Terms())
    line = next(n for n, of in enumerate(instance.lines) if of.spec.name == pipeline)
    task = Task(
        goal=goal,
        all_placed=True,
        seed=problem.request.seed,
        work_limit=problem.request.work_limit,
        line=line,
    )
    plan = solve(instance, task, everything(instance)).draft
    if plan is None:
        raise ValueError(f"no plan was found for {pipeline!r}, though there was one")
    if goal is Goal.END:
        jobs = [instance.jobs[i] for i in instance.lines[line].jobs]
        return max((plan.end_ms(job.index) for job in jobs if not job.serve), default=0)
    return drafts.spent(instance, plan.options, line)


def _budget(problem: PlacementProblem, wish: Wish) -> str:
    limits = pipeline_of(problem, wish).limits
    # The instance counts serving by the hour when the budget is by the month; without a budget
    # it would not know, so that an endless one stands for none.
    endless = replace(limits, budget_micro_dollars=MicroDollars(10**15))
    held = changed(problem, wish.pipeline, lambda p: replace(p, limits=endless))
    least = _least(held, wish.pipeline, Goal.SPENT)
    if limits.budget_period is BudgetPeriod.MONTH:
        least *= DAYS_PER_MONTH * 24
    if least >= 10_000:  # noqa: PLR2004 - from a cent on, cents
        least = math.ceil(least / 10_000) * 10_000
    return f"a {budget_text(least, limits.budget_period)} at least"


def _deadline(problem: PlacementProblem, wish: Wish) -> str:
    instance = build(problem, Terms())
    line = next(of for of in instance.lines if of.spec.name == wish.pipeline)
    late = _least(without(problem, [wish]), wish.pipeline, Goal.END) - (line.deadline_ms or 0)
    return f"a deadline {duration_text(late / MILLISECONDS)} later"


def _keep(problem: PlacementProblem, wish: Wish) -> str:
    asked = pipeline_of(problem, wish).sla.keep
    steps = math.floor((asked - ANY_CHANCE) / KEEP_STEP + 1e-9)
    low, high = 0, steps  # whole steps above the median: the first works, what is asked does not
    while high - low > 1:
        middle = (low + high) // 2
        keep = ANY_CHANCE + middle * KEEP_STEP
        tried = changed(problem, wish.pipeline, partial(_kept, keep=keep))
        low, high = (middle, high) if feasible(tried) is not None else (low, middle)
    return f"keep {ANY_CHANCE + low * KEEP_STEP:.2f} at most"


def _kept(pipeline: PipelineSpec, *, keep: float) -> PipelineSpec:
    return replace(pipeline, sla=replace(pipeline.sla, keep=keep))


def _regions(problem: PlacementProblem, wish: Wish) -> str:
    clusters = problem.request.fleet.clusters
    return _widened(problem, wish, "regions", "region", [c.region for c in clusters])


def _providers(problem: PlacementProblem, wish: Wish) -> str:
    clusters = problem.request.fleet.clusters
    return _widened(problem, wish, "providers", "provider", [c.provider.value for c in clusters])


def _widened(
    problem: PlacementProblem, wish: Wish, field: str, word: str, names: Sequence[str]
) -> str:
    """Return the one more name that makes the cheapest plan possible."""
    allowed = getattr(pipeline_of(problem, wish).limits, field)
    costs: list[tuple[int, str]] = []
    for name in dict.fromkeys(name for name in names if name not in allowed):
        wider = {field: (*allowed, name)}
        tried = changed(
            problem,
            wish.pipeline,
            partial(_limited, wider=wider),
        )
        money = feasible(tried)
        if money is not None:
            costs.append((money, name))
    return f"also {word} {min(costs)[1]}" if costs else f"any {word}"


def _limited(pipeline: PipelineSpec, *, wider: Mapping[str, tuple[str, ...]]) -> PipelineSpec:
    return replace(pipeline, limits=replace(pipeline.limits, **wider))  # type: ignore[arg-type]  # regions or providers, both of names


def _availability(problem: PlacementProblem, wish: Wish) -> str:
    job = _wishless(problem, wish)
    # More nodes are taken for a service that has to be there more often.
    most = max(job.profile.replicas, MOST_REPLICAS_ADDED)
    offered = {availability(o.cluster, count) for o in job.options for count in range(1, most + 1)}
    for value in sorted(offered, reverse=True):
        asked = math.floor(value * 1e6) / 1e6
        tried = changed(
            problem, wish.pipeline, partial(promised, task=wish.task, availability=asked)
        )
        if feasible(tried) is not None:
            return f"availability {asked * 100:.4f} % at most"
    return "no availability"


def _latency(problem: PlacementProblem, wish: Wish) -> str:
    offered = {o.latency_ms for o in _wishless(problem, wish).options if o.latency_ms is not None}
    for value in sorted(offered):
        asked = math.ceil(value * 10) / 10
        tried = changed(
            problem, wish.pipeline, partial(promised, task=wish.task, latency_ms_p99=asked)
        )
        if feasible(tried) is not None:
            return f"p99 {asked:g} ms at least"
    return "no p99"


def _affinity(problem: PlacementProblem, wish: Wish) -> str:
    """Return the least that an affinity must be loosened, all of its parts to the same length."""
    pipeline = pipeline_of(problem, wish)
    asked = affinities_of(pipeline, wish)
    # A machine lies in its cluster, a cluster in its region: nearness gives way upwards, and
    # distance downwards.
    steps = list(Within) if wish.kind is WishKind.BESIDE else list(Within)[::-1]
    for step in steps[1:]:
        loose = tuple(_loosened(affinity, steps, step) for affinity in asked)
        if loose == asked:
            continue
        tried = changed(problem, wish.pipeline, partial(near, wish=wish, affinities=loose))
        if feasible(tried) is not None:
            return affinity_text(wish.kind.value, loose)
    return f"not {wish.kind.value} them"


def _loosened(affinity: Affinity, steps: Sequence[Within], step: Within) -> Affinity:
    later = max(steps.index(affinity.within), steps.index(step))
    return replace(affinity, within=steps[later])


def _wishless(problem: PlacementProblem, wish: Wish) -> Job:
    """Return a serve task that gives up a promise: with the pools that may then run it."""
    instance = build(without(problem, [wish]), Terms())
    return next(j for j in instance.jobs if j.key == task_key(wish.pipeline, wish.task))


def _capacity(problem: PlacementProblem, _wish: Wish) -> str:
    """Return the pool in which more nodes cost least."""
    found: list[tuple[int, int, str]] = []
    for cluster, pool in ((c, p) for c in problem.request.fleet.clusters for p in c.pools):
        place = f"{cluster.name}/{pool.name}"
        count = _nodes(problem, cluster.name, pool.name)
        if count is not None:
            found.append((count * pool.price_micro_dollars_per_hour, count, place))
    if not found:
        return f"more than {MOST_NODES} nodes, or what others hold there"
    _, more, place = min(found)
    return f"{more} more node{'s' if more > 1 else ''} in {place}"


def _nodes(problem: PlacementProblem, cluster: str, pool: str) -> int | None:
    """Return how many more nodes of a pool are enough, by halving; None when many are not."""
    low, high = 0, MOST_NODES
    if feasible(_grown(problem, cluster, pool, high)) is None:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = feasible(_grown(problem, cluster, pool, middle)) is not None
        low, high = (low, middle) if enough else (middle, high)
    return high


def _grown(problem: PlacementProblem, cluster: str, pool: str, count: int) -> PlacementProblem:
    clusters = []
    for of in problem.request.fleet.clusters:
        pools = tuple(
            replace(p, node_count=p.node_count + count)
            if (of.name, p.name) == (cluster, pool)
            else p
            for p in of.pools
        )
        clusters.append(replace(of, pools=pools))
    return with_fleet(problem, replace(problem.request.fleet, clusters=tuple(clusters)))
