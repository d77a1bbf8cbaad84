"""Compiled inner loops: ruin and recreate on classes, accepted as in simulated annealing.

One step takes some units out of a few bins (where a unit that is left out, or stands where it is
dear, is to come in: as many as it needs) and puts them and what was left out back, cheapest bin
first, in a random order of a few kinds. A step that does not pay is undone from its journal.
Method: ruin and recreate (Schrimpf et al. 2000) in the form of slack induction by string removals
(Christiaens and Vanden Berghe 2020), with classes instead of single tasks. Needs the extra
`compiled`.
"""

from __future__ import annotations

import numba
import numpy as np

from placement.assignment.aiming import aimed, dear, make_room
from placement.assignment.problem import Integers, Numbers
from placement.assignment.state import (
    TAKEN,
    WAITING,
    State,
    Tables,
    fitting,
    noted,
    shift,
    take,
    touch,
)

# Shares of choices: of bins with room that are passed over, of steps that make room for something
# that is left out, of the others that do so for a unit that stands where it is dear, and of rooms
# that are made at least loss, not at random.
SKIPPED, FOCUSED = 0.03, 0.6
DEAR, CHOSEN = 0.5, 0.9


@numba.njit(cache=True, nogil=True)
def _ruin(tables: Tables, state: State, focus: int, at: int, budget: int) -> float:
    """Take random units out of a bin: `budget` times, or until one unit of `focus` fits."""
    delta = 0.0
    for _ in range(budget):
        if state.filled[at] == 0 or (focus >= 0 and fitting(tables, state, focus, at, 1) > 0):
            break
        item = state.present[at, np.random.randint(state.filled[at])]
        units = min(state.units[item, at], 1 + np.random.randint(tables.knobs[0]))
        delta += take(tables, state, item, at, units)
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
            delta += noted(tables, state, item, at, fitting(tables, state, item, at, most))
        state.wanted[item] = 0
    return delta


@numba.njit(cache=True, nogil=True)
def _outsider(tables: Tables, state: State) -> int:
    """Return something that is left out and has a bin, or -1."""
    if state.sizes[0] == 0 or np.random.random() >= FOCUSED:
        return -1
    item = int(state.outside[np.random.randint(state.sizes[0])])
    return item if tables.first[item] < tables.first[item + 1] else -1


@numba.njit(cache=True, nogil=True)
def _room(tables: Tables, state: State, focus: int, budget: int) -> float:
    """Take units out of a bin until one unit of `focus` fits; return what it costs."""
    at = aimed(tables, focus)
    if tables.knobs[5] > 0 and np.random.random() < CHOSEN:
        delta = make_room(tables, state, focus, at)
    else:
        delta = _ruin(tables, state, focus, at, 3 * budget)
    touch(state, at)
    return delta


@numba.njit(cache=True, nogil=True)
def _step(tables: Tables, state: State) -> float:
    """Ruin and recreate once; return what it costs."""
    state.sizes[1] = 0
    state.sizes[2] = 0
    state.sizes[3] = 0
    delta = 0.0
    focus = _outsider(tables, state)
    if focus < 0 and tables.knobs[5] > 0 and np.random.random() < DEAR:
        focus, at = dear(tables, state)
        if focus >= 0:
            delta += take(tables, state, focus, at, 1)
            touch(state, at)
    budget = 1 + np.random.randint(tables.knobs[1])
    # A step that aims changes one bin beside that which a dear unit leaves.
    for number in range(1 if tables.knobs[5] > 0 else 1 + np.random.randint(3)):
        if number == 0 and focus >= 0:
            delta += _room(tables, state, focus, budget)
            continue
        at = np.random.randint(state.units.shape[1])
        delta += _ruin(tables, state, -1, at, budget)
        touch(state, at)
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
