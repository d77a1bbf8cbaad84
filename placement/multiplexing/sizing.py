"""How much a group of tasks needs when its members share, so that it rarely is too little.

A group is sized for a whole day: its capacity is the largest over time of
mean + lambda (high - mean), summed over its tasks. Lambda is the least at which no slot overflows
with more than the probability allowed, over joint scenarios of the population
(`placement.multiplexing.population`); fresh scenarios verify it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.model.errors import Fault, InvalidInputError
from placement.multiplexing.population import Needs, Population
from placement.multiplexing.shares import least_share, with_margin
from placement.problem.needs import OVERFLOW
from placement.problem.scenarios import SCENARIOS, generator

VERIFICATIONS = 5
"""Rounds of fresh scenarios at most; those of a round that fails are learnt from in the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """What a group of tasks gets.

    Attributes:
        tasks: How many they are.
        share: Lambda.
        capacity: What they get together, in the unit of the population.
        overflow: Largest share of fresh scenarios, over slots, in which that is too little.
        is_verified: Whether that is no more than was allowed.
    """

    tasks: int
    share: float
    capacity: float
    overflow: float
    is_verified: bool


def size(
    population: Population,
    tasks: int,
    *,
    seed: int,
    slot_steps: int = 1,
    allowed: float = OVERFLOW,
    scenarios: int = SCENARIOS,
) -> Sizing:
    """Return the least capacity that so many tasks of a population need together.

    Args:
        population: What is known of them.
        tasks: How many they are, at least 1.
        seed: Of the scenarios.
        slot_steps: Steps to a slot, over which overflow is counted together.
        allowed: Largest probability of overflow in any slot.
        scenarios: Size of each sample.

    Raises:
        InvalidInputError: There is no task, or the steps of a day do not divide into slots.
    """
    steps = len(population.mean)
    if tasks < 1 or slot_steps < 1 or steps % slot_steps:
        message = f"{tasks!r} tasks, {steps!r} steps a day in slots of {slot_steps!r}"
        fix = "give at least one task, and slots that divide the day"
        raise InvalidInputError("group of tasks", [Fault(code="S001", message=message, fix=fix)])
    needed = population.scenarios(tasks, scenarios, generator(seed, "lambda"))
    rounds: list[tuple[float, float]] = []
    for attempt in range(VERIFICATIONS):

        def overflow(share: float, known: Needs = needed) -> float:
            return worst_slot(known, capacity(population, tasks, share), slot_steps)

        share = least_share(overflow, with_margin(allowed, scenarios))
        fresh = population.scenarios(tasks, scenarios, generator(seed, "verify", str(attempt)))
        rounds.append((share, overflow(share, fresh)))
        if rounds[-1][1] <= allowed:
            break
        needed = np.concatenate((needed, fresh))
    share, seen = rounds[-1]
    return Sizing(
        tasks=tasks,
        share=share,
        capacity=capacity(population, tasks, share),
        overflow=seen,
        is_verified=seen <= allowed,
    )


def capacity(population: Population, tasks: int, share: float) -> float:
    """Return mean + share (high - mean) of so many tasks, where it is largest over the day."""
    held = population.mean + share * (population.high - population.mean)
    return tasks * float(held.max())


def worst_slot(needed: Needs, has: float, slot_steps: int) -> float:
    """Return in the worst slot the share of scenarios and steps that need more than there is."""
    over = np.asarray(np.mean(needed > has, axis=0), dtype=np.float64)
    return float(over.reshape(-1, slot_steps).mean(axis=1).max())
