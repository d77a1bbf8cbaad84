"""Times and money that are too large to be counted exactly, told before anything is built.

The search counts milliseconds and micro-dollars in 64 bits. Bounds here are of everything one after
the other and at its dearest, so that no sum on the way is larger.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from engine.model.errors import Fault
from engine.model.fleet import Fleet
from engine.model.plans import PlacementProblem, PlanRequest
from placement.problem.deadlines import instant_of

MONEY_LIMIT = 2**60
"""Most micro-dollars that all tasks at their dearest may cost: sums stay within 64 bits."""

HOURS_LIMIT = 1e9
"""Most hours that all runs one after another may take, with the time until they may start: in
milliseconds that is far below what 64 bits hold, so that sums of times stay within them."""

HOUR_SECONDS = 3_600.0


def faults(problem: PlacementProblem) -> Iterator[Fault]:
    """Yield a fault for times, else for money, that 64 bits do not hold."""
    hours = _run_hours(problem) / _slowest(problem.request.fleet) + _wait_hours(problem.request)
    if not hours <= HOURS_LIMIT:
        yield Fault(
            code="S007",
            message=(
                f"the tasks may take {hours:.3g} hours one after another, "
                f"and {HOURS_LIMIT:.0e} are the most that is counted"
            ),
            path="profiles",
            fix="look for a run time, a deadline or a speed in the wrong unit",
        )
        return
    money = _node_money(problem) + _other_money(problem.request, hours)
    if not money <= MONEY_LIMIT:
        yield Fault(
            code="S007",
            message=(
                f"the tasks may cost {money:.3g} micro-dollars at their dearest, "
                f"and {MONEY_LIMIT} are the most that is counted"
            ),
            path="profiles",
            fix="look for a run time, a price or a volume in the wrong unit",
        )


def _run_hours(problem: PlacementProblem) -> float:
    """Return the reference hours of all runs one after another."""
    spans = (profile.duration_seconds for profile in problem.profiles.values())
    return sum(span.p99 for span in spans if span is not None) / HOUR_SECONDS


def _slowest(fleet: Fleet) -> float:
    """Return the least speed of any pool."""
    pools = (pool for cluster in fleet.clusters for pool in cluster.pools)
    return max(min((min(p.speed, p.speed_of(1)) for p in pools), default=1.0), 1e-300)


def _wait_hours(request: PlanRequest) -> float:
    """Return the hours of the horizon, or until the last instant that a pipeline names."""
    slas = (pipeline.sla for pipeline in request.pipelines)
    named = (instant for sla in slas for instant in (sla.deadline, sla.earliest_start) if instant)
    waits = (instant_of(instant, request.as_of) - request.as_of for instant in named)
    return max([request.horizon_hours * HOUR_SECONDS, *map(abs, waits)]) / HOUR_SECONDS


def _node_money(problem: PlacementProblem) -> float:
    """Return what all tasks cost on the dearest nodes."""
    dearest = max(_hourly(problem.request.fleet), default=0.0)
    hours = 0.0
    for profile in problem.profiles.values():
        span = profile.duration_seconds
        run = problem.request.horizon_hours if span is None else span.p99 / HOUR_SECONDS
        hours += run * max(profile.replicas, 1)
    return dearest * hours


def _hourly(fleet: Fleet) -> Iterator[float]:
    """Yield what an hour of reference time costs on each pool."""
    for cluster in fleet.clusters:
        for pool in cluster.pools:
            slowest = min(pool.speed, pool.speed_of(1))
            yield pool.price_micro_dollars_per_hour / slowest if slowest > 0 else math.inf


def _other_money(request: PlanRequest, hours: float) -> float:
    """Return what data, moves and lateness cost where all is as dear and as late as can be."""
    clusters = request.fleet.clusters
    prices = (p for cluster in clusters for p in cluster.transfer_micro_dollars_per_gib.values())
    dearest = float(max(prices, default=0))
    money = 0.0
    for pipeline in request.pipelines:
        sizes = (gib for t in pipeline.tasks for gib in (t.volume_gib, t.output_gib) if gib)
        largest = max(sizes, default=0.0)
        for task in pipeline.tasks:
            money += dearest * largest * (1 + len(task.after))
            money += pipeline.limits.move_micro_dollars or 0
        money += hours * (pipeline.sla.late_micro_dollars_per_hour or 0)
    return money
