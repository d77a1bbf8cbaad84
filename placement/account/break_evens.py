"""At which price or deadline a task would move, exactly, all others staying.

Values stand on the grid of what can be written: whole micro-dollars, milliseconds, MiB. One step
past a value the task moves, at the value (of memory: one step above it) it stays.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.model.plans import BreakEven, Turning
from engine.model.resources import Resource
from placement.account.memory import turning_memory
from placement.account.standing import Place
from placement.account.variants import unpriced, with_price
from placement.problem.instance import Instance, Option
from placement.search import moves
from placement.search.draft import Draft


def break_evens(place: Place, reached: Mapping[int, Draft | None]) -> tuple[BreakEven, ...]:
    """Return the nearest turning value of each kind.

    reached: by pool the plan after the move there, None where the move is impossible.
    """
    if place.job.index not in place.plan.options:
        return ()
    ways = {index: draft for index, draft in reached.items() if draft is not None}
    found = [_price(place, ways), _deadline(place, ways), _memory(place)]
    return tuple(turning for turning in found if turning is not None)


def _price(place: Place, ways: Mapping[int, Draft]) -> BreakEven | None:
    """Return the price of a possible pool under which it would win; that nearest to today's."""
    best: tuple[float, Option, int] | None = None
    for index in ways:
        option = place.job.option(index)
        if option is None:
            continue
        change = moves.change(place.instance, place.plan, place.job, option, ways[index])
        # What no price lowers: of a move that itself costs something.
        floor = unpriced(place.instance, place.job, index)
        if change <= 0 or option.objective - floor <= change:
            continue
        if best is None or change / option.objective < best[0]:
            best = (change / option.objective, option, option.objective - change)
    if best is None:
        return None
    _, option, target = best
    return _turning(Turning.PRICE, option, float(_turning_price(place, option, target)))


def _turning_price(place: Place, option: Option, target: int) -> int:
    """Return the least price of a node at which the job costs at least `target` on its pool.

    Costs are proportional to prices but for rounding: the estimate is off by what a micro-dollar
    of the cost is worth, which brackets the answer that halving then finds.
    """

    def is_reached(price: int) -> bool:
        there = with_price(place.instance, place.job, option.pool_index, price)
        return there is None or there.objective >= target

    today = int(option.pool.price_micro_dollars_per_hour)
    near = round(today * target / option.objective)
    step = max(today // option.objective, 1)
    low, high = max(near - step, 0), min(near + step, today)
    while low > 0 and is_reached(low):
        low, step = max(low - step, 0), 2 * step
    while high < today and not is_reached(high):
        high, step = min(high + step, today), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_reached(middle) else (middle, high)
    return high


def _deadline(place: Place, ways: Mapping[int, Draft]) -> BreakEven | None:
    """Return the deadline before which this task would have to run elsewhere."""
    instance, plan, job = place.instance, place.plan, place.job
    now = last_end(instance, plan, job.line)
    sooner = [
        (moves.delta(instance, plan, job, option), index, option)
        for index, draft in ways.items()
        if (option := job.option(index)) is not None and last_end(instance, draft, job.line) < now
    ]
    line = instance.lines[job.line]
    if not sooner or line.deadline_ms is None or line.late_price:
        return None
    _, _, option = min(sooner, key=lambda way: way[:2])
    return _turning(Turning.DEADLINE, option, instance.instant(now - line.slack_ms))


def _memory(place: Place) -> BreakEven | None:
    found = turning_memory(place)
    return None if found is None else _turning(Turning.MEMORY, *found)


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
