"""Compiled inner loops: annealing by chains of ejections, with bins that may run over.

One step takes an item out of its bin and lets it push another out of a bin, that one a third, and
so on; after the chain is built it is cut where it closes best, and accepted as in simulated
annealing. What runs over a bin is paid for at a penalty that grows while the bin stays too full
and falls while it does not. Where every bin is nearly full no exchange of two items fits, but
chains of several do. Method: ejection chains with strategic oscillation (Yagiura, Ibaraki and
Glover 2004), with choices drawn at a temperature. Needs the extra `compiled`.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from placement.assignment.problem import Integers, Numbers

# Most items of a bin that are looked at for one exchange.
LARGEST_LOOK = 16
# A chain is given up when it looks worse than its best close by so many temperatures.
HOPE = 3.0
# How a bin's own weight changes while it is too full and while it is not, and its limit.
FULLER, EMPTIER = 1.03, 0.99
MOST_WEIGHT = 4.0


class Tables(NamedTuple):
    """What a walk reads.

    `low` is the least cost of an item with the price of its room; `first` and `bins` list the
    promising bins of item i as bins[first[i]:first[i + 1]]. `price` is what room of a bin is worth,
    `grain` what a penalty weighs where room is worth nothing.
    """

    cost: Numbers
    demand: Integers
    low: Numbers
    first: Integers
    bins: Integers
    price: Numbers
    grain: float


class Walk(NamedTuple):
    """What a walk changes.

    `at` is the bin of each item, `room` what a bin has left (below 0 where it runs over).
    `members[b]` lists the items of bin b, `place` where an item stands in that list. `weight` and
    `penalty` are by bin. `chain` and `origin` hold the items of the chain and the bins that they
    came from. `totals` has the cost, the room that runs over, and the energy of this step.
    """

    at: Integers
    room: Integers
    members: Integers
    place: Integers
    filled: Integers
    weight: Numbers
    penalty: Numbers
    chain: Integers
    origin: Integers
    totals: Numbers


@numba.njit(cache=True, nogil=True)
def _change_room(walk: Walk, at: int, by: int) -> None:
    before = max(0, -walk.room[at])
    walk.room[at] += by
    over = max(0, -walk.room[at]) - before
    walk.totals[1] += over
    walk.totals[2] += walk.penalty[at] * over


@numba.njit(cache=True, nogil=True)
def _take(tables: Tables, walk: Walk, item: int) -> int:
    """Take an item out; return the bin where it was."""
    at = int(walk.at[item])
    walk.filled[at] -= 1
    last = walk.members[at, walk.filled[at]]
    walk.members[at, walk.place[item]] = last
    walk.place[last] = walk.place[item]
    walk.totals[0] -= tables.cost[item, at]
    walk.totals[2] -= tables.cost[item, at]
    _change_room(walk, at, tables.demand[item, at])
    return at


@numba.njit(cache=True, nogil=True)
def _put(tables: Tables, walk: Walk, item: int, at: int) -> None:
    walk.members[at, walk.filled[at]] = item
    walk.place[item] = walk.filled[at]
    walk.filled[at] += 1
    walk.at[item] = at
    walk.totals[0] += tables.cost[item, at]
    walk.totals[2] += tables.cost[item, at]
    _change_room(walk, at, -tables.demand[item, at])


@numba.njit(cache=True, nogil=True)
def _replace(tables: Tables, walk: Walk, item: int, other: int) -> int:
    """Put an item in the place of another; return the bin."""
    at = int(walk.at[other])
    walk.members[at, walk.place[other]] = item
    walk.place[item] = walk.place[other]
    walk.at[item] = at
    more = tables.cost[item, at] - tables.cost[other, at]
    walk.totals[0] += more
    walk.totals[2] += more
    _change_room(walk, at, tables.demand[other, at] - tables.demand[item, at])
    return at


@numba.njit(cache=True, nogil=True)
def _noise(heat: float) -> float:
    return float(-heat * np.log(1.0 - np.random.random()))


@numba.njit(cache=True, nogil=True)
def _close(tables: Tables, walk: Walk, item: int, heat: float, barred: int) -> tuple[float, int]:
    """Return where an item does least harm if the chain ends here, and the harm."""
    least = np.inf
    chosen = -1
    for index in range(tables.first[item], tables.first[item + 1]):
        at = tables.bins[index]
        if at == barred:
            continue
        over = max(0, tables.demand[item, at] - walk.room[at]) - max(0, -walk.room[at])
        value = tables.cost[item, at] + walk.penalty[at] * over + _noise(heat)
        if value < least:
            least = value
            chosen = at
    return least, chosen


@numba.njit(cache=True, nogil=True)
def _eject(tables: Tables, walk: Walk, item: int, heat: float, barred: int) -> tuple[float, int]:
    """Return the item that is best pushed out by this one, at its own least cost elsewhere."""
    least = np.inf
    chosen = -1
    for index in range(tables.first[item], tables.first[item + 1]):
        at = tables.bins[index]
        if at == barred:
            continue
        room = walk.room[at] - tables.demand[item, at]
        base = tables.cost[item, at] - walk.penalty[at] * max(0, -walk.room[at])
        many = walk.filled[at]
        start = np.random.randint(many) if many > LARGEST_LOOK else 0
        for number in range(min(many, LARGEST_LOOK)):
            other = walk.members[at, (start + number) % many]
            over = max(0, -room - tables.demand[other, at])
            value = base + walk.penalty[at] * over + tables.low[other] - tables.cost[other, at]
            if value < least:
                value += _noise(heat)
                if value < least:
                    least = value
                    chosen = int(other)
    return least, chosen


@numba.njit(cache=True, nogil=True)
def _step(tables: Tables, walk: Walk, heat: float) -> int:
    """Build a chain and close it where it is best; return its length."""
    item = np.random.randint(walk.at.shape[0])
    walk.totals[2] = 0.0
    walk.chain[0] = item
    walk.origin[0] = _take(tables, walk, item)
    length = 1
    best = np.inf
    best_length, best_bin = 1, -1
    while True:
        # The first item may go back, which makes the step one of no harm.
        barred = walk.origin[length - 1] if length > 1 else -1
        harm, at = _close(tables, walk, item, heat, barred)
        if walk.totals[2] + harm < best:
            best = walk.totals[2] + harm
            best_length, best_bin = length, at
        if length == walk.chain.shape[0]:
            break
        harm, other = _eject(tables, walk, item, heat, walk.origin[length - 1])
        if other < 0 or walk.totals[2] + harm > best + HOPE * heat:
            break
        walk.origin[length] = _replace(tables, walk, item, other)
        walk.chain[length] = other
        length += 1
        item = other
    while length > best_length:
        length -= 1
        _replace(tables, walk, walk.chain[length], walk.chain[length - 1])
    _put(tables, walk, walk.chain[length - 1], best_bin)
    return length


@numba.njit(cache=True, nogil=True)
def _undo(tables: Tables, walk: Walk, length: int) -> None:
    _take(tables, walk, walk.chain[length - 1])
    for number in range(length - 1, 0, -1):
        _replace(tables, walk, walk.chain[number], walk.chain[number - 1])
    _put(tables, walk, walk.chain[0], walk.origin[0])


@numba.njit(cache=True, nogil=True)
def _weigh(tables: Tables, walk: Walk, weight: float) -> None:
    """Set penalties; a bin that stays too full gets a heavier one of its own."""
    for at in range(walk.room.shape[0]):
        own = walk.weight[at] * (FULLER if walk.room[at] < 0 else EMPTIER)
        walk.weight[at] = min(MOST_WEIGHT, max(1.0, own))
        price = tables.price[at]
        walk.penalty[at] = price + weight * walk.weight[at] * (price + tables.grain)


@numba.njit(cache=True, nogil=True)
def anneal(
    tables: Tables,
    walk: Walk,
    best: Integers,
    lowest: float,
    schedule: tuple[int, int, float, float],
    seed: int,
) -> float:
    """Return the least cost of a plan in which all fits, which is kept in `best`.

    The schedule holds how often penalties are set, the steps after each time, the weight of
    what runs over, and the temperature.
    """
    np.random.seed(seed)
    weighings, steps, weight, heat = schedule
    for _ in range(weighings):
        _weigh(tables, walk, weight)
        for _ in range(steps):
            cost, over = walk.totals[0], walk.totals[1]
            length = _step(tables, walk, heat)
            harm = walk.totals[2]
            if harm > 0.0 and np.random.random() >= np.exp(-harm / heat):
                _undo(tables, walk, length)
                walk.totals[0], walk.totals[1] = cost, over
            elif walk.totals[1] == 0.0 and walk.totals[0] < lowest - 0.5:
                lowest = walk.totals[0]
                best[:] = walk.at
    return lowest
