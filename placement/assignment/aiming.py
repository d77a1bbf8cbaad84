"""Steps that aim, where little may move: what to make room for, in which bin, at whose expense.

A running plan is good but for a few places, so that units and bins drawn at random seldom meet one.
What is dear is read from the prices of room of the linear programme (Dantzig and Wolfe 1960: the
reduced cost of a unit in a bin), and room is made as an ejection chain begins (Glover 1996): out go
the units that are worth least for what they free of the row that is short. Needs the extra
`compiled`.
"""

from __future__ import annotations

import numba
import numpy as np

from placement.assignment.state import State, Tables, fitting, take

# How many are looked at for the dearest unit, and for the cheapest bin.
LOOKED_AT = 8
LARGEST_EVICTIONS = 60
# Losses are compared after multiplying each by a random factor of at least this and at most as far
# above 1 as this is below.
NOISE = 0.5


@numba.njit(cache=True, nogil=True)
def dear(tables: Tables, state: State) -> tuple[int, int]:
    """Return the dearest of a few units that stand somewhere, as item and bin; -1 for none.

    Dear is what costs more than the same unit elsewhere, room paid in both places.
    """
    item, at = -1, -1
    most = 0.0
    for _ in range(LOOKED_AT):
        place = np.random.randint(state.units.shape[1])
        if state.filled[place] == 0:
            continue
        one = int(state.present[place, np.random.randint(state.filled[place])])
        excess = tables.priced[one, place] - tables.worth[one]
        if excess > most:
            item, at, most = one, place, excess
    return item, at


@numba.njit(cache=True, nogil=True)
def aimed(tables: Tables, item: int) -> int:
    """Return a bin for an item: where steps aim the cheapest of a few, room paid, else any."""
    chosen = -1
    for _ in range(LOOKED_AT if tables.knobs[5] > 0 else 1):
        at = int(tables.bins[np.random.randint(tables.first[item], tables.first[item + 1])])
        if chosen < 0 or tables.priced[item, at] < tables.priced[item, chosen]:
            chosen = at
    return chosen


@numba.njit(cache=True, nogil=True)
def make_room(tables: Tables, state: State, focus: int, at: int) -> float:
    """Take what is worth least out of a bin until one unit of `focus` fits; return the cost."""
    delta = 0.0
    for _ in range(LARGEST_EVICTIONS):
        if fitting(tables, state, focus, at, 1) > 0:
            break
        item, units = _least_loss(tables, state, focus, at)
        if item < 0:
            break
        delta += take(tables, state, item, at, units)
    return delta


@numba.njit(cache=True, nogil=True)
def _least_loss(tables: Tables, state: State, focus: int, at: int) -> tuple[int, int]:
    """Return which units to take out for the row by which `focus` does not fit; -1 for none."""
    row = state.witness[at]
    short = tables.demand[focus, at * tables.knobs[2], row] - state.room[at, row]
    chosen, taken = -1, 0
    least = np.inf
    for index in range(state.filled[at]):
        item = state.present[at, index]
        takes = tables.demand[item, at * tables.knobs[2], row]
        if takes == 0 or item == focus:
            continue
        units = min(state.units[item, at], (short + takes - 1) // takes)
        loss = tables.worth[item] - tables.cost[item, at]
        if state.units[item, at] <= tables.base[item, at]:
            loss += tables.move_cost[item]
        # What frees only a part counts as if as much more were to go.
        loss = max(loss, 0.0) * units * max(1.0, short / (units * takes))
        loss *= NOISE + 2.0 * (1.0 - NOISE) * np.random.random()
        if loss < least:
            chosen, taken, least = item, units, loss
    return chosen, taken
