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

from engine.model.fleet import Cluster
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
    site: int
    start: int
    money: int
    before: _Label | None

    @property
    def end(self) -> int:
        return self.start + self.option.duration_ms


Prices = tuple[tuple[int, ...], ...]
"""Micro-dollars for moving data, by the site that they leave and the one they come to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One pipeline whose jobs follow one another.

    own: by position and option what the option adds by itself, with inputs that lie elsewhere.
    at: by position and option its site. moves: by position what the data cost that the job hands
    to the next, empty for none. rest: by position and site the least money of all later jobs.
    """

    jobs: tuple[Job, ...]
    own: tuple[tuple[int, ...], ...]
    at: tuple[tuple[int, ...], ...]
    moves: tuple[Prices, ...]
    rest: tuple[tuple[int, ...], ...]
    limit: int | None

    def moved(self, position: int, source: int, target: int) -> int:
        """Return what it costs to hand data from the job at a position to the next one."""
        prices = self.moves[position]
        return prices[source][target] if prices else 0


class Chains:
    """The pipelines of an instance as chains; each is made when it is first asked for.

    Sites are clusters that no move of data tells apart: as a rule those of one region.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._known: dict[int, Chain | None] = {}
        self._site, self._sites = _sites(instance)

    def of(self, number: int) -> Chain | None:
        """Return a pipeline as a chain; None where its jobs do not simply follow one another."""
        if number not in self._known:
            self._known[number] = self._chain(self._instance.lines[number])
        return self._known[number]

    @property
    def share(self) -> float:
        """The share of the pipelines that are chains."""
        lines = range(len(self._instance.lines))
        return sum(self.of(number) is not None for number in lines) / max(len(lines), 1)

    def _chain(self, line: Line) -> Chain | None:
        instance = self._instance
        jobs = tuple(instance.jobs[index] for index in line.jobs)
        if not _is_chain(line, jobs):
            return None
        limit = None if line.budget is None else line.budget - line.spent
        edges = [instance.edges[index] for index in instance.line_edges[jobs[0].line]]
        own = tuple(tuple(_own(edges, job, option) for option in job.options) for job in jobs)
        at = tuple(tuple(self._site[o.cluster.name] for o in job.options) for job in jobs)
        moves = tuple(self._moves(edges, *pair) for pair in itertools.pairwise(jobs))
        rest = _rest(own, at, moves, len(self._sites))
        return Chain(jobs=jobs, own=own, at=at, moves=moves, rest=rest, limit=limit)

    def _moves(self, edges: Sequence[Edge], job: Job, after: Job) -> Prices:
        """Return what data that one job hands to the next cost, by site."""
        handed = [edge for edge in edges if (edge.source, edge.target) == (job.index, after.index)]
        if not handed:
            return ()
        return tuple(
            tuple(
                sum(transfers.cost(e.volume_gib, e.probability, a, b) for e in handed)
                for b in self._sites
            )
            for a in self._sites
        )


def _is_chain(line: Line, jobs: Sequence[Job]) -> bool:
    """Whether the jobs of a pipeline can be placed one after the other, each by what it costs."""
    if line.late_price:
        return False  # what a late end costs is not known before the end
    if line.budget is not None and any(job.serve for job in jobs):
        return False
    return bool(jobs) and _follow(jobs) and all(job.options for job in jobs)


def _sites(instance: Instance) -> tuple[dict[str, int], list[Cluster]]:
    """Return the site of each cluster, and one cluster of each site."""
    numbers: dict[object, int] = {}
    site: dict[str, int] = {}
    sites: list[Cluster] = []
    for cluster, _ in instance.pools:
        prices = tuple(sorted(cluster.transfer_micro_dollars_per_gib.items()))
        key = (cluster.region, cluster.continent, prices)
        if key not in numbers:
            numbers[key] = len(sites)
            sites.append(cluster)
        site[cluster.name] = numbers[key]
    return site, sites


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
    best_end: dict[tuple[int, int], int] = {}
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
        key = (position, label.site)
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
    own, at, rest = chain.own[position], chain.at[position], chain.rest[position]
    spent = before.money if before else 0
    prices: Sequence[int] = ()
    if before is not None and chain.moves[position - 1]:
        prices = chain.moves[position - 1][before.site]
    for which, target in enumerate(at):
        total = spent + own[which] + rest[target] + (prices[target] if prices else 0)
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
    money, site = chain.own[position][which], chain.at[position][which]
    if before is not None:
        money += before.money + chain.moved(position - 1, before.site, site)
    return _Label(option=option, site=site, start=start, money=money, before=before)


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


def _rest(
    own: Sequence[Sequence[int]],
    at: Sequence[Sequence[int]],
    moves: Sequence[Prices],
    sites: int,
) -> tuple[tuple[int, ...], ...]:
    """Return by position and site the least money of all later jobs."""
    found = [(0,) * sites]
    for position in range(len(own) - 1, 0, -1):
        later: dict[int, int] = {}
        for site, money in zip(at[position], own[position], strict=True):
            total = money + found[-1][site]
            later[site] = min(later.get(site, total), total)
        prices = moves[position - 1]
        least = min(later.values())
        found.append(
            tuple(min(prices[a][b] + total for b, total in later.items()) for a in range(sites))
            if prices
            else (least,) * sites
        )
    return tuple(reversed(found))
