"""Compiled dives: items are put for good where the relaxation by knapsacks is surest.

A dive settles the items whose share of one bin is nearly whole, or else the surest one, lifts the
bound over the others in the room that is left, and so on until none is left. Method: diving with
re-optimisation (Sadykov, Vanderbeck, Pessoa, Tahiri and Uchoa 2019), with shares of the volume
algorithm in the place of column generation. Needs the extra `compiled`.
"""

from __future__ import annotations

import numba
import numpy as np

from placement.assignment.problem import Integers, Numbers
from placement.assignment.singles.knapsacks import Sacks, ascend, scratch_of

# An item is settled at once where it has at least this share of one bin.
SURE = 0.9
# Steps after each settling, the weight of each knapsack's choice in the shares, and the stride.
STEPS, WEIGHT, STRIDE = 20, 0.1, 0.3
# Cells of tables that one dive fills at most, about two seconds: where nothing is sure it would
# settle items one by one, and nothing interrupts it. An item in a bin takes as long as so many.
MOST_CELLS, CELLS_EACH = 2_000_000_000, 20


@numba.njit(cache=True, nogil=True)
def _surest(sacks: Sacks, shares: Numbers, room: Integers, item: int) -> tuple[float, int]:
    """Return an item's largest share of a bin with room for it, and the bin; -1 where none is."""
    most = 0.0
    chosen = -1
    for at in range(room.shape[0]):
        if shares[item, at] > most and sacks.demand[item, at] <= room[at]:
            most = shares[item, at]
            chosen = at
    return most / max(1.0, shares[item].sum()), chosen


@numba.njit(cache=True, nogil=True)
def _settle(
    sacks: Sacks, shares: Numbers, room: Integers, free: Integers, places: Integers
) -> float:
    """Put the sure items, or the surest, where they have most; return what they cost."""
    cost = 0.0
    surest, share, there = -1, 0.0, -1
    for item in free:
        most, at = _surest(sacks, shares, room, item)
        if most > SURE:
            places[item] = at
            room[at] -= sacks.demand[item, at]
            cost += sacks.cost[item, at]
        elif most > share:
            surest, share, there = item, most, at
    if cost == 0.0 and surest >= 0 and (places[free] < 0).all():
        places[surest] = there
        room[there] -= sacks.demand[surest, there]
        cost += sacks.cost[surest, there]
    return cost


@numba.njit(cache=True, nogil=True)
def dive(
    sacks: Sacks,
    worth: Numbers,
    shares: Numbers,
    places: Integers,
    limits: tuple[float, float],
    noise: float,
    seed: int,
) -> bool:
    """Put items into `places` (-1 where it puts none); return whether the bound let it go on.

    Where it would fill too many tables it puts no more of them. It gives up where the bound passes
    the first of the limits; the other is the target of steps. Shares are drawn anew by the noise,
    so that each seed dives elsewhere.
    """
    np.random.seed(seed)
    limit, target = limits
    worth = worth.copy()
    shares = shares * (1.0 + noise * (np.random.random(shares.shape) - 0.5))
    room = sacks.capacity.copy()
    scratch = scratch_of(sacks)
    free = np.arange(worth.shape[0])
    places[:] = -1
    paid = 0.0
    cells = 0
    while free.shape[0] > 0:
        before = free.shape[0]
        paid += _settle(sacks, shares, room, free, places)
        free = free[places[free] < 0]
        cells += (STEPS + 1) * free.shape[0] * (room.sum() + CELLS_EACH * room.shape[0])
        if free.shape[0] == 0 or free.shape[0] == before or cells > MOST_CELLS:
            break
        for item in free:
            for at in range(room.shape[0]):
                if sacks.demand[item, at] > room[at]:
                    shares[item, at] = 0.0
        schedule = (STEPS, WEIGHT, STRIDE, target - paid)
        bound, _ = ascend(sacks, scratch, worth, shares, free, room, schedule)
        if paid + bound > limit:
            return False
    return True
