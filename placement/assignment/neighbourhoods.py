"""Neighbourhoods: a few bins with all that stands in them and a share of what is left out.

A neighbourhood is a problem of the same type, so that whatever solves a problem solves it.
Neighbourhoods of one round share no bin and no unit: their results are put together as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from placement.assignment.plans import Plan, left_out
from placement.assignment.problem import AssignmentProblem, Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """A part of a problem, its plan, and where its items and bins stand in the whole."""

    items: Integers
    bins: Integers
    problem: AssignmentProblem
    plan: Plan
    most: Integers


def split(
    problem: AssignmentProblem,
    plan: Plan,
    most: Integers,
    groups: Sequence[Integers],
    generator: np.random.Generator,
) -> list[Neighbourhood]:
    """Return one neighbourhood for each group of bins; groups share no bin.

    Units of an item left out go to one of the neighbourhoods that can take it, drawn at random.
    """
    out = left_out(problem, plan)
    can = np.stack([(most[:, group] > 0).any(axis=1) for group in groups])
    draw = np.where(can, generator.random(can.shape), -1.0).argmax(axis=0)
    found = []
    for number, group in enumerate(groups):
        here = np.where((draw == number) & can[number], out, 0)
        count = plan.units[:, group].sum(axis=1) + here
        items = np.flatnonzero(count)
        grid = np.ix_(items, group)
        shared = problem.demand.shape[1] == 1
        part = AssignmentProblem(
            count=count[items],
            cost=problem.cost[grid],
            eligible=problem.eligible[grid],
            demand=problem.demand[items] if shared else problem.demand[grid],
            capacity=problem.capacity[group],
            drop_cost=problem.penalties()[items],
            must_place=np.zeros(len(items), dtype=bool),
        )
        found.append(
            Neighbourhood(
                items=items,
                bins=group,
                problem=part,
                plan=Plan(units=plan.units[grid]),
                most=np.minimum(most[grid], count[items, None]),
            )
        )
    return found


def joined(plan: Plan, parts: Sequence[tuple[Neighbourhood, Plan]]) -> Plan:
    """Return the plan with the parts in place."""
    units = plan.units.copy()
    for part, better in parts:
        units[np.ix_(part.items, part.bins)] = better.units
    return Plan(units=units)
