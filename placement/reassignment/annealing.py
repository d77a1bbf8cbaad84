"""Compiled simulated annealing over shifts of one process and swaps of two.

After Portal, Ritt, Borba and Buriol, "Simulated annealing for the machine reassignment problem",
Annals of Operations Research 242 (2016). What guides it here while it is hot is a price on room
that falls short of a fair share, so that no machine gets full in one resource while it is empty
in another, and a price on what moved processes still hold where they were.

A shift is a swap with process -1, which takes nothing.
"""

from __future__ import annotations

import math

import numba

from placement.reassignment import moves
from placement.reassignment.memory import BEST_COST, Memory, below, note, remember, uniform
from placement.reassignment.state import (
    CONFLICT_ROW,
    COST,
    DEPENDENCY_ROW,
    HELD,
    HOME,
    MOST_MOVED,
    SERVICE,
    SERVICE_MOVE,
    SPREAD_MINIMUM,
    SPREAD_ROW,
    State,
    Tables,
)

# Swaps in ten tries.
SWAPS_OF_TEN = 7

compiled = numba.njit(cache=True, nogil=True)
# Tables and states are dozens of arrays, which are copied at every call that stays a call.
inlined = numba.njit(cache=True, nogil=True, forceinline=True)


@compiled
def anneal(
    tables: Tables,
    state: State,
    memory: Memory,
    tries: int,
    heat: tuple[float, float, float],
) -> None:
    """Tries shifts and swaps at one heat.

    Args:
        tables: The instance.
        state: The assignment, changed in place; feasible before and after.
        memory: What the chain remembers.
        tries: How many.
        heat: Temperature, price of held amounts and price of lacking room, see `schedule.Heat`.
    """
    random = memory.random
    temperature, held_price, room_price = heat
    for _ in range(tries):
        first = below(random, state.assignment.shape[0])
        one = state.assignment[first]
        if below(random, 10) < SWAPS_OF_TEN:
            second = below(random, state.assignment.shape[0])
            two = state.assignment[second]
        else:
            second, two = -1, below(random, tables.capacity.shape[0])
        if one == two or not may_exchange(tables, state, first, second, two):
            continue
        threshold = -temperature * math.log(uniform(random))
        change = exchange_cost(tables, state, first, second, two)
        bias = held_price * held_change(tables, state, first, second, two)
        if room_price > 0:
            bias += room_price * lack_change(tables, state, first, second, two)
        if change + bias > threshold:
            continue
        top = state.totals[MOST_MOVED]
        exchange(tables, state, first, second, two)
        change += tables.weights[SERVICE_MOVE] * (state.totals[MOST_MOVED] - top)
        good = change + bias <= threshold and moves.consistent(tables, state, first)
        if not good or (second >= 0 and not moves.consistent(tables, state, second)):
            exchange(tables, state, first, second, one)
            continue
        note(state, memory, first)
        if second >= 0:
            note(state, memory, second)
        state.totals[COST] += change
        if state.totals[COST] < memory.marks[BEST_COST]:
            remember(state, memory)


@inlined
def room_taken(tables: Tables, process: int, machine: int, resource: int) -> int:
    """Returns the room that a process takes when it comes to a machine."""
    if process < 0 or (tables.transient[resource] and tables.process[process, HOME] == machine):
        return 0
    return int(tables.requirement[process, resource])


@inlined
def may_exchange(tables: Tables, state: State, first: int, second: int, two: int) -> bool:
    """Returns whether two processes may change places, but for dependencies on them."""
    one = state.assignment[first]
    for r in range(tables.requirement.shape[1]):
        more = room_taken(tables, second, one, r) - room_taken(tables, first, one, r)
        if more > state.room[one, r]:
            return False
        more = room_taken(tables, first, two, r) - room_taken(tables, second, two, r)
        if more > state.room[two, r]:
            return False
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
    return row < 0 or bool(state.missing[row, tables.neighbourhood[target]] == 0)


@inlined
def exchange_cost(tables: Tables, state: State, first: int, second: int, two: int) -> int:
    """Returns how the cost changes, without service moves."""
    one = state.assignment[first]
    change = moves.move_cost(tables, first, two) - moves.move_cost(tables, first, one)
    if second >= 0:
        change += moves.move_cost(tables, second, one) - moves.move_cost(tables, second, two)
    for r in range(tables.requirement.shape[1]):
        more = -tables.requirement[first, r]
        if second >= 0:
            more += tables.requirement[second, r]
        here = state.used[one, r] - tables.safety[one, r]
        there = state.used[two, r] - tables.safety[two, r]
        load = max(here + more, 0) - max(here, 0) + max(there - more, 0) - max(there, 0)
        change += tables.load_weight[r] * load
    for b in range(tables.balances.shape[0]):
        more = moves.lack_relief(tables, first, b)
        if second >= 0:
            more -= moves.lack_relief(tables, second, b)
        here, there = moves.lacking(tables, state, one, b), moves.lacking(tables, state, two, b)
        lack = max(here + more, 0) - max(here, 0) + max(there - more, 0) - max(there, 0)
        change += tables.balances[b, 3] * lack
    return int(change)


@inlined
def held_change(tables: Tables, state: State, first: int, second: int, two: int) -> float:
    """Returns how the weighted amount changes that moved processes hold where they were."""
    one, home = state.assignment[first], tables.process[first, HOME]
    held = tables.process[first, HELD] * (int(two != home) - int(one != home))
    if second >= 0:
        home = tables.process[second, HOME]
        held += tables.process[second, HELD] * (int(one != home) - int(two != home))
    return float(held)


@inlined
def lack_change(tables: Tables, state: State, first: int, second: int, two: int) -> float:
    """Returns how the weighted lack of fair room changes, squared over the fair room."""
    one = state.assignment[first]
    change = 0.0
    for r in range(tables.requirement.shape[1]):
        here, there = tables.fair[one, r], tables.fair[two, r]
        lack_here, lack_there = here - state.room[one, r], there - state.room[two, r]
        more = room_taken(tables, second, one, r) - room_taken(tables, first, one, r)
        part = (square(lack_here + more) - square(lack_here)) / here
        more = room_taken(tables, first, two, r) - room_taken(tables, second, two, r)
        part += (square(lack_there + more) - square(lack_there)) / there
        change += tables.load_weight[r] * part
    return change


@inlined
def square(lack: int) -> float:
    """Returns the square of what is positive, in floating point."""
    value = float(max(lack, 0))
    return value * value


@compiled
def exchange(tables: Tables, state: State, first: int, second: int, two: int) -> None:
    """Takes the first process to a machine and the second to where the first was."""
    one = state.assignment[first]
    moves.take_out(tables, state, first)
    if second >= 0:
        moves.take_out(tables, state, second)
        moves.put_in(tables, state, second, one)
    moves.put_in(tables, state, first, two)
