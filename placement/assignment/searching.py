"""Rounds of search: chains of annealing first, then neighbourhoods solved exactly.

Rounds are synchronous: each does a fixed amount of work on a fixed number of independent parts,
and joins them in order. Workers only decide how many parts run at a time.
"""

from __future__ import annotations

import importlib
from concurrent.futures import Executor, ThreadPoolExecutor
from types import ModuleType
from typing import Protocol

import numpy as np

from placement.assignment import exact, neighbourhoods, relaxation
from placement.assignment.incumbents import Search
from placement.assignment.plans import Plan
from placement.assignment.problem import Integers, Numbers
from placement.assignment.relaxation import Relaxation
from placement.assignment.singles import prices

PARTS = 2
FIRST_ROUNDS = 2
EXCHANGE_ROUNDS = 8
# The share of the time before neighbourhoods in which single items dive, and of it the most for
# the ascent before.
DIVES, ASCENT = 0.5, 0.4
FAILURES = (MemoryError, RuntimeError, ValueError, OSError)
# The bins freed at once, by the number of the round.
SIZES = (3, 4, 5, 6)
SIZES_MUST = (6, 8, 10, 12)
# Bins for each item that exact search looks at where all must be placed.
CORE_BINS = 6
LARGEST_ROUNDS = 1_000_000


class Walkers(Protocol):
    """Independent walks that share a problem: those of `annealing` or of `singles.walks`."""

    def walk(self, part: int, *, share: float, warm: bool, seed: int) -> None:
        """Let one walk do a round; `share` of the time for walks is over, below 0 at first."""

    def found(self) -> tuple[float, Plan | None]:
        """Return the best plan of all walks and its cost, moves paid."""
        ...

    def exchange(self, plan: Plan) -> None:
        """Let the worst walk go on from a plan."""


def run(
    search: Search,
    hints: Relaxation,
    solvers: Executor,
    *,
    warm: bool,
    beside: Plan | None = None,
) -> None:
    """Search until the effort is spent; one chain starts from `beside`, where there is one."""
    number = 0
    single = search.moves is None and prices.applies(search.problem, search.most)
    local = _local(search, "singles.walks" if single else "annealing")
    # Neighbourhoods do not know what moves cost, so a re-plan is annealed to its end.
    end = 1.0 - (search.effort.exact_share if search.moves is None else 0.0)
    if local is not None and search.goes_on:
        parts = {"parts": PARTS, "steps": search.effort.steps}
        if single:
            number = _dive(search, hints, local, until=DIVES * end)
            walkers: Walkers = local.walks_of(search.problem, hints, search.plan, **parts)
        else:
            walkers = local.chains_of(
                search.problem, hints.priced, search.plan, search.moves, **parts
            )
        if beside is not None:
            walkers.exchange(beside)
            search.offer(beside)
        number = _anneal(search, walkers, warm=warm, first=number, until=end)
    elif beside is not None:
        search.offer(beside)
    if search.effort.exact_share > 0 and search.moves is None:
        _solve_neighbourhoods(search, solvers, number, _core(search, hints.priced))


def _local(search: Search, name: str) -> ModuleType | None:
    """Return a local search, or None with a note where the compiler is not installed."""
    try:
        return importlib.import_module(f"placement.assignment.{name}")
    except ImportError:
        search.notes.append("numba is not installed (extra `compiled`), so nothing is annealed")
        return None


def _dive(search: Search, hints: Relaxation, local: ModuleType, *, until: float) -> int:
    """Dive from a relaxation by knapsacks where its tables are small; return the last round."""
    dives = importlib.import_module("placement.assignment.singles.dives")
    if until <= 0.0 or dives.tables_of(search.problem) > dives.LARGEST_TABLES:
        return 0
    found = local.walks_of(
        search.problem, hints, search.plan, parts=PARTS, steps=search.effort.steps
    )
    dived = dives.dives_of(search.problem, hints, found)
    while search.goes_on and search.progress(0) < ASCENT * until and dived.ascend():
        search.offer(search.plan, relaxation.whole(dived.bound))
    if dived.parts == 0:
        return 0
    return _anneal(search, dived, warm=False, first=0, until=until)


def _anneal(search: Search, walkers: Walkers, *, warm: bool, first: int, until: float) -> int:
    """Let walks go on, from a round and to a share of the effort; return the last round."""
    effort = search.effort
    begun = search.progress(first)
    with ThreadPoolExecutor(effort.workers) as threads:
        for number in range(first - FIRST_ROUNDS, LARGEST_ROUNDS):
            left = until - begun
            share = (search.progress(max(first, number)) - begun) / left if left > 0 else 1.0
            if not search.goes_on or (number >= first and share >= 1.0):
                return max(first, number)
            share = share if number >= first else -1.0
            seed = (effort.seed * 7919 + number + FIRST_ROUNDS) * PARTS
            jobs = [
                threads.submit(
                    walkers.walk, part, share=share, warm=warm, seed=(seed + part) % 2**31
                )
                for part in range(PARTS)
            ]
            for job in jobs:
                job.result()
            cost, plan = walkers.found()
            if plan is not None and cost < search.charged - 0.5:
                search.offer(plan)
            else:
                search.tell()
            if number % EXCHANGE_ROUNDS == 0:
                walkers.exchange(search.plan)
    return LARGEST_ROUNDS


def _core(search: Search, priced: Numbers) -> Integers:
    """Return the most units by item and bin, where all must be placed only in promising bins.

    Promising are the pairs of the smallest reduced costs, a few for each item on average. Where
    units are left out, reduced costs say little and all bins stay.
    """
    most = search.most
    if not search.problem.must_place.all() or not np.isfinite(priced).any():
        return most
    reduced = priced - priced.min(axis=1, keepdims=True)
    known = np.sort(reduced[np.isfinite(reduced)])
    limit = known[min(len(known) - 1, CORE_BINS * search.problem.items)]
    return np.where(reduced <= limit, most, 0)


def _solve_neighbourhoods(search: Search, solvers: Executor, number: int, core: Integers) -> None:
    """Free some bins at a time, and solve what stands in them from the plan as it is."""
    problem, effort = search.problem, search.effort
    generator = np.random.default_rng(effort.seed)
    while search.goes_on and search.progress(number) < 1.0:
        groups = _groups(search, generator, number)
        most = np.maximum(core, search.plan.units)
        parts = neighbourhoods.split(problem, search.plan, most, groups, generator)
        try:
            jobs = [
                solvers.submit(
                    exact.improved,
                    part.problem,
                    part.plan,
                    part.most,
                    work=effort.exact_work,
                    seed=number,
                )
                for part in parts
            ]
            found = [job.result() for job in jobs]
        except FAILURES as error:
            search.notes.append(f"CP-SAT failed: {error!r}")
            return
        search.offer(neighbourhoods.joined(search.plan, list(zip(parts, found, strict=True))))
        number += 1


def _groups(search: Search, generator: np.random.Generator, number: int) -> list[Integers]:
    """Return the bins of each neighbourhood of a round, drawn at random."""
    sizes = SIZES_MUST if search.problem.must_place.all() else SIZES
    size = sizes[number % len(sizes)]
    order = generator.permutation(search.problem.bins)
    if search.problem.bins <= size:
        return [np.sort(order)]
    size = min(size, search.problem.bins // PARTS)
    cuts = [order[part * size : (part + 1) * size] for part in range(PARTS)]
    return [np.sort(cut) for cut in cuts]
