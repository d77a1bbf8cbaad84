"""Whether a plan of any size may be: every rule from its definition, each task and node once."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.placement.checking import rules
from benchmarks.placement.checking.loads import Load, Stretch
from benchmarks.placement.checking.replay import Seat, World
from engine.model.specs import Join


def faults(world: World, nodes: Mapping[str, Sequence[int]]) -> list[str]:
    """Returns everything that is wrong with the plan of a world.

    nodes: by task which nodes of its pool it stands on.
    """
    found = [fault for key, seat in world.seats.items() for fault in _of_task(world, key, seat)]
    for bucket, seats in _by_bucket(world).items():
        load = world.load(bucket, seats)
        if (load.used > load.capacity).any():
            found.append(f"{' '.join(bucket)} holds more than it has")
    for pool in range(len(world.pools)):
        found += _of_nodes(world, nodes, pool)
    return found


def _of_task(world: World, key: str, seat: Seat) -> Iterator[str]:
    way = world.way(key, seat.pool)
    if way.violated:
        yield f"{key} may not stand on pool {seat.pool}: {way.violated[0].limit.value}"
    if seat.start_ms < world.ready(key, world.seats):
        yield f"{key} starts before what it waits for has ended"
    ends = seat.start_ms if world.serves(key) else seat.start_ms + way.duration_ms
    if ends > world.latest_ms(key):
        yield f"{key} is {ends - world.latest_ms(key)} ms late"
    upstream = [other in world.seats for other in world.upstream(key)]
    enough = any if world.tasks[key][1].join is Join.ANY else all
    if upstream and not enough(upstream):
        yield f"{key} waits for a task that has no place"


def _by_bucket(world: World) -> dict[tuple[str, str], dict[str, Seat]]:
    """Returns by pool and quota the tasks that draw on it."""
    found: dict[tuple[str, str], dict[str, Seat]] = {}
    for key, seat in world.seats.items():
        for bucket in world.bucket(key, seat.pool):
            found.setdefault(bucket, {})[key] = seat
    return found


def _of_nodes(world: World, nodes: Mapping[str, Sequence[int]], pool: int) -> list[str]:
    """Returns what is wrong with the nodes of one pool; tasks that share a seat are left out."""
    cluster, of = world.pools[pool]
    name = f"{cluster.name}/{of.name}"
    stretches: dict[int, list[Stretch]] = {}
    found: list[str] = []
    for key, seat in world.seats.items():
        if seat.pool != pool or world.shared(key):
            continue
        taken = nodes.get(key, ())
        if not taken or len({*taken}) < len(taken) or max(taken) >= of.node_count:
            found.append(f"{key} stands on the nodes {list(taken)} of {name}")
            continue
        for start, end, amounts in world.stretches(key, seat):
            part = tuple(-(-amount // len(taken)) for amount in amounts)
            for node in taken:
                stretches.setdefault(node, []).append((start, end, part))
    has = [int(of.shape.resources.of(r) * 1000 + 1e-6) for r in rules.COUNTED]
    for node, held in stretches.items():
        load = Load.of(held, has)
        if (load.used > load.capacity).any():
            found.append(f"node {node} of {name} holds more than it has")
    return found
