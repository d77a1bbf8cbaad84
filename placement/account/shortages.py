"""Why a move that no static limit forbids is impossible all the same, with the numbers.

Lateness is measured on empty pools. Room is looked at where the move would then be in time: at
the moment at which the task (or one that waits for it) is ready, since any later start would be
for want of room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.model.plans import Limit, Refusal
from engine.model.resources import Resource
from placement.account.affinities import by_machines, by_pool
from placement.account.boards import Demand, ViewedBoard
from placement.account.standing import Place
from placement.problem.instance import COUNTED, MILLISECONDS, Job, Option
from placement.problem.limits import ordered
from placement.search import draft as drafts
from placement.search.draft import Draft

MICRO = 1_000_000


def shortages(place: Place, option: Option) -> tuple[Refusal, ...]:
    """Return what stands against a move, the shortest first; empty for one that is possible."""
    found = [*_bonds(place, option)]
    if found:
        return tuple(found)  # where others do not let it stand, nothing else is looked at
    found = [*_whole_budget(place, option)] or [*_upstream(place)]
    if found:
        return tuple(found)  # nothing else can be said of a task that nothing comes before
    found += [*_time(place, option)]
    late = bool(found)
    found += _budget(place, option)
    if not late:
        found += _room(place, option)
    return tuple(ordered(found))


def _whole_budget(place: Place, option: Option) -> Iterator[Refusal]:
    """Yield the want of money for a pipeline that is placed whole or not at all.

    Even where each of its other tasks takes its cheapest place, and no data are moved.
    """
    instance, job = place.instance, place.job
    jobs = instance.lines[job.line].jobs
    options = {**place.plan.options, job.index: option}
    if instance.budget is None or not place.is_torn(options):
        return
    for index in jobs:
        if index not in options:
            ways = instance.jobs[index].options
            if not ways:
                return  # it is this task that has no place at any price
            options[index] = min(ways, key=lambda way: way.objective)
    least = place.elsewhere + sum(options[index].objective for index in jobs)
    if least > instance.budget:
        yield Refusal(
            limit=Limit.BUDGET,
            needs=least / MICRO,
            has=instance.budget / MICRO,
            unit="USD for the whole plan",
        )


def _upstream(place: Place) -> Iterator[Refusal]:
    job, rest = place.job, place.bench.rest
    instance, needed = place.instance, [*job.upstream]
    if instance.whole:
        placed = {*rest.options, *place.bench.followers, job.index}
        needed += [i for i in instance.lines[job.line].jobs if i not in placed]
    missing = dict.fromkeys(instance.jobs[u].spec.name for u in needed if u not in rest.options)
    if not drafts.may_run(job, rest.options) or (instance.whole and missing):
        yield Refusal(
            limit=Limit.EARLIEST_START,
            needs=f"a place for {', '.join(missing)}",
            has="none in this plan",
        )


def _bonds(place: Place, option: Option) -> Iterator[Refusal]:
    yield from by_pool(place, option.pool_index)
    yield from by_machines(place, option)


def _time(place: Place, option: Option) -> Iterator[Refusal]:
    """Yield what is late even on empty pools: the last end, or the last start of a service."""
    instance, plan, at = place.instance, place.plan, place.bench
    ends = {at.job.index: drafts.ready_ms(at.job, at.rest) + option.duration_ms}
    known = {*plan.options, at.job.index}
    for index in at.followers:
        job = instance.jobs[index]
        before = [ends[u] if u in ends else plan.end_ms(u) for u in job.upstream if u in known]
        ends[index] = max([job.release_ms, *before]) + plan.options[index].duration_ms
    late = [i for i, end in ends.items() if end > instance.jobs[i].latest_ms]
    line = instance.lines[at.job.line]
    batch = [i for i in late if not instance.jobs[i].serve]
    if batch and line.deadline_ms is not None and not line.late_price:
        yield Refusal(
            limit=Limit.DEADLINE,
            needs=(max(ends[i] for i in batch) - line.slack_ms) / MILLISECONDS,
            has=line.deadline_ms / MILLISECONDS,
            unit="s",
        )
    elif late:
        worst = max(late, key=lambda i: ends[i] - instance.jobs[i].latest_ms)
        yield Refusal(
            limit=Limit.EARLIEST_START,
            needs=ends[worst] / MILLISECONDS,
            has=instance.jobs[worst].latest_ms / MILLISECONDS,
            unit="s",
        )


def _budget(place: Place, option: Option) -> Iterator[Refusal]:
    instance, job = place.instance, place.job
    line = instance.lines[job.line]
    tried = {**place.plan.options, job.index: option}
    if line.budget is not None and drafts.over_budget(instance, tried, job.line):
        yield Refusal(
            limit=Limit.BUDGET,
            needs=drafts.spent(instance, tried, job.line) / MICRO,
            has=line.budget / MICRO,
            unit="USD per hour" if line.budget_is_serving else "USD per run",
        )
    if instance.budget is not None and place.is_too_dear(option):
        yield Refusal(
            limit=Limit.BUDGET,
            needs=place.money(option) / MICRO,
            has=instance.budget / MICRO,
            unit="USD for the whole plan",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A job at the moment at which it is ready, on the board as it is then."""

    job: Job
    option: Option
    ready_ms: int
    board: ViewedBoard


def _room(place: Place, option: Option) -> Iterator[Refusal]:
    """Yield what is short where not all can be put back in time."""
    short = _stuck(place, option)
    if short is None:
        return
    job = short.job
    of = "" if job.index == place.job.index else f" for {job.spec.name}"
    at = (job, short.option, short.ready_ms)
    worst = _worst(short.board.demands(*at))
    if worst is not None:
        yield _refusal(Limit.SLOT_CAPACITY, worst, of)
        return
    # Room in sum, on no node: the node that lacks least of what it lacks most is named.
    nodes = [found for found in map(_worst, short.board.node_demands(*at)) if found is not None]
    if nodes:
        yield _refusal(Limit.NODE_FIT, min(nodes, key=_excess), f" on one node{of}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shortest:
    """The resource that is shortest, in thousandths of its unit."""

    resource: Resource
    needs: int
    free: int


def _worst(demands: Iterable[Demand]) -> _Shortest | None:
    """Return what is shortest of all that is asked at some time, if anything is short."""
    found = [short for short in map(_shortest, demands) if short is not None]
    return max(found, key=_excess, default=None)


def _shortest(demand: Demand) -> _Shortest | None:
    """Return the resource with the largest relative shortage, if any is short."""
    rows = zip(COUNTED, demand.amounts, demand.used, demand.capacity, strict=True)
    found = [_Shortest(resource=r, needs=n, free=max(c - u, 0)) for r, n, u, c in rows]
    return max((one for one in found if one.needs > one.free), key=_excess, default=None)


def _excess(found: _Shortest) -> float:
    return (found.needs - found.free) / max(found.free, 1)


def _refusal(limit: Limit, found: _Shortest, of: str) -> Refusal:
    return Refusal(
        limit=limit,
        needs=found.needs / MILLISECONDS,
        has=found.free / MILLISECONDS,
        unit=f"{found.resource.unit}{of}",
    )


def _stuck(place: Place, option: Option) -> _Ready | None:
    """Return the first job that finds no start in time, else what it waited for; None if all do.

    A job that is late without any want of room of its own is late because one before it waited.
    """
    instance, bench = place.instance, place.bench
    board = place.board
    placed, starts = dict(bench.rest.options), dict(bench.rest.starts)
    waited: _Ready | None = None
    chain = [(place.job.index, option), *((i, place.plan.options[i]) for i in bench.followers)]
    for number, (index, taken) in enumerate(chain):
        job = instance.jobs[index]
        ready = drafts.ready_ms(job, Draft(options=placed, starts=starts))
        here = _Ready(job=job, option=taken, ready_ms=ready, board=board)
        start = place.earliest(board, job, taken, ready)
        if start is None:
            in_time = ready + taken.duration_ms <= job.latest_ms
            return here if in_time or waited is None else waited
        if start > ready and waited is None:
            waited = here
        if place.may_be_met(chain, number):
            board = board.copy()  # the one before may be what is told of
            board.put(job, taken, start)
        placed[index], starts[index] = taken, start
    return None
