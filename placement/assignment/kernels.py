"""Compiled inner loops: ruin and recreate on classes, accepted as in simulated annealing.

One step takes some units out of a few bins (where a unit that is left out is to come in: as many
as it needs) and puts them and what was left out back, cheapest bin first, in a random order of a
few kinds. A step that does not pay is undone from its journal. Method: ruin and recreate
(Schrimpf et al. 2000) in the form of slack induction by string removals (Christiaens and Vanden
Berghe 2020), with classes instead of single tasks. Needs the extra `compiled`.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from placement.assignment.problem import Integers, Numbers

# Shares of choices: of bins with room that are passed over, and of steps that make room for
# something that is left out.
SKIPPED, FOCUSED = 0.03, 0.6
# Why an item is in the pool of a step: it was left out before, or was taken out by the step.
WAITING, TAKEN = 1, 2


class Tables(NamedTuple):
    """What a search reads: the problem and the hints of the linear programme.

    `first` and `bins` list the bins of item i as bins[first[i]:first[i + 1]]. `priced` is cost
    plus the price of the room taken. `keys` holds two orders of coming back, least first.
    `base` and `move_cost` price units that left a bin where they stood. `knobs` holds the most
    units taken at once, the most removals from a bin, 1 where demand depends on the bin, the
    percentage of steps that look at prices of room, and the most units that may have left.
    """

    cost: Numbers
    out_cost: Numbers
    demand: Integers
    first: Integers
    bins: Integers
    priced: Numbers
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
def _noted(tables: Tables, state: State, item: int, at: int, units: int) -> float:
    line = state.sizes[1]
    state.journal[line, 0] = item
    state.journal[line, 1] = at
    state.journal[line, 2] = units
    state.sizes[1] += 1
    return shift(tables, state, item, at, units)


@numba.njit(cache=True, nogil=True)
def _ruin(tables: Tables, state: State, focus: int, at: int, budget: int) -> float:
    """Take random units out of a bin: `budget` times, or until one unit of `focus` fits."""
    delta = 0.0
    for _ in range(budget):
        if state.filled[at] == 0 or (focus >= 0 and fitting(tables, state, focus, at, 1) > 0):
            break
        item = state.present[at, np.random.randint(state.filled[at])]
        units = min(state.units[item, at], 1 + np.random.randint(tables.knobs[0]))
        delta += _noted(tables, state, item, at, -units)
        if state.wanted[item] == 0:
            state.pool[state.sizes[2]] = item
            state.sizes[2] += 1
        state.wanted[item] = TAKEN
    return delta


@numba.njit(cache=True, nogil=True)
def _choose_bin(tables: Tables, state: State, item: int, costs: Numbers) -> int:
    """Return the cheapest bin with room, now and then not the cheapest; -1 for none.

    What was left out before this step can only have found new room in the bins touched by it.
    """
    everywhere = state.wanted[item] == TAKEN
    start = tables.first[item] if everywhere else 0
    end = tables.first[item + 1] if everywhere else state.sizes[3]
    best = np.inf
    chosen = -1
    for index in range(start, end):
        at = tables.bins[index] if everywhere else state.touched[index]
        value = costs[item, at]
        if state.units[item, at] < tables.base[item, at]:
            value -= tables.move_cost[item]
        if value >= best or tables.cost[item, at] >= tables.out_cost[item]:
            continue
        if fitting(tables, state, item, at, 1) == 0 or np.random.random() < SKIPPED:
            continue
        best = value
        chosen = at
    return chosen


@numba.njit(cache=True, nogil=True)
def _may_enter(tables: Tables, state: State, item: int) -> bool:
    """Return whether one unit fits into a bin touched by this step, and pays there."""
    for index in range(state.sizes[3]):
        at = state.touched[index]
        if (
            tables.cost[item, at] < tables.out_cost[item]
            and fitting(tables, state, item, at, 1) > 0
        ):
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _recreate(tables: Tables, state: State, focus: int) -> float:
    """Put what was taken out, and what was left out before, back where it fits."""
    for index in range(state.sizes[0]):
        item = state.outside[index]
        if state.wanted[item] == 0 and _may_enter(tables, state, item):
            state.wanted[item] = WAITING
            state.pool[state.sizes[2]] = item
            state.sizes[2] += 1
    count = state.sizes[2]
    kind = np.random.randint(3)
    by_price = np.random.randint(100) < tables.knobs[3]
    costs = tables.priced if by_price else tables.cost
    key = np.random.random(count)
    for index in range(count):
        item = state.pool[index]
        if kind > 0:
            key[index] = tables.keys[kind - 1, item] * (1.0 - 0.3 * key[index])
        if item == focus:
            key[index] = -np.inf
    order = np.argsort(key)
    delta = 0.0
    for index in range(count):
        item = int(state.pool[order[index]])
        while state.out[item] > 0 and state.sizes[1] < state.journal.shape[0]:
            at = _choose_bin(tables, state, item, costs)
            if at < 0:
                break
            most = int(state.out[item])
            within = tables.base[item, at] - state.units[item, at]
            if tables.move_cost[item] > 0 and within > 0:
                most = min(most, int(within))
            delta += _noted(tables, state, item, at, fitting(tables, state, item, at, most))
        state.wanted[item] = 0
    return delta


@numba.njit(cache=True, nogil=True)
def _step(tables: Tables, state: State) -> float:
    """Ruin and recreate once; return what it costs."""
    state.sizes[1] = 0
    state.sizes[2] = 0
    state.sizes[3] = 0
    focus = -1
    if state.sizes[0] > 0 and np.random.random() < FOCUSED:
        focus = int(state.outside[np.random.randint(state.sizes[0])])
        if tables.first[focus] == tables.first[focus + 1]:
            focus = -1
    budget = 1 + np.random.randint(tables.knobs[1])
    delta = 0.0
    for number in range(1 + np.random.randint(3)):
        at = np.random.randint(state.units.shape[1])
        aim = focus if number == 0 else -1
        if aim >= 0:
            at = int(tables.bins[np.random.randint(tables.first[focus], tables.first[focus + 1])])
        delta += _ruin(tables, state, aim, at, 3 * budget if aim >= 0 else budget)
        state.touched[state.sizes[3]] = at
        state.sizes[3] += 1
    return delta + _recreate(tables, state, focus)


@numba.njit(cache=True, nogil=True)
def anneal(
    tables: Tables,
    state: State,
    best: Integers,
    steps: int,
    temperature: float,
    seed: int,
    lowest: float,
) -> tuple[float, float]:
    """Do steps at one temperature from a state whose cost counts as 0.

    `best` holds units that cost `lowest`; a cheaper moment replaces both. Returns the cost at the
    end and the lowest.
    """
    np.random.seed(seed)
    cost = 0.0
    for _ in range(steps):
        moved = state.sizes[4]
        delta = _step(tables, state)
        may = state.sizes[4] <= max(moved, tables.knobs[4])
        if may and (delta <= 0.0 or np.random.random() < np.exp(-delta / temperature)):
            cost += delta
            if cost < lowest - 0.5:
                lowest = cost
                best[:] = state.units
            continue
        for line in range(state.sizes[1] - 1, -1, -1):
            shift(
                tables,
                state,
                state.journal[line, 0],
                state.journal[line, 1],
                -state.journal[line, 2],
            )
    return cost, lowest
