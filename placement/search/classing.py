"""Large problems by classes: a bound and hopes from the assignment engine, made a plan here.

The engine says how much of each class stands best on each pool, when only sums of work count. Each
job is given a pool by that, in the order of urgency; the jobs are then put on the board in the
order in which they must start, node by node, and pipelines that find no room there go wherever
they are cheapest.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from placement.problem.instance import Instance, Option
from placement.search import draft as drafts
from placement.search.chains import Chains
from placement.search.classes import PARTS, Classes, Integers, Numbers, classes_of
from placement.search.draft import Draft
from placement.search.greedy import due_ms, urgency
from placement.search.recreate import mended
from placement.search.solver import FAILURES

if TYPE_CHECKING:
    from placement.assignment.effort import Solution

LEAST_JOBS = 600
"""From so many jobs on they are looked at in classes; fewer are planned as well without."""

ROUNDS = 6
STEPS = 1_000
RATES = (1.0, 4.0)
"""At how many times the money of an average unit of weight more bounds are looked for."""

MONEY_RANGE = 2.0**40
ROOM_RANGE = 2.0**30
"""Largest sums of money and of room that the engine is given: exact enough, and no trouble for a
linear programme."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classed:
    """A plan, with what bounds the money of plans.

    bounds: pairs (rate, money): money plus `rate` for each unit of weight without a place is no
    less than `money` in any plan. troubles: what the engine could not use.
    """

    plan: Draft
    classes: Classes | None = None
    bounds: tuple[tuple[float, int], ...] = ()
    troubles: tuple[str, ...] = ()

    def bound(self, weight: int, seed: int) -> int:
        """Return the least money of any plan that leaves at most so much weight without a place.

        Where weight is left out, rates are tried that are nearer to what placing it would cost.
        """
        bounds = list(self.bounds)
        if weight > 0 and self.classes is not None and bounds:
            average = float(_rates(self.classes).mean())
            rates = [factor * average for factor in RATES]
            # A bound that is not found is only missed: the plan stands without it.
            with contextlib.suppress(*FAILURES):
                bounds.extend((r, _solved(self.classes, r, seed, rounds=0).bound) for r in rates)
        return max((int(money - rate * weight) for rate, money in bounds), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Solved:
    """Units of each class by pool; no less than `bound` micro-dollars are possible."""

    units: Numbers
    bound: int
    notes: tuple[str, ...]


def classed(instance: Instance, seed: int, chains: Chains) -> Classed:
    """Return a plan made by classes."""
    classes = classes_of(instance)
    if not classes.members:
        return Classed(plan=drafts.EMPTY)
    dear = 4.0 * float(_rates(classes).max(initial=1.0))
    try:
        best = _solved(classes, dear, seed, rounds=ROUNDS)
    except FAILURES as failure:
        text = f"classes of tasks could not be planned ({type(failure).__name__}: {failure})"
        return Classed(plan=drafts.EMPTY, troubles=(text,))
    hoped = _hoped(instance, classes, best.units)
    return Classed(
        plan=mended(instance, hoped, chains),
        classes=classes,
        bounds=((dear, best.bound),),
        troubles=best.notes,
    )


def _rates(classes: Classes) -> Numbers:
    """Return by class the money of an average job where it is dearest, for a unit of weight."""
    count = np.array([len(members) for members in classes.members], dtype=float)
    money: Numbers = classes.cost.max(axis=1, initial=0.0) * count
    return money / np.maximum(classes.weight, 1e-9)


def _solved(classes: Classes, rate: float, seed: int, *, rounds: int) -> _Solved:
    """Let the engine assign classes to pools; a unit of weight left out costs `rate`."""
    effort, problem, solving = map(engine_of, ("effort", "problem", "solving"))
    count = np.array([len(members) for members in classes.members], dtype=np.int64)
    longest = np.array([float(work.max() / work.mean()) for work in classes.work])
    # Leaving out work leaves out at least the weight of so many of the longest jobs.
    drop = rate * classes.weight / count / longest
    dearest = np.maximum(classes.cost.max(axis=1), drop)
    money = max(float(dearest @ count) / MONEY_RANGE, 1e-9)
    room = np.maximum(classes.capacity.max(axis=0), 1.0) / ROOM_RANGE
    asked = problem.AssignmentProblem(
        count=count * PARTS,
        cost=np.floor(classes.cost / PARTS / money).astype(np.int64),
        eligible=classes.pools,
        demand=_whole(classes.takes / PARTS / room, classes.capacity / room),
        capacity=np.floor(classes.capacity / room).astype(np.int64),
        drop_cost=np.floor(drop / PARTS / money).astype(np.int64),
        must_place=np.zeros(len(count), dtype=bool),
    )
    told = 0

    def goes_on(_: object) -> bool:
        # Told first of the plan before any solver, then of the relaxation, which is enough.
        nonlocal told
        told += 1
        return rounds > 0 or told < 2  # noqa: PLR2004

    found: Solution = solving.solve(
        asked,
        effort.Effort(rounds=rounds, steps=STEPS, exact_share=0.0, seed=seed, watch=goes_on),
    )
    return _Solved(
        units=found.plan.units / PARTS,
        bound=math.floor(found.bound * money),
        notes=found.notes,
    )


def engine_of(name: str) -> ModuleType:
    """Return a module of the engine, which needs OR-Tools and is loaded when it is asked for."""
    return importlib.import_module(f"placement.assignment.{name}")


def _whole(takes: Numbers, capacity: Numbers) -> Integers:
    """Return whole numbers of which as many fit a pool as of the exact ones, or more."""
    has = np.floor(capacity)[None, :, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        fitting = np.ceil(np.where(takes > 0, capacity[None, :, :] / takes, 1.0))
        least = np.floor(has / np.maximum(fitting, 1.0))
    rounded = np.where(takes > 0, np.minimum(np.floor(takes), least), 0.0)
    return np.asarray(rounded, dtype=np.int64)


def _hoped(instance: Instance, classes: Classes, units: Numbers) -> Draft:
    """Return a pool for each job as far as its class has work there, and when it should start.

    The start is the latest that leaves time for those that wait for it: the less time a job has,
    the sooner it is put on the board.
    """
    left = {
        job: (number, float(work / works.mean()))
        for number, (members, works) in enumerate(zip(classes.members, classes.work, strict=True))
        for job, work in zip(members, works, strict=True)
    }
    room = units.copy()
    options: dict[int, Option] = {}
    starts: dict[int, int] = {}
    order = sorted(range(len(instance.lines)), key=lambda number: urgency(instance, number))
    for number in order:
        for index in instance.lines[number].jobs:
            if index not in left or not drafts.may_run(instance.jobs[index], options):
                continue
            chosen = _chosen(instance, options, index, room[left[index][0]], left[index][1])
            if chosen is not None:
                options[index] = chosen
                room[left[index][0], chosen.pool_index] -= left[index][1]
                job = instance.jobs[index]
                before = [starts[u] for u in job.upstream if u in starts]
                latest = due_ms(instance, job) - job.tail_ms - chosen.duration_ms
                starts[index] = max([latest, *(start + 1 for start in before)])
    return Draft(options=options, starts=starts)


def _chosen(
    instance: Instance, options: dict[int, Option], index: int, room: Sequence[float], work: float
) -> Option | None:
    """Return the cheapest option of a job on a pool that has room for half of its work or more."""
    job = instance.jobs[index]
    there = [option for option in job.options if room[option.pool_index] >= work / 2]
    return min(
        there,
        key=lambda o: (drafts.added(instance, options, job, o), o.pool_index),
        default=None,
    )
