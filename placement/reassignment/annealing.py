"""Compiled simulated annealing over shifts of one process, swaps and relays of two.

After Portal, Ritt, Borba and Buriol, "Simulated annealing for the machine reassignment problem",
Annals of Operations Research 242 (2016). Two things speed it up here. Nearly all tries fail, so a
try is one loop without branches over the columns, and what remains is looked at only where that
loop lets it pass. And a process changes places with one of about its size, as in the variable
neighbourhood search of Gavranovic, Buljubasic and Demirovic (team S41 of the challenge): such
swaps fit more often and change the cost by less.

A relay takes a process to the machine of a moved one, which goes home. Moved processes hold room
where they started, so that only few can be away; a relay changes which.

A shift is a swap with no process, the last row of the tables.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from placement.reassignment import changes, moves
from placement.reassignment.memory import BEST_COST, Memory, draw, note, remember, uniform
from placement.reassignment.state import (
    CONFLICT_ROW,
    COST,
    DEPENDENCY_ROW,
    HELD,
    LACK,
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

compiled = numba.njit(cache=True, nogil=True)
# Tables and states are dozens of arrays, which are copied at every call that stays a call.
inlined = numba.njit(cache=True, nogil=True, forceinline=True)


@compiled
def anneal(
    tables: Tables,
    state: State,
    memory: Memory,
    tries: int,
    heat: tuple[float, float, float, float],
    relays: int,
) -> int:
    """Tries shifts, swaps and relays at one heat; returns how many were made.

    Args:
        tables: The instance, its processes in the order of their sizes.
        state: The assignment, changed in place; all limits but those of room hold before and after,
            and those of room where the last price is `schedule.STRICT`.
        memory: What the chain remembers.
        tries: How many.
        heat: Temperature and prices of held amounts, of less than the fair room and of room
            that lacks, see `schedule.Heat`.
        relays: Of eight tries, six of them swaps, so many become relays where they can.
    """
    temperature, held_price, room_price, lack_price = heat
    widths = widest(state.assignment.shape[0])
    made = 0
    for _ in range(tries):
        first, second, two, three = propose(tables, state, draw(memory.random), (widths, relays))
        one = state.assignment[first]
        if one == two:
            continue
        change, lack = changes.load_change(tables, state, first, second, (two, three))
        if lack > 0 and lack * lack_price > HOPELESS * temperature:
            continue
        moving, held = changes.away_change(tables, first, second, (one, two, three))
        change += moving
        bias = held_price * held + lack_price * lack
        if room_price > 0.0:
            strain = changes.strain_change(tables, state, first, second, (two, three))
            bias += room_price * strain
        if change + bias > HOPELESS * temperature:
            continue
        bias += temperature * math.log(uniform(memory.random))
        if change + bias > 0 or not may_exchange(tables, state, first, second, (two, three)):
            continue
        top = state.totals[MOST_MOVED]
        exchange(tables, state, first, second, (two, three))
        change += tables.weights[SERVICE_MOVE] * (state.totals[MOST_MOVED] - top)
        if change + bias > 0 or not consistent(tables, state, first, second):
            exchange(tables, state, first, second, (one, two))
            continue
        made += 1
        note(state, memory, first)
        if second >= 0:
            note(state, memory, second)
        state.totals[COST] += change
        if state.totals[LACK] == 0 and state.totals[COST] < memory.marks[BEST_COST]:
            remember(state, memory)
    return made


@inlined
def consistent(tables: Tables, state: State, first: int, second: int) -> bool:
    """Returns whether what binds processes to others holds of one that moved, and another or -1."""
    if not moves.consistent(tables, state, first):
        return False
    return second < 0 or moves.consistent(tables, state, second)


@inlined
def widest(processes: int) -> int:
    """Returns how many widths there are: 1, 2, 4 and so on, up to half of the processes."""
    widths = 1
    while (2 << widths) <= processes:
        widths += 1
    return widths


@inlined
def propose(
    tables: Tables, state: State, bits: np.uint64, how: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Returns a process, another or -1, and where they would go.

    `how` are the number of widths and the relays of eight tries. A relay is made of a swap where
    the second process holds room at home.
    """
    processes, (widths, relays) = state.assignment.shape[0], how
    high, low = np.int64(bits >> np.uint64(32)), np.int64(bits & np.uint64(0xFFFFFFFF))
    first = (high * processes) >> 32
    low, kind = low >> 3, low & 7
    one = int(state.assignment[first])
    if kind >= SWAPS_OF_EIGHT:
        if kind == HOMEWARD and one != tables.home[first]:
            return first, -1, int(tables.home[first]), one
        return first, -1, (low * state.above.shape[0]) >> 29, one
    # The last bits choose the side and the width, those before them the distance.
    low, width = low >> 8, ((low & 255) * widths) >> 8
    distance = 1 + ((low >> 1) & ((2 << width) - 1))
    second = first + distance if low & 1 else first - distance
    if second < 0 or second >= processes:
        second = 2 * first - second
        if second < 0 or second >= processes:
            return first, first, one, one
    two, three = int(state.assignment[second]), int(tables.home[second])
    away = two != three and tables.process[second, HELD] > 0
    if kind < relays and away and two != one:
        return first, second, two, three
    return first, second, two, one


@inlined
def may_exchange(
    tables: Tables, state: State, first: int, second: int, places: tuple[int, int]
) -> bool:
    """Returns whether processes that fit may go to their places, as far as others stay."""
    one, (two, three) = int(state.assignment[first]), places
    mine = int(tables.process[first, SERVICE])
    other = -1 if second < 0 else int(tables.process[second, SERVICE])
    if mine == other:
        return one == three
    if not welcome(tables, state, mine, one, two):
        return False
    return second < 0 or welcome(tables, state, other, two, three)


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
def exchange(
    tables: Tables, state: State, first: int, second: int, places: tuple[int, int]
) -> None:
    """Takes the first process to a machine and the second, if there is one, to another."""
    moves.take_out(tables, state, first)
    if second >= 0:
        moves.take_out(tables, state, second)
        moves.put_in(tables, state, second, places[1])
    moves.put_in(tables, state, first, places[0])
