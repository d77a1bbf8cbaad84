"""At which price, deadline or memory a task would move, exactly, all others staying."""

from __future__ import annotations

from collections.abc import Mapping

from engine.model.plans import BreakEven, Turning
from engine.model.resources import Resource
from placement.problem.instance import Instance, Job, Option
from placement.search import moves
from placement.search.draft import Draft


def break_evens(
    instance: Instance, plan: Draft, job: Job, reached: Mapping[int, Draft | None]
) -> tuple[BreakEven, ...]:
    """Return the nearest turning value of each kind.

    reached: by pool the plan after the move there, None where the move is impossible.
    """
    if job.index not in plan.options:
        return ()
    ways = {index: draft for index, draft in reached.items() if draft is not None}
    found = [_price(instance, plan, job, ways), _deadline(instance, plan, job, ways)]
    return tuple(turning for turning in found if turning is not None)


def _price(
    instance: Instance, plan: Draft, job: Job, ways: Mapping[int, Draft]
) -> BreakEven | None:
    """Return the price of a possible pool under which it would win; that nearest to today's."""
    best: tuple[float, BreakEven] | None = None
    for index in ways:
        option = job.option(index)
        if option is None:
            continue
        change = moves.delta(instance, plan, job, option)
        price = option.pool.price_micro_dollars_per_hour
        if change <= 0 or option.objective <= change or price <= 0:
            continue
        value = price * (option.objective - change) / option.objective
        if best is None or change / option.objective < best[0]:
            best = (change / option.objective, _turning(Turning.PRICE, option, value))
    return best[1] if best else None


def _deadline(
    instance: Instance, plan: Draft, job: Job, ways: Mapping[int, Draft]
) -> BreakEven | None:
    """Return the deadline before which this task would have to run elsewhere."""
    now = last_end(instance, plan, job.line)
    sooner = [
        (moves.delta(instance, plan, job, option), index, option)
        for index, draft in ways.items()
        if (option := job.option(index)) is not None and last_end(instance, draft, job.line) < now
    ]
    if not sooner or instance.lines[job.line].deadline_ms is None:
        return None
    _, _, option = min(sooner, key=lambda way: way[:2])
    return _turning(Turning.DEADLINE, option, instance.instant(now))


def last_end(instance: Instance, plan: Draft, line: int) -> int:
    """Return when the last job of a pipeline but serving ends, at its planned level."""
    jobs = (instance.jobs[index] for index in instance.lines[line].jobs)
    return max(
        (plan.end_ms(j.index) for j in jobs if not j.serve and j.index in plan.options), default=0
    )


def _turning(turning: Turning, option: Option, value: float) -> BreakEven:
    units = {
        Turning.PRICE: "micro-dollars per node and hour",
        Turning.DEADLINE: "s since 1970",
        Turning.MEMORY: Resource.MEMORY.unit,
    }
    return BreakEven(
        turning=turning,
        cluster=option.cluster.name,
        pool=option.pool.name,
        value=value,
        unit=units[turning],
    )
