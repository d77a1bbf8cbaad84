"""The cheapest way to put one pipeline on a board where its tasks follow one another.

A best-first search (A*) over pool after pool. What the rest of a chain costs at least, as if all
pools were empty, guides it, so that where there is room it looks at little more than the answer.
On a given board an earlier end is never worse, and a pool's first start is enough; of two ways to
reach a cluster the dearer one that ends no earlier is dropped. What is left is exact.

The method is that of label-setting for resource-constrained shortest paths (Irnich and
Desaulniers, 2005) with a completion bound.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from placement.problem import transfers
from placement.problem.instance import Edge, Instance, Job, Line, Option
from placement.search.board import Board

LABEL_LIMIT = 20_000
"""Ways to look at for one pipeline; past them what was reached so far counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Places of the first jobs of a chain, all of them if `whole`; labels looked at to find it."""

    options: Mapping[int, Option]
    starts: Mapping[int, int]
    whole: bool
    labels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Label:
    """A chain placed up to one of its jobs."""

    option: Option
    start: int
    money: int
    before: _Label | None

    @property
    def end(self) -> int:
        return self.start + self.option.duration_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One pipeline whose jobs follow one another.

    own: by position and option what the option adds by itself, with inputs that lie elsewhere.
    moves: by position and pair of clusters what the data cost that the job hands to the next.
    rest: by position and cluster the least money of all later jobs.
    """

    jobs: tuple[Job, ...]
    own: tuple[tuple[int, ...], ...]
    moves: tuple[Mapping[tuple[str, str], int], ...]
    rest: tuple[Mapping[str, int], ...]
    limit: int | None

    def least(self) -> int:
        """Return the least money of the whole chain, as if all pools were empty."""
        return min(
            (
                own + self.rest[0][option.cluster.name]
                for option, own in zip(self.jobs[0].options, self.own[0], strict=True)
            ),
            default=0,
        )


def chain_of(instance: Instance, line: Line) -> Chain | None:
    """Return a pipeline as a chain; None where its jobs do not simply follow one another."""
    jobs = tuple(instance.jobs[index] for index in line.jobs)
    if line.late_price:
        return None  # what a late end costs is not known before the end
    if not jobs or not _follow(jobs) or not all(job.options for job in jobs):
        return None
    limit = None
    if line.budget is not None:
        if any(job.serve for job in jobs):
            return None
        limit = line.budget - line.spent
    edges = [instance.edges[index] for index in instance.line_edges[jobs[0].line]]
    own = tuple(tuple(_own(edges, job, option) for option in job.options) for job in jobs)
    moves = tuple(
        _moves(edges, jobs[i], jobs[i + 1]) if i + 1 < len(jobs) else {} for i in range(len(jobs))
    )
    return Chain(jobs=jobs, own=own, moves=moves, rest=_rest(jobs, own, moves), limit=limit)


def _follow(jobs: Sequence[Job]) -> bool:
    """Whether jobs follow one another, each with a seat of its own."""
    waits = [(), *((job.index,) for job in jobs[:-1])]
    # What one job must share with another is no matter of ends, by which ways are compared.
    inside = {job.index for job in jobs}
    if any(bond.other in inside for job in jobs for bond in job.bonds):
        return False
    return all(
        job.seat < 0 and job.upstream == upstream for job, upstream in zip(jobs, waits, strict=True)
    )


def cheapest(chain: Chain, board: Board, room: int | None) -> Way:
    """Return the cheapest way to place a chain in time on what is left; else its longest start.

    room: most money that may be added; None for no limit. The board is not changed.
    """
    limits = [limit for limit in (room, chain.limit) if limit is not None]
    most = min(limits, default=None)
    heap: list[tuple[int, int, int, int, _Label | None]] = []
    number = itertools.count()
    best_end: dict[tuple[int, str], int] = {}
    furthest: tuple[int, _Label | None] = (-1, None)
    looked = 0
    _push(chain, heap, number, 0, None, most)
    tried: dict[tuple[int, int], int] = {}
    while heap and looked < LABEL_LIMIT:
        _, _, position, which, before = heapq.heappop(heap)
        # Who comes to an option later and dearer than another did gains nothing there.
        ready = before.end if before else 0
        if ready >= tried.get((position, which), ready + 1):
            continue
        tried[position, which] = ready
        looked += 1
        label = _reached(chain, board, position, which, before)
        if label is None:
            continue
        key = (position, label.option.cluster.name)
        if label.end >= best_end.get(key, label.end + 1):
            continue
        best_end[key] = label.end
        if position > furthest[0]:
            furthest = (position, label)
        if position == len(chain.jobs) - 1:
            break
        _push(chain, heap, number, position + 1, label, most)
    return _way(chain, furthest, looked)


def _push(
    chain: Chain,
    heap: list[tuple[int, int, int, int, _Label | None]],
    number: itertools.count[int],
    position: int,
    before: _Label | None,
    most: int | None,
) -> None:
    """Add every option of the next job, with the least that the whole chain can cost then."""
    own, rest = chain.own[position], chain.rest[position]
    moves = chain.moves[position - 1] if position else {}
    spent = before.money if before else 0
    source = before.option.cluster.name if before else ""
    for which, option in enumerate(chain.jobs[position].options):
        target = option.cluster.name
        total = spent + own[which] + moves.get((source, target), 0) + rest[target]
        if most is None or total <= most:
            heapq.heappush(heap, (total, next(number), position, which, before))


def _reached(
    chain: Chain, board: Board, position: int, which: int, before: _Label | None
) -> _Label | None:
    job = chain.jobs[position]
    option = job.options[which]
    ready = job.release_ms if before is None else max(job.release_ms, before.end)
    start = board.earliest(job, option, ready, job.latest_ms - job.tail_ms)
    if start is None:
        return None
    money = chain.own[position][which]
    if before is not None:
        pair = (before.option.cluster.name, option.cluster.name)
        money += before.money + chain.moves[position - 1].get(pair, 0)
    return _Label(option=option, start=start, money=money, before=before)


def _way(chain: Chain, furthest: tuple[int, _Label | None], looked: int) -> Way:
    position, label = furthest
    options: dict[int, Option] = {}
    starts: dict[int, int] = {}
    whole = position == len(chain.jobs) - 1
    while label is not None:
        index = chain.jobs[position].index
        options[index], starts[index] = label.option, label.start
        position, label = position - 1, label.before
    return Way(options=options, starts=starts, whole=whole, labels=looked)


def _own(edges: Sequence[Edge], job: Job, option: Option) -> int:
    brought = sum(
        transfers.cost(edge.volume_gib, edge.probability, edge.origin, option.cluster)
        for edge in edges
        if edge.target == job.index and edge.origin is not None
    )
    return option.objective + brought


def _moves(edges: Sequence[Edge], job: Job, after: Job) -> dict[tuple[str, str], int]:
    """Return what data that one job hands to the next cost, where that is not nothing."""
    handed = [edge for edge in edges if (edge.source, edge.target) == (job.index, after.index)]
    sources = {option.cluster.name: option.cluster for option in job.options}
    targets = {option.cluster.name: option.cluster for option in after.options}
    return {
        (a, b): sum(transfers.cost(e.volume_gib, e.probability, source, target) for e in handed)
        for a, source in sources.items()
        for b, target in targets.items()
        if handed
    }


def _rest(
    jobs: Sequence[Job],
    own: Sequence[Sequence[int]],
    moves: Sequence[Mapping[tuple[str, str], int]],
) -> tuple[Mapping[str, int], ...]:
    found: list[dict[str, int]] = [{o.cluster.name: 0 for o in jobs[-1].options}]
    for position in range(len(jobs) - 2, -1, -1):
        later: dict[str, int] = {}
        for option, money in zip(jobs[position + 1].options, own[position + 1], strict=True):
            name = option.cluster.name
            total = money + found[-1][name]
            later[name] = min(later.get(name, total), total)
        here = {option.cluster.name for option in jobs[position].options}
        found.append(
            {
                name: min(moves[position].get((name, b), 0) + total for b, total in later.items())
                for name in here
            }
        )
    return tuple(reversed(found))
