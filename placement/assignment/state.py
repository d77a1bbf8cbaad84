"""What the compiled loops of annealing read and change, and how units are moved in it.

Needs the extra `compiled`.
"""

from __future__ import annotations

from typing import NamedTuple

import numba

from placement.assignment.problem import Integers, Numbers

# Why an item is in the pool of a step: it was left out before, or was taken out by the step.
WAITING, TAKEN = 1, 2


class Tables(NamedTuple):
    """What a search reads: the problem and the hints of the linear programme.

    `first` and `bins` list the bins of item i as bins[first[i]:first[i + 1]]. `priced` is cost
    plus the price of the room taken. `keys` holds two orders of coming back, least first.
    `worth` is the least of `priced`, or the cost of leaving a unit out where that is less.
    `base` and `move_cost` price units that left a bin where they stood. `knobs` holds the most
    units taken at once, the most removals from a bin, 1 where demand depends on the bin, the
    percentage of steps that look at prices of room, the most units that may have left, and 1 where
    steps aim.
    """

    cost: Numbers
    out_cost: Numbers
    demand: Integers
    first: Integers
    bins: Integers
    priced: Numbers
    worth: Numbers
    keys: Numbers
    base: Integers
    move_cost: Numbers
    knobs: Integers


class State(NamedTuple):
    """What a search changes; `sizes` holds the lengths of lists and the units that left their bin.

    The lists are those of items left out, the journal, the pool, and the bins touched by a step.
    `present[b]` lists the items in bin b, `place` where each stands in that list; `outside` and
    `outside_place` do so for items with units left out. `journal` has item, bin, units by line.
    `witness` is the row by which something last did not fit a bin: the next one likely fails there
    too.
    """

    units: Integers
    out: Integers
    room: Integers
    present: Integers
    place: Integers
    filled: Integers
    outside: Integers
    outside_place: Integers
    journal: Integers
    sizes: Integers
    pool: Integers
    wanted: Integers
    touched: Integers
    witness: Integers


@numba.njit(cache=True, nogil=True)
def fitting(tables: Tables, state: State, item: int, at: int, units: int) -> int:
    """Return how many of the units fit into a bin."""
    need = tables.demand[item, at * tables.knobs[2]]
    room = state.room[at]
    witness = state.witness[at]
    if need[witness] > room[witness]:
        return 0
    for row in range(room.shape[0]):
        if need[row] * units > room[row]:
            units = room[row] // need[row]
            if units <= 0:
                state.witness[at] = row
                return 0
    return units


@numba.njit(cache=True, nogil=True)
def shift(tables: Tables, state: State, item: int, at: int, units: int) -> float:
    """Move units from outside into a bin (or out of it where negative); return what it costs."""
    before = state.units[item, at]
    after = before + units
    base = tables.base[item, at]
    state.units[item, at] = after
    state.out[item] -= units
    need = tables.demand[item, at * tables.knobs[2]]
    room = state.room[at]
    for row in range(room.shape[0]):
        room[row] -= units * need[row]
    if before == 0:
        state.place[at, item] = state.filled[at]
        state.present[at, state.filled[at]] = item
        state.filled[at] += 1
    elif after == 0:
        state.filled[at] -= 1
        last = state.present[at, state.filled[at]]
        state.present[at, state.place[at, item]] = last
        state.place[at, last] = state.place[at, item]
    if state.out[item] == 0:
        state.sizes[0] -= 1
        last = state.outside[state.sizes[0]]
        state.outside[state.outside_place[item]] = last
        state.outside_place[last] = state.outside_place[item]
    elif state.out[item] == -units:
        state.outside_place[item] = state.sizes[0]
        state.outside[state.sizes[0]] = item
        state.sizes[0] += 1
    moved = max(0, base - after) - max(0, base - before)
    state.sizes[4] += moved
    paid = moved * tables.move_cost[item]
    return float(units * (tables.cost[item, at] - tables.out_cost[item]) + paid)


@numba.njit(cache=True, nogil=True)
def noted(tables: Tables, state: State, item: int, at: int, units: int) -> float:
    """Move units as `shift` does, with a line in the journal to undo it by."""
    line = state.sizes[1]
    state.journal[line, 0] = item
    state.journal[line, 1] = at
    state.journal[line, 2] = units
    state.sizes[1] += 1
    return shift(tables, state, item, at, units)


@numba.njit(cache=True, nogil=True)
def take(tables: Tables, state: State, item: int, at: int, units: int) -> float:
    """Take units out of a bin into the pool of this step; return what it costs."""
    delta = noted(tables, state, item, at, -units)
    if state.wanted[item] == 0:
        state.pool[state.sizes[2]] = item
        state.sizes[2] += 1
    state.wanted[item] = TAKEN
    return delta


@numba.njit(cache=True, nogil=True)
def touch(state: State, at: int) -> None:
    """Note that this step changes a bin."""
    state.touched[state.sizes[3]] = at
    state.sizes[3] += 1
