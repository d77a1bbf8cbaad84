"""The cheapest plan of a small request by trying every pool for every task in every order.

For tasks whose needs do not change while they run: then an order with each task as early as it
fits is enough, because ending earlier never hurts; a service comes after what it waits for.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

from benchmarks.placement.checking import affinities, nodes
from benchmarks.placement.checking.replay import DAY_MS, HOUR_MS, Frame, Seat, World
from engine.model.plans import PlacementProblem


def cheapest(problem: PlacementProblem) -> int | None:
    """Returns the money of the cheapest plan that keeps every wish; None for no plan."""
    world = World(problem, frame_of(problem), {})
    keys = list(world.tasks)
    ways = [
        [pool for pool in range(len(world.pools)) if not world.way(key, pool).violated]
        for key in keys
    ]
    chosen = [dict(zip(keys, pools, strict=True)) for pools in itertools.product(*ways)]
    best: int | None = None
    # Only the cheapest that fits is asked for; who waits may be late, at a price.
    for money, pools in sorted(
        ((world.money(_anywhere(c)), c) for c in chosen), key=lambda pair: pair[0]
    ):
        if best is not None and money >= best:
            break
        near = affinities.are_kept(world, _anywhere(pools))
        found = _least(world, pools) if near and _is_paid(world, pools) else None
        if found is not None and (best is None or found < best):
            best = found
    return best


def frame_of(problem: PlacementProblem) -> Frame:
    """Returns until when tasks are looked at: long enough for all runs one by one."""
    request = problem.request
    pools = [p for c in request.fleet.clusters for p in c.pools]
    slowest = min((p.speed for p in pools), default=1.0)
    runs = [p.duration_seconds for p in problem.profiles.values()]
    last = sum(run.p99 / slowest for run in runs if run is not None)
    for pipeline in request.pipelines:
        deadline = pipeline.sla.deadline
        if deadline is not None and deadline.within_seconds is not None:
            last = max(last, deadline.within_seconds)
    horizon = request.horizon_hours * HOUR_MS
    ends = max(horizon, math.ceil(last * 1000)) + horizon
    return Frame(
        ends_ms=ends,
        serving_ends_ms=min(ends, max(2 * horizon, 14 * DAY_MS)),
        levels={},
        shares={},
    )


def _anywhere(pools: dict[str, int]) -> dict[str, Seat]:
    return {key: Seat(pool=pool, start_ms=0) for key, pool in pools.items()}


def _is_paid(world: World, pools: dict[str, int]) -> bool:
    seats = _anywhere(pools)
    for pipeline in world.problem.request.pipelines:
        budget = world.budget(pipeline)
        if budget is not None and world.spent(pipeline, seats) > budget:
            return False
    return True


def _least(world: World, pools: dict[str, int]) -> int | None:
    """Returns the least money over all orders in which tasks take their pools; None for none."""
    # Late on empty pools is late in every order.
    alone: dict[str, Seat] = {}
    for key, pool in pools.items():
        alone[key] = Seat(pool=pool, start_ms=world.ready(key, alone))
        if world.end(key, alone) > world.latest_ms(key):
            return None
    best: int | None = None
    for order in _orders(world, list(pools)):
        seats = _in_order(world, pools, order)
        if seats is not None:
            money = world.money(seats)
            best = money if best is None else min(best, money)
            if all(p.sla.late_micro_dollars_per_hour is None for p, _ in world.tasks.values()):
                break
    return best


def _orders(world: World, keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for order in itertools.permutations(keys):
        places = {key: number for number, key in enumerate(order)}
        if all(places[u] < places[key] for key in keys for u in world.upstream(key)):
            yield order


def _in_order(world: World, pools: dict[str, int], order: Sequence[str]) -> dict[str, Seat] | None:
    seats: dict[str, Seat] = {}
    for key in order:
        start = world.earliest(key, pools[key], world.ready(key, seats), seats)
        if start is None:
            return None
        seats = nodes.stand(world, key, Seat(pool=pools[key], start_ms=start), seats)
    return seats
