"""Compiled simulated annealing over shifts of one process and swaps of two.

After Portal, Ritt, Borba and Buriol, "Simulated annealing for the machine reassignment problem",
Annals of Operations Research 242 (2016). Two things speed it up here. Nearly all tries fail, so a
try is one loop without branches over the columns, and what remains is looked at only where that
loop lets it pass. And a process changes places with one of about its size, as in the variable
neighbourhood search of Gavranovic, Buljubasic and Demirovic (team S41 of the challenge): such
swaps fit more often and change the cost by less.

A shift is a swap with no process, the last row of the tables.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from placement.reassignment import moves
from placement.reassignment.memory import BEST_COST, Memory, draw, note, remember, uniform
from placement.reassignment.state import (
    CONFLICT_ROW,
    COST,
    DEPENDENCY_ROW,
    HELD,
    MOST_MOVED,
    SERVICE,
    SERVICE_MOVE,
    SPREAD_MINIMUM,
    SPREAD_ROW,
    State,
    Tables,
)

# Swaps in eight tries.
SWAPS_OF_EIGHT = 6
# The last kind of eight leads a moved process home.
HOMEWARD = 7
# A rise of the cost by this many temperatures is never let in.
HOPELESS = 40.0
# More than any cost.
NEVER = 2**62

compiled = numba.njit(cache=True, nogil=True)
# Tables and states are dozens of arrays, which are copied at every call that stays a call.
inlined = numba.njit(cache=True, nogil=True, forceinline=True)


@compiled
def anneal(
    tables: Tables, state: State, memory: Memory, tries: int, heat: tuple[float, float, float]
) -> int:
    """Tries shifts and swaps at one heat; returns how many were made.

    Args:
        tables: The instance, its processes in the order of their sizes.
        state: The assignment, changed in place; feasible before and after.
        memory: What the chain remembers.
        tries: How many.
        heat: Temperature, price of held amounts and price of lacking room, see `schedule.Heat`.
    """
    temperature, held_price, room_price = heat
    widths = widest(state.assignment.shape[0])
    made = 0
    for _ in range(tries):
        first, second, two = propose(tables, state, draw(memory.random), widths)
        one = state.assignment[first]
        if one == two:
            continue
        change = load_change(tables, state, first, second, two)
        if change >= NEVER:
            continue
        moving, held = away_change(tables, first, second, one, two)
        change += moving
        bias = held_price * held + room_price * strain_change(tables, state, first, second, two)
        if change + bias > HOPELESS * temperature:
            continue
        bias += temperature * math.log(uniform(memory.random))
        if change + bias > 0 or not may_exchange(tables, state, first, second, two):
            continue
        top = state.totals[MOST_MOVED]
        exchange(tables, state, first, second, two)
        change += tables.weights[SERVICE_MOVE] * (state.totals[MOST_MOVED] - top)
        good = change + bias <= 0 and moves.consistent(tables, state, first)
        if not good or (second >= 0 and not moves.consistent(tables, state, second)):
            exchange(tables, state, first, second, one)
            continue
        made += 1
        note(state, memory, first)
        if second >= 0:
            note(state, memory, second)
        state.totals[COST] += change
        if state.totals[COST] < memory.marks[BEST_COST]:
            remember(state, memory)
    return made


@inlined
def widest(processes: int) -> int:
    """Returns how many widths there are: 1, 2, 4 and so on, up to half of the processes."""
    widths = 1
    while (2 << widths) <= processes:
        widths += 1
    return widths


@inlined
def propose(tables: Tables, state: State, bits: np.uint64, widths: int) -> tuple[int, int, int]:
    """Returns a process, the one to change places with or -1, and where the first would go."""
    processes = state.assignment.shape[0]
    high, low = np.int64(bits >> np.uint64(32)), np.int64(bits & np.uint64(0xFFFFFFFF))
    first = (high * processes) >> 32
    low, kind = low >> 3, low & 7
    if kind >= SWAPS_OF_EIGHT:
        if kind == HOMEWARD and state.assignment[first] != tables.home[first]:
            return first, -1, int(tables.home[first])
        return first, -1, (low * state.above.shape[0]) >> 29
    # The last bits choose the side and the width, those before them the distance.
    low, width = low >> 8, ((low & 255) * widths) >> 8
    distance = 1 + ((low >> 1) & ((2 << width) - 1))
    second = first + distance if low & 1 else first - distance
    if second < 0 or second >= processes:
        second = 2 * first - second
        if second < 0 or second >= processes:
            return first, first, int(state.assignment[first])
    return first, second, int(state.assignment[second])


@inlined
def load_change(tables: Tables, state: State, first: int, second: int, two: int) -> int:
    """Returns how the cost of loads and balances changes; a huge number where it does not fit."""
    one = state.assignment[first]
    change, tight = -state.burden[one] - state.burden[two], 0
    mine, other = int(one == tables.home[first]), int(two == tables.home[first])
    back, away_from = int(two == tables.home[second]), int(one == tables.home[second])
    for c in range(tables.amount.shape[1]):
        out, into = tables.amount[first, c], tables.amount[second, c]
        more = into - out
        change += max(state.above[one, c] + more, 0) + max(state.above[two, c] - more, 0)
        at_one = (into & tables.kept[away_from, c]) - (out & tables.kept[mine, c])
        at_two = (out & tables.kept[other, c]) - (into & tables.kept[back, c])
        # A negative number in either leaves the sign bit set.
        tight |= (state.room[one, c] - at_one) | (state.room[two, c] - at_two)
    return int(change) if tight >= 0 else NEVER


@inlined
def strain_change(tables: Tables, state: State, first: int, second: int, two: int) -> float:
    """Returns how the value changes of the fair room that two machines lack, squared."""
    one = state.assignment[first]
    mine, other = int(one == tables.home[first]), int(two == tables.home[first])
    back, away_from = int(two == tables.home[second]), int(one == tables.home[second])
    change = 0.0
    for c in range(tables.amount.shape[1]):
        out, into = tables.amount[first, c], tables.amount[second, c]
        at_one = (into & tables.kept[away_from, c]) - (out & tables.kept[mine, c])
        at_two = (out & tables.kept[other, c]) - (into & tables.kept[back, c])
        lack = tables.fair[one, c] - state.room[one, c]
        change += tables.strain[one, c] * (square(lack + at_one) - square(lack))
        lack = tables.fair[two, c] - state.room[two, c]
        change += tables.strain[two, c] * (square(lack + at_two) - square(lack))
    return change


@inlined
def square(lack: float) -> float:
    """Returns the square of what is positive."""
    return lack * lack if lack > 0.0 else 0.0


@inlined
def away_change(tables: Tables, first: int, second: int, one: int, two: int) -> tuple[int, int]:
    """Returns how the costs of moves change, and the weighted amount that moved processes hold."""
    change = moves.move_cost(tables, first, two) - moves.move_cost(tables, first, one)
    home = tables.home[first]
    held = tables.process[first, HELD] * (int(two != home) - int(one != home))
    if second >= 0:
        change += moves.move_cost(tables, second, one) - moves.move_cost(tables, second, two)
        home = tables.home[second]
        held += tables.process[second, HELD] * (int(one != home) - int(two != home))
    return int(change), int(held)


@inlined
def may_exchange(tables: Tables, state: State, first: int, second: int, two: int) -> bool:
    """Returns whether processes that fit may change places, as far as others stay."""
    one = state.assignment[first]
    mine = int(tables.process[first, SERVICE])
    other = -1 if second < 0 else int(tables.process[second, SERVICE])
    if mine == other:
        return True
    if not welcome(tables, state, mine, one, two):
        return False
    return second < 0 or welcome(tables, state, other, two, one)


@inlined
def welcome(tables: Tables, state: State, service: int, source: int, target: int) -> bool:
    """Returns whether a process of a service may change machines, as far as others stay."""
    row = tables.service[service, CONFLICT_ROW]
    if row >= 0 and state.present[row, target]:
        return False
    row = tables.service[service, SPREAD_ROW]
    old, new = tables.location[source], tables.location[target]
    if row >= 0 and old != new and state.spread[row, old] == 1 and state.spread[row, new] > 0:
        spare = state.distinct[row] - tables.service[service, SPREAD_MINIMUM]
        if spare <= 0:
            return False
    row = tables.service[service, DEPENDENCY_ROW]
    old, new = tables.neighbourhood[source], tables.neighbourhood[target]
    if row < 0 or old == new:
        return True
    if state.nearby[row, old] == 1 and state.waiting[row, old] > 0:
        return False
    return bool(state.missing[row, new] == 0)


@compiled
def exchange(tables: Tables, state: State, first: int, second: int, two: int) -> None:
    """Takes the first process to a machine and the second to where the first was."""
    one = state.assignment[first]
    moves.take_out(tables, state, first)
    if second >= 0:
        moves.take_out(tables, state, second)
        moves.put_in(tables, state, second, one)
    moves.put_in(tables, state, first, two)
