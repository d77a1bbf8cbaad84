"""Compiled ruin and recreate: processes of a few machines are taken out and put in again.

Where machines are nearly full in one resource and nearly empty in another, no single process can
move and no two can change places; several have to at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from placement.reassignment import moves
from placement.reassignment.memory import BEST_COST, Memory, Random, below, note, remember, uniform
from placement.reassignment.state import (
    COST,
    HELD,
    LACK,
    MOST_MOVED,
    SERVICE_MOVE,
    Integers,
    State,
    Tables,
)

# One ruin takes out of at most so many machines, and at most so many processes of each.
MOST_GROUPS = 3
MOST_OF_GROUP = 4
# So many machines are compared when one with much to gain is looked for.
TOURNAMENT = 4
# Up to so many machines all are tried for each process; of more, a sample.
MOST_TARGETS = 128
# A good place is overlooked with this probability, so that equal ruins end differently.
BLINK = 0.02

compiled = numba.njit(cache=True, nogil=True)
# Tables and states are dozens of arrays, which are copied at every call that stays a call.
inlined = numba.njit(cache=True, nogil=True, forceinline=True)


class Ruin(NamedTuple):
    """The processes of one ruin, in the order in which they are put in again.

    Attributes:
        process: Which processes.
        source: Where they were.
        key: Small for those that come first.
        machine: The machines they were taken from.
    """

    process: Integers
    source: Integers
    key: npt.NDArray[np.float64]
    machine: Integers


@compiled
def ruin(
    tables: Tables,
    state: State,
    memory: Memory,
    steps: int,
    temperature: float,
    held_price: float,
    lack_price: float,
) -> None:
    """Makes steps of simulated annealing, each a ruin with its repair.

    Args:
        tables: The instance.
        state: The assignment, changed in place; no more room lacks than before.
        memory: What the chain remembers.
        steps: How many.
        temperature: In units of cost.
        held_price: Extra cost of a weighted unit that a moved process holds where it was.
        lack_price: Of a unit of room that lacks, in units of cost.
    """
    most = MOST_GROUPS * MOST_OF_GROUP
    torn = Ruin(
        np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most), np.empty(most, np.int64)
    )
    for _ in range(steps):
        top, lack = state.totals[MOST_MOVED], state.totals[LACK]
        count, groups, change, held = tear(tables, state, memory.random, torn)
        threshold = -temperature * math.log(uniform(memory.random))
        placed = 0
        for place in range(count):
            process = torn.process[place]
            target = best_target(tables, state, memory.random, torn, (process, groups), held_price)
            if target < 0:
                break
            change += moves.presence_cost(tables, state, process, target, 1)
            if target != tables.home[process]:
                held += tables.process[process, HELD]
            moves.put_in(tables, state, process, target)
            placed += 1
        change += tables.weights[SERVICE_MOVE] * (state.totals[MOST_MOVED] - top)
        bias = held_price * held + lack_price * (state.totals[LACK] - lack)
        good = placed == count and change + bias <= threshold
        for place in range(count):
            good = good and moves.consistent(tables, state, torn.process[place])
        if not good:
            restore(tables, state, torn, count, placed)
            continue
        for place in range(count):
            if state.assignment[torn.process[place]] != torn.source[place]:
                note(state, memory, torn.process[place])
        state.totals[COST] += change
        if state.totals[LACK] == 0 and state.totals[COST] < memory.marks[BEST_COST]:
            remember(state, memory)


@compiled
def tear(tables: Tables, state: State, random: Random, torn: Ruin) -> tuple[int, int, int, int]:
    """Takes random processes out of a few machines, the first of which has much to gain.

    Returns:
        How many processes, how many machines, the change of the cost without service moves, and
        the change of the weighted amount held.
    """
    machines = tables.ceiling.shape[0]
    count, change, held = 0, 0, 0
    groups = min(machines, 1 + below(random, MOST_GROUPS))
    for group in range(groups):
        machine = below(random, machines)
        if group == 0:
            machine = worst_of(state, random)
        torn.machine[group] = machine
        for _ in range(min(state.load[machine], 1 + below(random, MOST_OF_GROUP))):
            process = int(state.first[machine])
            for _ in range(below(random, state.load[machine])):
                process = int(state.following[process])
            change += moves.presence_cost(tables, state, process, machine, -1)
            if machine != tables.home[process]:
                held -= tables.process[process, HELD]
            moves.take_out(tables, state, process)
            size = float(tables.amount[process].sum())
            insert(torn, count, process, machine, -size * (0.3 + uniform(random)))
            count += 1
    return count, groups, int(change), int(held)


@compiled
def insert(torn: Ruin, count: int, process: int, machine: int, key: float) -> None:
    """Adds a process to a ruin, behind those with smaller keys."""
    place = count
    while place > 0 and torn.key[place - 1] > key:
        torn.process[place] = torn.process[place - 1]
        torn.source[place] = torn.source[place - 1]
        torn.key[place] = torn.key[place - 1]
        place -= 1
    torn.process[place], torn.source[place], torn.key[place] = process, machine, key


@compiled
def worst_of(state: State, random: Random) -> int:
    """Returns a machine that lacks room, or else the one with the most regret of a few."""
    worst = below(random, state.above.shape[0])
    if state.totals[LACK] > 0:
        while state.lack[worst] == 0:
            worst = worst + 1 if worst + 1 < state.lack.shape[0] else 0
        return worst
    most = moves.regret(state, worst)
    for _ in range(below(random, TOURNAMENT)):
        other = below(random, state.above.shape[0])
        value = moves.regret(state, other)
        if value > most:
            worst, most = other, value
    return worst


@inlined
def best_target(
    tables: Tables,
    state: State,
    random: Random,
    torn: Ruin,
    which: tuple[int, int],
    held_price: float,
) -> int:
    """Returns the cheapest machine for the process `which[0]`, or -1.

    Of many machines, the `which[1]` ruined ones, the process's first one and a sample are tried.
    """
    process, groups = which
    machines = tables.ceiling.shape[0]
    home = tables.home[process]
    held = held_price * tables.process[process, HELD]
    tries = min(machines, MOST_TARGETS)
    offset = below(random, machines)
    place, crowded = (
        moves.orphaned(tables, state, process),
        moves.crowded_row(tables, state, process),
    )
    best, lowest = -1, np.inf
    for number in range(tries):
        if machines <= MOST_TARGETS:
            target = offset + number
            target -= machines if target >= machines else 0
        elif number < groups:
            target = torn.machine[number]
        else:
            target = home if number == groups else below(random, machines)
        if place >= 0 and tables.neighbourhood[target] != place:
            continue
        if crowded >= 0 and state.spread[crowded, tables.location[target]] > 0:
            continue
        if not moves.fits(tables, state, process, target):
            continue
        price = float(moves.presence_cost(tables, state, process, target, 1))
        price += held if target != home else 0.0
        if price < lowest and uniform(random) > BLINK:
            best, lowest = target, price
    return best


@compiled
def restore(tables: Tables, state: State, torn: Ruin, count: int, placed: int) -> None:
    """Puts everything back where it was."""
    for place in range(placed):
        moves.take_out(tables, state, torn.process[place])
    for place in range(count):
        moves.put_in(tables, state, torn.process[place], torn.source[place])
