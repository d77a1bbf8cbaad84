"""Affinities as constraints of the CP-SAT model, over where jobs stand.

The model sees pools in sum, so that machines are left to whoever stands its answer on nodes: jobs
on one machine share a pool, and jobs on machines of their own need as many as a pool has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.model.specs import Within
from placement.problem.bonds import allows, zone
from placement.problem.instance import Job, Option
from placement.search.board import Board

Takes = Mapping[tuple[int, int], Any]
"""By job and pool the variable that says whether the job takes the pool."""


def add(cp: Any, jobs: Sequence[Job], takes: Takes, taken: Board | None) -> None:  # noqa: ANN401 - CP-SAT publishes no types
    """Add what the bonds of some jobs demand, among themselves and with those that are held."""
    free = {job.index: job for job in jobs}
    for job in jobs:
        for bond in job.bonds:
            held = None if taken is None or bond.other in free else taken.stands(bond.other)
            for option in job.options if held is not None else ():
                if held is not None and not allows(bond, option, held):
                    cp.add(takes[job.index, option.pool_index] == 0)
            if not bond.apart and bond.other in free and job.index < bond.other:
                _add_beside(cp, takes, (job, free[bond.other]), bond.within)
    for within in Within:
        for group in _groups(free, within):
            _add_apart(cp, takes, group, within)


def _add_beside(cp: Any, takes: Takes, pair: tuple[Job, Job], within: Within) -> None:  # noqa: ANN401 - as above
    """Let two jobs that both have a place stand in the same zone."""
    first, second = (_by_zone(job, within) for job in pair)
    for one, other, of in ((first, second, pair[1]), (second, first, pair[0])):
        elsewhere = 1 - sum(takes[of.index, option.pool_index] for option in of.options)
        for name, options in one.items():
            here = sum(takes[index, option.pool_index] for index, option in options)
            there = sum(takes[i, option.pool_index] for i, option in other.get(name, ()))
            cp.add(here <= there + elsewhere)


def _add_apart(cp: Any, takes: Takes, group: Sequence[Job], within: Within) -> None:  # noqa: ANN401 - as above
    """Let at most one job of a group stand in each zone; on machines, as many as there are."""
    zones: dict[str, list[tuple[int, Option]]] = {}
    for job in group:
        for name, options in _by_zone(job, within).items():
            zones.setdefault(name, []).extend(options)
    for ways in zones.values():
        on_nodes = within is Within.NODE
        most = ways[0][1].pool.node_count if on_nodes else 1
        cp.add(
            sum(takes[index, o.pool_index] * (o.node_count if on_nodes else 1) for index, o in ways)
            <= most
        )


def _by_zone(job: Job, within: Within) -> dict[str, list[tuple[int, Option]]]:
    zones: dict[str, list[tuple[int, Option]]] = {}
    for option in job.options:
        name = zone(within, option.cluster, option.pool)
        zones.setdefault(name, []).append((job.index, option))
    return zones


def _groups(free: Mapping[int, Job], within: Within) -> Iterator[list[Job]]:
    """Yield groups of jobs of which any two are apart, until every such pair is in one.

    Larger groups say more at once: of ten jobs apart, one constraint instead of 45.
    """
    foes = {
        index: {b.other for b in job.bonds if b.apart and b.within is within and b.other in free}
        for index, job in free.items()
    }
    seen: set[tuple[int, int]] = set()
    for index in sorted(foes):
        for other in sorted(foes[index]):
            if index > other or (index, other) in seen:
                continue
            members = [index, other]
            common = foes[index] & foes[other]
            while common:
                members.append(min(common))
                common &= foes[members[-1]]
            seen |= {(a, b) for a in members for b in members}
            yield [free[member] for member in members]
