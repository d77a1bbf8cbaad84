"""Explanations held against the checker: deltas, break-evens and refusals of every task."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.placement.checking import replay, rules
from benchmarks.placement.checking.replay import Frame, Moved, Seat, World
from benchmarks.placement.checking.rules import Violation
from engine.model.fleet import Cluster, Pool
from engine.model.identifiers import MicroDollars
from engine.model.plans import (
    BreakEven,
    Explanation,
    PlacementProblem,
    Refusal,
    Ruling,
    Turning,
    Verdict,
    task_key,
)
from engine.model.specs import Deadline
from placement.settling import Settled

MIB_PER_GIB = 1024
CLOSE = 1e-9
HALF_MS = 0.0005
HIGH_LEVEL = 0.9


@dataclass(slots=True)
class Tally:
    """How much was looked at, and every fault with the plan and task it was found in."""

    plans: int = 0
    tasks: int = 0
    deltas: int = 0
    negative: int = 0
    refusals: int = 0
    break_evens: dict[str, int] = field(default_factory=dict)
    wrong_deltas: list[str] = field(default_factory=list)
    wrong_refusals: list[str] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)


def world_of(problem: PlacementProblem, found: Settled) -> World:
    """Returns a plan as the checker sees it: where each task stands and when, no more."""
    instance, plan = found.instance, found.plan
    levels = {str(line.spec.name): line.level for line in instance.lines}
    frame = Frame(
        ends_ms=instance.frame.end_ms,
        serving_ends_ms=instance.frame.serving_end_ms,
        levels=levels,
        shares=instance.frame.shares,
        slacks_ms={str(line.spec.name): line.slack_ms for line in instance.lines},
    )
    placed: Mapping[int, int] = {} if plan is None else plan.starts
    seats = {
        instance.jobs[index].key: Seat(
            pool=plan.options[index].pool_index,
            start_ms=start,
            nodes=tuple(plan.nodes.get(index, ())),
        )
        for index, start in placed.items()
        if plan is not None
    }
    return World(problem, frame, seats).settled()


def check(name: str, world: World, explanations: Sequence[Explanation], tally: Tally) -> None:
    """Checks every verdict and break-even of a plan."""
    tally.plans += 1
    for explanation in explanations:
        tally.tasks += 1
        key = task_key(explanation.pipeline, explanation.task)
        where = f"{name} {key}"
        if len(explanation.verdicts) != len(world.pools):
            tally.wrong_refusals.append(f"{where}: {len(explanation.verdicts)} verdicts")
        for pool, verdict in enumerate(explanation.verdicts):
            moved = world.moved(key, pool)
            if verdict.ruling is Ruling.REFUSED:
                tally.refusals += 1
                tally.wrong_refusals += [
                    f"{where} on {verdict.cluster}/{verdict.pool}: {fault}"
                    for fault in refusal_faults(verdict, moved)
                ]
            else:
                tally.deltas += 1
                tally.negative += (verdict.delta_micro_dollars or 0) < 0
                tally.wrong_deltas += [
                    f"{where} on {verdict.cluster}/{verdict.pool}: {fault}"
                    for fault in delta_faults(world, key, verdict, moved)
                ]
        for turning in explanation.break_evens:
            kind = turning.turning.value
            tally.break_evens[kind] = tally.break_evens.get(kind, 0) + 1
            tally.unconfirmed += [
                f"{where} {kind} {turning.value!r}: {fault}"
                for fault in break_even_faults(world, key, turning)
            ]


def delta_faults(world: World, key: str, verdict: Verdict, moved: Moved) -> Iterator[str]:
    """Yields what is wrong with a candidate that is said to be possible."""
    seat = world.seats.get(key)
    chosen = verdict.ruling is Ruling.CHOSEN
    here = None if seat is None else world.pools[seat.pool]
    if chosen != (here is not None and (here[0].name, here[1].name) == _place(verdict)):
        yield "is said to be chosen, and is not, or the other way round"
    if chosen:
        return
    if moved.seats is None:
        yield f"is said to be possible, but {moved.refused[:1]}"
        return
    change = moved.money - world.money(world.seats)
    if world.serves(key):
        change = round(change / world.problem.request.horizon_hours)
    if verdict.delta_micro_dollars != change:
        yield f"delta is {change}, not {verdict.delta_micro_dollars}"
    yield from start_faults(world, key, verdict, moved.seats[key])


def start_faults(world: World, key: str, verdict: Verdict, seat: Seat) -> Iterator[str]:
    """Yields what is wrong with when a task would start, which is told at the median.

    The tasks that it waits for seldom all take as long as they are planned to, at a high level: it
    starts no later then. At a low level nothing is known of the sum of what they take.
    """
    as_of, shown = world.problem.request.as_of, verdict.start_seconds
    first = last = as_of + seat.start_ms / 1000
    if any(upstream in world.seats for upstream in world.upstream(key)):
        level = world.frame.levels[world.tasks[key][0].name]
        first, last = as_of, last if level >= HIGH_LEVEL else math.inf
    if shown is None or not first - HALF_MS <= shown <= last + HALF_MS:
        yield f"would start between {first} and {last}, not {shown}"


def refusal_faults(verdict: Verdict, moved: Moved) -> Iterator[str]:
    """Yields what is wrong with a candidate that is said to be ruled out."""
    if moved.seats is not None:
        yield "is ruled out, but can be moved to"
        return
    binding = verdict.binding
    if binding is None:
        yield "names no limit"
        return
    static = [v for v in moved.refused if v.limit.value in rules.STATIC]
    if static:
        # The order of the closed list decides which static limit is named.
        first = min(static, key=lambda v: rules.STATIC.index(v.limit.value))
        # Several neighbours may forbid a pool: one of them is named.
        binds = [v for v in static if v.limit is first.limit]
    else:
        most = max(v.shortage for v in moved.refused)
        binds = [v for v in moved.refused if v.shortage >= most - CLOSE or v.shortage == most]
    if not any(is_same(binding, v) for v in binds):
        yield f"{binding} binds, not {binds[:2]}"
    for other in verdict.also:
        if other.limit.value in rules.STATIC and not any(is_same(other, v) for v in static):
            yield f"{other} is violated too, but is not"


def is_same(said: Refusal, found: Violation) -> bool:
    """Whether a refusal names a violated limit with the right numbers."""
    return (
        said.limit is found.limit
        and said.unit == found.unit
        and _is_close(said.needs, found.needs)
        and _is_close(said.has, found.has)
    )


def break_even_faults(world: World, key: str, turning: BreakEven) -> Iterator[str]:
    """Yields what an exact re-solve of the task says against a break-even value."""
    now = world.seats[key].pool
    there = next(
        index
        for index, (cluster, pool) in enumerate(world.pools)
        if (cluster.name, pool.name) == (turning.cluster, turning.pool)
    )
    moves, stays = _either_side(world, key, turning)
    best = moves.best(key)
    if there not in best or now in best:
        yield f"just past it the task stands best on {best}, not on {there}"
    best = stays.best(key)
    if now not in best:
        yield f"just before it the task stands best on {best}, not on {now}"


def _either_side(world: World, key: str, turning: BreakEven) -> tuple[World, World]:
    """Returns the worlds one step past a value, where the task moves, and one step before."""
    problem = world.problem
    place = (turning.cluster, turning.pool)
    if turning.turning is Turning.PRICE:
        value = round(turning.value)
        prices = (value - 1, value)
        return _both(world, *(with_price(problem, place, price) for price in prices))
    if turning.turning is Turning.DEADLINE:
        name = world.tasks[key][0].name
        seconds = round(turning.value - problem.request.as_of, 3)
        # Half a millisecond keeps the conversion of floats from deciding.
        ends = (seconds - HALF_MS, seconds + HALF_MS)
        return _both(world, *(with_deadline(problem, name, end) for end in ends))
    value = round(turning.value * MIB_PER_GIB)
    return _both(
        world, *(replay.with_memory(problem, key, mib / MIB_PER_GIB) for mib in (value, value + 1))
    )


def _both(world: World, past: PlacementProblem, before: PlacementProblem) -> tuple[World, World]:
    return world.changed(past), world.changed(before)


def with_price(problem: PlacementProblem, place: tuple[str, str], price: int) -> PlacementProblem:
    """Returns the problem in which a node of one pool has another price."""

    def change(cluster: Cluster, pool: Pool) -> Pool:
        if (cluster.name, pool.name) != place:
            return pool
        return dataclasses.replace(pool, price_micro_dollars_per_hour=MicroDollars(price))

    fleet = problem.request.fleet
    clusters = tuple(
        dataclasses.replace(c, pools=tuple(change(c, p) for p in c.pools)) for c in fleet.clusters
    )
    request = dataclasses.replace(
        problem.request, fleet=dataclasses.replace(fleet, clusters=clusters)
    )
    return dataclasses.replace(problem, request=request)


def with_deadline(problem: PlacementProblem, name: str, seconds: float) -> PlacementProblem:
    """Returns the problem in which one pipeline has another deadline."""
    pipelines = tuple(
        dataclasses.replace(
            p, sla=dataclasses.replace(p.sla, deadline=Deadline(within_seconds=seconds))
        )
        if p.name == name
        else p
        for p in problem.request.pipelines
    )
    request = dataclasses.replace(problem.request, pipelines=pipelines)
    return dataclasses.replace(problem, request=request)


def _place(verdict: Verdict) -> tuple[str, str]:
    return verdict.cluster, verdict.pool


def _is_close(said: float | str, found: float | str) -> bool:
    if isinstance(said, str) or isinstance(found, str):
        return said == found
    return math.isclose(said, found, rel_tol=1e-6, abs_tol=1e-6)
