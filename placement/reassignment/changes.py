"""Compiled: how the cost changes where one process or two go to other machines.

Nothing is changed here. The first process goes to the machine of the second. The second, which may
be the last row of the tables and so no process, goes to where the first was (a swap) or to a third
machine (a relay). `places` are the machines to which they go.
"""

from __future__ import annotations

import numba

from placement.reassignment import moves
from placement.reassignment.state import HELD, State, Tables

# Tables and states are dozens of arrays, which are copied at every call that stays a call.
inlined = numba.njit(cache=True, nogil=True, forceinline=True)


@inlined
def load_change(
    tables: Tables, state: State, first: int, second: int, places: tuple[int, int]
) -> tuple[int, int]:
    """Returns how the cost of loads and balances changes, and how the room that lacks does."""
    two, three = places
    if three == state.assignment[first]:
        return swap_load(tables, state, first, second, two)
    return relay_load(tables, state, first, second, three)


@inlined
def swap_load(tables: Tables, state: State, first: int, second: int, two: int) -> tuple[int, int]:
    """Does what `load_change` does for a swap."""
    one = state.assignment[first]
    change = -state.burden[one] - state.burden[two]
    lack = -state.lack[one] - state.lack[two]
    mine, other = int(one == tables.home[first]), int(two == tables.home[first])
    back, away_from = int(two == tables.home[second]), int(one == tables.home[second])
    for c in range(tables.amount.shape[1]):
        out, into = tables.amount[first, c], tables.amount[second, c]
        more = into - out
        change += max(state.above[one, c] + more, 0) + max(state.above[two, c] - more, 0)
        at_one = (into & tables.kept[away_from, c]) - (out & tables.kept[mine, c])
        at_two = (out & tables.kept[other, c]) - (into & tables.kept[back, c])
        lack += max(at_one - state.room[one, c], 0) + max(at_two - state.room[two, c], 0)
    return int(change), int(lack)


@inlined
def relay_load(
    tables: Tables, state: State, first: int, second: int, three: int
) -> tuple[int, int]:
    """Does what `load_change` does for a relay."""
    one, two = state.assignment[first], state.assignment[second]
    change = -state.burden[one] - state.burden[two] - state.burden[three]
    lack = -state.lack[one] - state.lack[two] - state.lack[three]
    mine, other = int(one == tables.home[first]), int(two == tables.home[first])
    back, home = int(two == tables.home[second]), int(three == tables.home[second])
    for c in range(tables.amount.shape[1]):
        out, into = tables.amount[first, c], tables.amount[second, c]
        change += max(state.above[one, c] - out, 0) + max(state.above[two, c] + out - into, 0)
        change += max(state.above[three, c] + into, 0)
        at_two = (out & tables.kept[other, c]) - (into & tables.kept[back, c])
        lack += max(-(out & tables.kept[mine, c]) - state.room[one, c], 0)
        lack += max(at_two - state.room[two, c], 0)
        lack += max((into & tables.kept[home, c]) - state.room[three, c], 0)
    return int(change), int(lack)


@inlined
def strain_change(
    tables: Tables, state: State, first: int, second: int, places: tuple[int, int]
) -> float:
    """Returns how the value changes of the fair room that machines lack, squared."""
    one, (two, three) = state.assignment[first], places
    mine, other = int(one == tables.home[first]), int(two == tables.home[first])
    back, there = int(two == tables.home[second]), int(three == tables.home[second])
    change = 0.0
    for c in range(tables.amount.shape[1]):
        out, into = tables.amount[first, c], tables.amount[second, c]
        at_one = -(out & tables.kept[mine, c])
        at_two = (out & tables.kept[other, c]) - (into & tables.kept[back, c])
        at_three = into & tables.kept[there, c]
        if three == one:
            at_one += at_three
        else:
            change += strain_of(tables, state, three, c, at_three)
        change += strain_of(tables, state, one, c, at_one)
        change += strain_of(tables, state, two, c, at_two)
    return change


@inlined
def strain_of(tables: Tables, state: State, machine: int, c: int, more: int) -> float:
    """Returns how one machine's value changes where so much more of a column is used."""
    lack = tables.fair[machine, c] - state.room[machine, c]
    after = max(lack + more, 0.0)
    before = max(lack, 0.0)
    return float(tables.strain[machine, c] * (after * after - before * before))


@inlined
def away_change(
    tables: Tables, first: int, second: int, places: tuple[int, int, int]
) -> tuple[int, int]:
    """Returns how the costs of moves change, and the weighted amount that moved processes hold."""
    one, two, three = places
    change = moves.move_cost(tables, first, two) - moves.move_cost(tables, first, one)
    home = tables.home[first]
    held = tables.process[first, HELD] * (int(two != home) - int(one != home))
    if second >= 0:
        change += moves.move_cost(tables, second, three) - moves.move_cost(tables, second, two)
        home = tables.home[second]
        held += tables.process[second, HELD] * (int(three != home) - int(two != home))
    return int(change), int(held)
