"""Compiled loops of the relaxation in which bins stay whole and items may stand anywhere.

With a worth on every item, each bin is a knapsack of its own, solved exactly by dynamic
programming; the sum is a bound that is never below that of the linear programme and far above it
where bins hold few items. The worth is lifted by the volume algorithm (Barahona and Anbil 2000),
which also gives a fractional plan: the share of recent knapsacks in which an item was. Method of
the relaxation: Fisher, Jaikumar and Van Wassenhove 1986. Needs the extra `compiled`.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from placement.assignment.problem import Flags, Integers, Numbers

# Steps without a better bound before they get shorter, and by how much; how they grow again.
PATIENCE, SHORTER, LONGER, LONGEST = 8, 0.7, 1.05, 2.0
# The target of a step is at least so far above the bound, as a share of it and in cost.
LEAST_LEAP = (5e-4, 1.0)
# Sums of squares of what is missing of each item below which the fractional plan is whole.
SETTLED = 1e-9


class Sacks(NamedTuple):
    """What the loops read: cost (infinite where an item cannot stand), demand, and capacity.

    left_out: Cost of leaving an item out; no item is worth more, or a plan that leaves some out
        could cost less than the bound.
    """

    cost: Numbers
    demand: Integers
    capacity: Integers
    left_out: Numbers


class Scratch(NamedTuple):
    """Room to work in: best value by room taken, which items made it better, and what is packed."""

    value: Numbers
    better: Flags
    packed: Numbers


@numba.njit(cache=True, nogil=True)
def scratch_of(sacks: Sacks) -> Scratch:
    """Return room to work in for all knapsacks of a problem."""
    items, bins = sacks.cost.shape
    largest = sacks.capacity.max() + 1
    return Scratch(
        np.zeros(largest), np.zeros((items, largest), dtype=np.bool_), np.zeros((items, bins))
    )


@numba.njit(cache=True, nogil=True)
def _pack(
    sacks: Sacks, scratch: Scratch, worth: Numbers, free: Integers, at: int, room: int
) -> float:
    """Pack the free items that are worth most above their cost into a bin; return the sum."""
    scratch.value[: room + 1] = 0.0
    for number in range(free.shape[0]):
        item = free[number]
        gain = worth[item] - sacks.cost[item, at]
        size = sacks.demand[item, at]
        scratch.packed[item, at] = 0.0
        if gain > 0.0:
            for taken in range(room, size - 1, -1):
                value = scratch.value[taken - size] + gain
                better = value > scratch.value[taken]
                scratch.better[number, taken] = better
                if better:
                    scratch.value[taken] = value
    left = room
    for number in range(free.shape[0] - 1, -1, -1):
        item = free[number]
        size = sacks.demand[item, at]
        if worth[item] > sacks.cost[item, at] and size <= left and scratch.better[number, left]:
            scratch.packed[item, at] = 1.0
            left -= size
    return float(scratch.value[room])


@numba.njit(cache=True, nogil=True)
def bound_of(
    sacks: Sacks, scratch: Scratch, worth: Numbers, free: Integers, room: Integers
) -> float:
    """Return the bound on what the free items cost in the room that is left."""
    total = float(worth[free].sum())
    for at in range(room.shape[0]):
        total -= _pack(sacks, scratch, worth, free, at, room[at])
    return total


@numba.njit(cache=True, nogil=True)
def _blend(scratch: Scratch, shares: Numbers, free: Integers, weight: float) -> None:
    for item in free:
        for at in range(shares.shape[1]):
            shares[item, at] += weight * (scratch.packed[item, at] - shares[item, at])


@numba.njit(cache=True, nogil=True)
def ascend(
    sacks: Sacks,
    scratch: Scratch,
    worth: Numbers,
    shares: Numbers,
    free: Integers,
    room: Integers,
    schedule: tuple[int, float, float, float],
) -> tuple[float, float]:
    """Lift the worth of the free items and let their shares follow; return bound and stride.

    The schedule holds the steps, the weight of each knapsack's choice in the shares, the stride
    of a step (as a share of the way to the target), and the target.
    """
    steps, weight, stride, target = schedule
    highest = worth.copy()
    best = bound_of(sacks, scratch, worth, free, room)
    _blend(scratch, shares, free, weight)
    idle = 0
    missing = np.zeros(free.shape[0])
    for _ in range(steps):
        for number in range(free.shape[0]):
            missing[number] = 1.0 - shares[free[number]].sum()
        norm = (missing * missing).sum()
        if norm < SETTLED:
            break
        leap = max(target - best, LEAST_LEAP[0] * abs(best) + LEAST_LEAP[1])
        for number in range(free.shape[0]):
            item = free[number]
            lifted = highest[item] + stride * leap / norm * missing[number]
            worth[item] = min(sacks.left_out[item], lifted)
        bound = bound_of(sacks, scratch, worth, free, room)
        _blend(scratch, shares, free, weight)
        if bound > best:
            best = bound
            highest[free] = worth[free]
            stride = min(LONGEST, stride * LONGER)
        else:
            idle += 1
            if idle >= PATIENCE:
                stride *= SHORTER
                idle = 0
    worth[free] = highest[free]
    return best, stride
