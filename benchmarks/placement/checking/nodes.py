"""Which nodes of a pool tasks stand on, from the definition: the first on which there is room.

A pool that has room in sum but on too few single nodes is full. What others hold of a pool that
does not say on which nodes is taken of the first that have any of it left.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.placement.checking import rules
from benchmarks.placement.checking.loads import Load, Stretch
from benchmarks.placement.checking.rules import Violation
from engine.model.plans import Limit

if TYPE_CHECKING:
    from benchmarks.placement.checking.replay import Seat, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is taken of each of so many nodes."""

    count: int
    stretches: tuple[Stretch, ...]


class Nodes:
    """What is taken of each node of one pool."""

    def __init__(self, capacity: Sequence[int], count: int, held: Iterable[Stretch]) -> None:
        self._capacity = capacity
        self._taken: list[list[Stretch]] = [[] for _ in range(count)]
        for stretch in held:
            self._hold(*stretch)

    def loads(self) -> list[Load]:
        """Returns what is taken of each node over time."""
        return [Load.of(taken, self._capacity) for taken in self._taken]

    def first(self, wanted: Wanted) -> tuple[int, ...]:
        """Returns the first nodes with room for what is wanted; none if there are too few."""
        fit = [n for n, load in enumerate(self.loads()) if load.fits(wanted.stretches)]
        return tuple(fit[: wanted.count]) if len(fit) >= wanted.count else ()

    def take(self, nodes: Iterable[int], wanted: Wanted) -> None:
        """Takes what is wanted of some nodes."""
        for node in nodes:
            self._taken[node] += wanted.stretches

    def _hold(self, start: int, end: int, amounts: Sequence[int]) -> None:
        left = list(amounts)
        for taken in self._taken:
            load = Load.of(taken, self._capacity)
            most = load.used[load.during(start, max(end, start + 1))].max(axis=0)
            part = [
                min(want, max(have - int(used), 0))
                for want, have, used in zip(left, self._capacity, most, strict=True)
            ]
            left = [want - got for want, got in zip(left, part, strict=True)]
            taken.append((start, end, tuple(part)))


Seats = Mapping[str, "Seat"]


def of_pool(world: "World", pool: int, seats: Seats) -> Nodes:
    """Returns what tasks and others take of the nodes of a pool."""
    cluster, of = world.pools[pool]
    has = [math.floor(of.shape.resources.of(r) * 1000 + 1e-6) for r in rules.COUNTED]
    found = Nodes(has, of.node_count, world.reserved(cluster.name, of.name))
    here = [key for key, seat in seats.items() if seat.pool == pool]
    for group in {frozenset({key}) | (world.shared(key) & {*here}) for key in here}:
        keys = sorted(group)
        found.take(seats[keys[0]].nodes, wanted(world, keys, seats))
    return found


def wanted(world: "World", keys: Sequence[str], seats: Seats) -> Wanted:
    """Returns what a task, or tasks that share a seat, take of each of their nodes."""
    if len(keys) == 1 and not world.shared(keys[0]):
        count = world.way(keys[0], seats[keys[0]].pool).nodes
        return Wanted(
            count=count, stretches=_share(world.stretches(keys[0], seats[keys[0]]), count)
        )
    counts = [world.way(key, seats[key].pool).nodes for key in keys]
    every = [
        stretch
        for key, count in zip(keys, counts, strict=True)
        for stretch in _share(world.stretches(key, seats[key]), count)
    ]
    amounts = tuple(max(values) for values in zip(*(s[2] for s in every), strict=True))
    whole = (min(s[0] for s in every), max(s[1] for s in every), amounts)
    return Wanted(count=max(counts), stretches=(whole,))


def stand(world: "World", key: str, seat: "Seat", seats: Seats) -> dict[str, "Seat"]:
    """Returns where all stand once a task has come, on the first nodes that have room for it."""
    return _stood(world, {**seats, key: seat}, key)


def leave(world: "World", key: str, seats: Seats) -> dict[str, "Seat"]:
    """Returns where all stand once a task has gone; who shared its seat keep their first nodes."""
    left = {other: seat for other, seat in seats.items() if other != key}
    gone = seats.get(key)
    shares = [k for k in world.shared(key) if gone and k in left and left[k].pool == gone.pool]
    count = max((world.way(other, left[other].pool).nodes for other in shares), default=0)
    kept = {k: dataclasses.replace(left[k], nodes=left[k].nodes[:count]) for k in shares}
    return {**left, **kept}


def _stood(world: "World", seats: dict[str, "Seat"], key: str) -> dict[str, "Seat"]:
    pool = seats[key].pool
    if world.pools[pool][1].node_count <= 1:
        return seats
    group = _together(world, key, pool, seats)
    others = {other: seat for other, seat in seats.items() if other not in group}
    taken = of_pool(world, pool, others).first(wanted(world, group, seats))
    moved = {other: dataclasses.replace(seats[other], nodes=taken) for other in group}
    return {**seats, **moved}


def _together(world: "World", key: str, pool: int, seats: Seats) -> list[str]:
    shares = [k for k in world.shared(key) if k != key and k in seats and seats[k].pool == pool]
    return sorted([key, *shares])


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What others take of the nodes of a pool, as one task looks at them.

    loads: none where the pool is one node, so that its sum says all.
    """

    world: "World"
    key: str
    seats: Seats
    loads: Sequence[Load]

    def _wanted(self, seat: "Seat") -> Wanted:
        keys = _together(self.world, self.key, seat.pool, self.seats)
        return wanted(self.world, keys, {**self.seats, self.key: seat})

    def fits(self, seat: "Seat") -> bool:
        """Whether enough nodes have room, each on its own."""
        if not self.loads:
            return True
        asked = self._wanted(seat)
        return sum(load.fits(asked.stretches) for load in self.loads) >= asked.count

    def last_miss(self, seat: "Seat") -> int:
        """Returns until when too few nodes have room for a service; -1 for never."""
        if not self.loads:
            return -1
        asked = self._wanted(seat)
        ends = sorted(load.last_miss(asked.stretches) for load in self.loads)
        return ends[asked.count - 1]

    def shortage(self, seat: "Seat", name: str) -> Iterator[Violation]:
        """Yields the want of room of the node that lacks least of what it lacks most.

        Of all such nodes and resources, where several are as short.
        """
        if self.fits(seat):
            return
        asked = self._wanted(seat).stretches
        short = [
            [_violation(*found, name) for found in load.shortages(asked)]
            for load in self.loads
            if not load.fits(asked)
        ]
        worst = [max(one.shortage for one in of) for of in short]
        for of, most in zip(short, worst, strict=True):
            yield from (one for one in of if most == min(worst) and one.shortage == most)


def beside(world: "World", key: str, pool: int, seats: Seats) -> Beside:
    """Returns the nodes of a pool as they are without a task and those that share its seat."""
    shares = {k: seats[k] for k in _together(world, key, pool, seats) if k != key}
    others = {k: seat for k, seat in seats.items() if k != key and k not in shares}
    several = world.pools[pool][1].node_count > 1
    loads = of_pool(world, pool, others).loads() if several else []
    return Beside(world=world, key=key, seats=shares, loads=loads)


def _violation(resource: int, need: int, free: int, name: str) -> Violation:
    unit = f"{rules.COUNTED[resource].unit} on one node{name}"
    return Violation(limit=Limit.NODE_FIT, needs=need / 1000, has=free / 1000, unit=unit)


def _share(stretches: Iterable[Stretch], count: int) -> tuple[Stretch, ...]:
    return tuple((s, e, tuple(-(-a // count) for a in amounts)) for s, e, amounts in stretches)
