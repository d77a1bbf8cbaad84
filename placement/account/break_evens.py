"""At which price, deadline or memory a task would move, exactly, all others staying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.model.fleet import NodeShape
from engine.model.plans import BreakEven, Limit, Refusal, Turning
from engine.model.resources import Resource
from placement.problem.building import with_memory
from placement.problem.instance import COUNTED, Instance, Job, Option
from placement.problem.needs import need_of
from placement.search import moves
from placement.search.draft import Draft

_HALVINGS = 40


def break_evens(
    instance: Instance, plan: Draft, job: Job, reached: Mapping[int, Draft | None]
) -> tuple[BreakEven, ...]:
    """Return the nearest turning value of each kind.

    reached: by pool the plan after the move there, None where the move is impossible.
    """
    if job.index not in plan.options:
        return ()
    ways = {index: draft for index, draft in reached.items() if draft is not None}
    found = [
        _price(instance, plan, job, ways),
        _deadline(instance, plan, job, ways),
        _memory(instance, plan, job),
    ]
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


def _memory(instance: Instance, plan: Draft, job: Job) -> BreakEven | None:
    """Return the memory under which a pool too small today would be the cheapest; the largest.

    Only for tasks of one process: less memory for each of several may change their nodes too.
    """
    if job.profile.replicas > 1:
        return None
    at = moves.bench(instance, plan, job)
    found: list[tuple[float, int, Option]] = []
    for index, refusals in job.refusals.items():
        if all(_on_memory(refusal) for refusal in refusals):
            value = _turning_memory(instance, plan, job, index)
            option = _option(instance, job, value, index) if value > 0 else None
            if option is not None and moves.moved(instance, plan, at, option) is not None:
                found.append((value, -index, option))
    if not found:
        return None
    value, _, option = max(found, key=lambda way: way[:2])
    return _turning(Turning.MEMORY, option, value)


def _on_memory(refusal: Refusal) -> bool:
    if refusal.limit is Limit.MEMORY:
        return True
    return refusal.limit is Limit.NODE_FIT and refusal.unit.startswith(Resource.MEMORY.unit)


def _turning_memory(instance: Instance, plan: Draft, job: Job, index: int) -> float:
    """Return the most memory with which a pool is cheaper than today's place; 0 for none.

    Both costs are linear in memory between the points at which memory begins to be the dominant
    share of a node, so that a crossing lies between two of them and is found by halving.
    """
    node = instance.pools[index][1].shape
    now = plan.options[job.index].pool.shape
    others = [_other_share(job, node), _other_share(job, now)]
    bends = [node.memory_gib * others[0], now.memory_gib * others[1]]
    points = [node.memory_gib, *sorted((b for b in bends if b < node.memory_gib), reverse=True)]
    above: float | None = None
    for point in points:
        if _is_cheaper(instance, plan, job, point, index):
            if above is None:
                return point
            low, high = point, above
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                cheaper = _is_cheaper(instance, plan, job, middle, index)
                low, high = (middle, high) if cheaper else (low, middle)
            return low
        above = point
    return 0.0


def _other_share(job: Job, node: NodeShape) -> float:
    """Return the largest share of a node that a job holds of anything but memory."""
    peak = need_of(job.spec, job.profile).peak
    has = node.resources
    shares = [
        held / has.of(resource)
        for resource, held in zip(COUNTED, peak, strict=True)
        if resource is not Resource.MEMORY and has.of(resource) > 0
    ]
    return max(shares)


def _is_cheaper(instance: Instance, plan: Draft, job: Job, memory: float, index: int) -> bool:
    there = _option(instance, job, memory, index)
    here = _option(instance, job, memory, plan.options[job.index].pool_index)
    if there is None or here is None:
        return False
    stays = replace(plan, options={**plan.options, job.index: here})
    return moves.delta(instance, stays, job, there) < 0


def _option(instance: Instance, job: Job, memory: float, index: int) -> Option | None:
    """Return the option on a pool with so much memory."""
    options = with_memory(instance, job, memory)
    return next((option for option in options if option.pool_index == index), None)


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
