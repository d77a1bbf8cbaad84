"""Compiled taking out and putting in of processes, what it costs, and which limits it breaks.

Everything is exact: the sum of what the functions return is the difference of full evaluations,
but for the cost of service moves, which is read off `State.totals`.
"""

from __future__ import annotations

import numba
import numpy as np

from placement.reassignment.state import (
    CONFLICT_ROW,
    DEPENDENCY_ROW,
    LACK,
    MACHINE_MOVE,
    MOST_MOVED,
    MOVE_COST,
    SERVICE,
    SPREAD_MINIMUM,
    SPREAD_ROW,
    State,
    Tables,
)

compiled = numba.njit(cache=True, nogil=True)
# Tables and states are dozens of arrays, which are copied at every call that stays a call.
inlined = numba.njit(cache=True, nogil=True, forceinline=True)


@inlined
def fits(tables: Tables, state: State, process: int, target: int) -> bool:
    """Returns whether a process that was taken out may be put onto a machine.

    Capacity, conflict and the needs of the process itself are checked; `consistent` tells about
    spread and about those who need the process once everything is in place again.
    """
    # At home a moved process still holds what it takes of transient resources.
    place = int(target == tables.home[process])
    for c in range(tables.amount.shape[1]):
        if tables.amount[process, c] & tables.kept[place, c] > state.room[target, c]:
            return False
    service = tables.process[process, SERVICE]
    row = tables.service[service, CONFLICT_ROW]
    if row >= 0 and state.present[row, target]:
        return False
    row = tables.service[service, DEPENDENCY_ROW]
    return row < 0 or bool(state.missing[row, tables.neighbourhood[target]] == 0)


@inlined
def presence_cost(tables: Tables, state: State, process: int, machine: int, sign: int) -> int:
    """Returns how the cost changes when a process comes to a machine (1) or leaves it (-1).

    The state is the one before; service moves are left out.
    """
    change = sign * move_cost(tables, process, machine) - state.burden[machine]
    for c in range(tables.amount.shape[1]):
        change += max(state.above[machine, c] + sign * tables.amount[process, c], 0)
    return int(change)


@inlined
def move_cost(tables: Tables, process: int, machine: int) -> int:
    """Returns what it costs that a process is on a machine, without service moves."""
    home = tables.home[process]
    if machine == home:
        return 0
    moving = np.int64(tables.machine_move[home, machine])
    return int(tables.process[process, MOVE_COST] + tables.weights[MACHINE_MOVE] * moving)


@inlined
def regret(state: State, machine: int) -> int:
    """Returns what a machine costs others: what it leaves unused that is free of cost."""
    total = 0
    for c in range(state.above.shape[1]):
        total -= min(state.above[machine, c], 0)
    return int(total)


@compiled
def consistent(tables: Tables, state: State, process: int) -> bool:
    """Returns whether the spread of a process's service and all dependencies with it hold."""
    service = tables.process[process, SERVICE]
    row = tables.service[service, SPREAD_ROW]
    if row >= 0 and state.distinct[row] < tables.service[service, SPREAD_MINIMUM]:
        return False
    row = tables.service[service, DEPENDENCY_ROW]
    if row >= 0:
        for place in range(state.nearby.shape[1]):
            wrong = state.missing if state.nearby[row, place] > 0 else state.waiting
            if wrong[row, place] > 0:
                return False
    return True


@inlined
def orphaned(tables: Tables, state: State, process: int) -> int:
    """Returns a neighbourhood that waits for a process's service and has none of it, or -1."""
    row = tables.service[tables.process[process, SERVICE], DEPENDENCY_ROW]
    if row >= 0:
        for place in range(state.nearby.shape[1]):
            if state.nearby[row, place] == 0 and state.waiting[row, place] > 0:
                return place
    return -1


@inlined
def crowded_row(tables: Tables, state: State, process: int) -> int:
    """Returns the spread row of a process's service where it lacks a location, or -1."""
    service = tables.process[process, SERVICE]
    row = tables.service[service, SPREAD_ROW]
    if row >= 0 and state.distinct[row] < tables.service[service, SPREAD_MINIMUM]:
        return int(row)
    return -1


@compiled
def take_out(tables: Tables, state: State, process: int) -> None:
    """Takes a process off its machine; where it is then no counter says."""
    source = state.assignment[process]
    state.assignment[process] = -1
    change_use(tables, state, process, source, -1)
    service = tables.process[process, SERVICE]
    row = tables.service[service, CONFLICT_ROW]
    if row >= 0:
        state.present[row, source] -= 1
    row = tables.service[service, SPREAD_ROW]
    if row >= 0:
        place = tables.location[source]
        state.spread[row, place] -= 1
        state.distinct[row] -= int(state.spread[row, place] == 0)
    row = tables.service[service, DEPENDENCY_ROW]
    if row >= 0:
        place = int(tables.neighbourhood[source])
        state.nearby[row, place] -= 1
        if state.nearby[row, place] == 0:
            appear(tables, state, row, place, -1)
    if source != tables.home[process]:
        count_move(state, service, -1)
    unlink(state, process, source)


@compiled
def put_in(tables: Tables, state: State, process: int, target: int) -> None:
    """Puts a process that was taken out onto a machine, whatever the limits."""
    state.assignment[process] = target
    change_use(tables, state, process, target, 1)
    service = tables.process[process, SERVICE]
    row = tables.service[service, CONFLICT_ROW]
    if row >= 0:
        state.present[row, target] += 1
    row = tables.service[service, SPREAD_ROW]
    if row >= 0:
        place = tables.location[target]
        state.distinct[row] += int(state.spread[row, place] == 0)
        state.spread[row, place] += 1
    row = tables.service[service, DEPENDENCY_ROW]
    if row >= 0:
        place = int(tables.neighbourhood[target])
        if state.nearby[row, place] == 0:
            appear(tables, state, row, place, 1)
        state.nearby[row, place] += 1
    if target != tables.home[process]:
        count_move(state, service, 1)
    head = state.first[target]
    state.preceding[process], state.following[process] = -1, head
    if head >= 0:
        state.preceding[head] = process
    state.first[target] = process
    state.load[target] += 1


@inlined
def change_use(tables: Tables, state: State, process: int, machine: int, sign: int) -> None:
    """Adds what a process takes to a machine (1), or takes it off (-1)."""
    place = int(machine == tables.home[process])
    burden, lack = 0, 0
    for c in range(tables.amount.shape[1]):
        amount = tables.amount[process, c]
        above = state.above[machine, c] + sign * amount
        state.above[machine, c] = above
        room = state.room[machine, c] - sign * (amount & tables.kept[place, c])
        state.room[machine, c] = room
        burden += max(above, 0)
        lack += max(-room, 0)
    state.burden[machine] = burden
    state.totals[LACK] += lack - state.lack[machine]
    state.lack[machine] = lack


@compiled
def unlink(state: State, process: int, machine: int) -> None:
    """Takes a process off the list of a machine."""
    before, after = state.preceding[process], state.following[process]
    if before >= 0:
        state.following[before] = after
    else:
        state.first[machine] = after
    if after >= 0:
        state.preceding[after] = before
    state.load[machine] -= 1


@compiled
def appear(tables: Tables, state: State, row: int, place: int, sign: int) -> None:
    """Counts that a service appears in a neighbourhood (1) or leaves it (-1)."""
    for k in range(tables.users_start[row], tables.users_start[row + 1]):
        state.missing[tables.users[k], place] -= sign
    for k in range(tables.needs_start[row], tables.needs_start[row + 1]):
        state.waiting[tables.needs[k], place] += sign


@compiled
def count_move(state: State, service: int, step: int) -> None:
    """Counts that a service has one moved process more or fewer."""
    state.moved_histogram[state.moved[service]] -= 1
    state.moved[service] += step
    state.moved_histogram[state.moved[service]] += 1
    top = max(state.totals[MOST_MOVED], state.moved[service])
    while top > 0 and state.moved_histogram[top] == 0:
        top -= 1
    state.totals[MOST_MOVED] = top
