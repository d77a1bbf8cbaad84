"""Tables of an instance and counters of an assignment, as compiled code wants them.

`Tables` never change and are shared by all chains of a search; a `State` belongs to one chain.
Both are named tuples of arrays, because compiled functions take these as they are. The counters
make every check of a move a look-up: the cost of trying one is linear in the resources.

Resources and balances become columns of one kind, so that one loop without branches does for
both. A column counts in units of cost: an amount is what a process takes times the weight, and
what a machine has above its threshold is what it costs. A resource has a ceiling besides. A
balance is a column in which a process takes its share of the second resource less that of the
first, times the target; it has no ceiling.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from placement.reassignment import instance as problem

Integers = problem.Integers
Counters = npt.NDArray[np.int32]

# Columns of `Tables.process`.
SERVICE, MOVE_COST, HELD = 0, 1, 2
# Columns of `Tables.service`: rows of tables that only some services have, or -1, and the spread.
CONFLICT_ROW, SPREAD_ROW, DEPENDENCY_ROW, SPREAD_MINIMUM = 0, 1, 2, 3
# The ceiling of a column without one.
UNLIMITED = 2**61
# Places in `State.totals`.
COST, MOST_MOVED, LACK = 0, 1, 2
# Places in `Tables.weights`.
SERVICE_MOVE, MACHINE_MOVE = 0, 1


class Tables(NamedTuple):
    """What does not change. M machines, P processes, S services, C columns.

    Attributes:
        amount: (P + 1, C), what each process takes. The last row takes nothing: it stands for no
            process where two would change places.
        kept: (2, C), what of an amount comes and goes with a process, as a mask of bits: the
            first row elsewhere, the second on its first machine, which holds transient resources.
        threshold: (M, C), free of cost.
        ceiling: (M, C), hard limits.
        fair: (M, C), the room that a machine would have if use were spread evenly.
        strain: (M, C), what it is worth that a machine has no room at all, over the squared fair
            room; 0 in columns without a ceiling.
        home: (P + 1,), machine at the start; -1 for no process.
        process: (P, 3), service, weighted cost of moving, weighted amount that is held on the
            first machine once the process has moved.
        neighbourhood: (M,), numbered without holes.
        location: (M,), numbered without holes.
        machine_move: (M, M), unweighted cost from row to column.
        service: (S, 4), see the constants of this module.
        needs_start: Start in `needs` of each row of services with dependencies, and the end.
        needs: Rows of the services that are needed.
        users_start: Start in `users` of each such row, and the end.
        users: Rows of the services that need this one.
        weights: Weights of service moves and of machine moves.
    """

    amount: Integers
    kept: Integers
    threshold: Integers
    ceiling: Integers
    fair: npt.NDArray[np.float64]
    strain: npt.NDArray[np.float64]
    home: Integers
    process: Integers
    neighbourhood: Integers
    location: Integers
    machine_move: npt.NDArray[np.int32]
    service: Integers
    needs_start: Integers
    needs: Integers
    users_start: Integers
    users: Integers
    weights: Integers


class State(NamedTuple):
    """An assignment with its counters, changed in place by compiled code.

    Attributes:
        assignment: (P,), machine of each process.
        above: (M, C), what the processes on each machine take, less the threshold.
        room: (M, C), ceiling less use and less what moved processes hold where they were.
        burden: (M,), what is above thresholds, summed.
        present: (conflict rows, M), 1 where a process of the service is.
        spread: (spread rows, locations), processes of the service there.
        distinct: (spread rows,), locations with the service.
        nearby: (dependency rows, neighbourhoods), processes of the service there.
        missing: (dependency rows, neighbourhoods), needed services that are not there.
        waiting: (dependency rows, neighbourhoods), services there that need this one.
        moved: (S,), moved processes of each service.
        moved_histogram: How many services have this number of moved processes.
        first: (M,), one process of each machine, or -1; the head of a chained list.
        following: (P,), the next process of the same machine, or -1.
        preceding: (P,), the one before, or -1.
        load: (M,), number of processes on each machine.
        lack: (M,), room below 0, summed and without its sign.
        totals: Cost, the largest number of moved processes of a service, and all room that lacks.
    """

    assignment: Integers
    above: Integers
    room: Integers
    burden: Integers
    present: npt.NDArray[np.int8]
    spread: Counters
    distinct: Counters
    nearby: Counters
    missing: Counters
    waiting: Counters
    moved: Integers
    moved_histogram: Integers
    first: Integers
    following: Integers
    preceding: Integers
    load: Integers
    lack: Integers
    totals: Integers


def tables(instance: problem.Instance, initial: Integers) -> Tables:
    """Returns the tables of an instance whose processes start on the given machines."""
    sizes = np.bincount(instance.service, minlength=instance.services)
    pairs = instance.dependencies
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    linked = np.zeros(instance.services, dtype=bool)
    linked[pairs.ravel()] = True
    service = np.stack(
        [
            _numbered(sizes > 1),
            _numbered(instance.spread_minimum > 1),
            _numbered(linked),
            instance.spread_minimum,
        ],
        axis=1,
    )
    rows = service[:, DEPENDENCY_ROW][pairs]
    needs_start, needs = _grouped(rows[:, 0], rows[:, 1], int(linked.sum()))
    users_start, users = _grouped(rows[:, 1], rows[:, 0], int(linked.sum()))
    columns = _columns(instance)
    gain = _gain(instance, columns, initial)
    fair = _fair_room(columns)
    return Tables(
        amount=np.vstack([columns.amount, np.zeros_like(columns.amount[:1])]),
        kept=columns.kept,
        threshold=columns.threshold,
        ceiling=columns.ceiling,
        fair=fair,
        strain=gain / instance.machines / np.square(fair) * (columns.kept[0] != 0),
        home=np.append(initial, -1),
        process=np.stack(
            [
                instance.service,
                instance.process_move_cost * instance.process_move_weight,
                _held_values(instance, gain),
            ],
            axis=1,
        ),
        neighbourhood=_dense(instance.neighbourhood),
        location=_dense(instance.location),
        machine_move=np.ascontiguousarray(instance.machine_move_cost),
        service=service,
        needs_start=needs_start,
        needs=needs,
        users_start=users_start,
        users=users,
        weights=np.array([instance.service_move_weight, instance.machine_move_weight]),
    )


def _gain(instance: problem.Instance, columns: _Columns, initial: Integers) -> float:
    """Returns the cost of loads and balances at the start less a lower bound of it.

    The bound is what they cost if everything could be cut and spread at will.
    """
    above = _sums(initial, columns.amount, instance.machines) - columns.threshold
    return float(np.maximum(above, 0).sum() - np.maximum(above.sum(axis=0), 0).sum())


def _fair_room(columns: _Columns) -> npt.NDArray[np.float64]:
    """Returns the free share of each resource times the ceiling of each machine; at least 1."""
    whole = np.maximum(columns.ceiling.astype(float).sum(axis=0), 1.0)
    free = np.maximum(whole - columns.amount.sum(axis=0), 0.0) / whole
    fair: npt.NDArray[np.float64] = np.maximum(free * columns.ceiling, 1.0)
    return fair


def _held_values(instance: problem.Instance, gain: float) -> Integers:
    """Returns what the transient resources are worth that each process holds once it has moved.

    All that are free together are worth what can be gained at most, each resource the same.
    """
    amount = instance.requirement[:, instance.transient]
    capacity = instance.capacity[:, instance.transient].sum(axis=0)
    room = np.maximum(capacity - amount.sum(axis=0), 1)
    values: Integers = (amount / room * gain / max(1, len(room))).sum(axis=1).astype(np.int64)
    return values


class _Columns(NamedTuple):
    amount: Integers
    kept: Integers
    threshold: Integers
    ceiling: Integers


def _columns(instance: problem.Instance) -> _Columns:
    """Returns resources, then balances, as columns in units of cost."""
    demand = instance.requirement.sum(axis=0)
    scale = np.maximum(instance.load_weight, 1)
    # No machine ever takes more than there is in all: larger numbers would only overflow.
    ceiling = np.minimum(instance.capacity, demand) * scale
    free = np.where(instance.load_weight > 0, instance.safety_capacity, demand)
    threshold = np.minimum(free, demand) * scale
    first, second, target, weight = instance.balances.T
    lack = weight * (target * instance.requirement[:, first] - instance.requirement[:, second])
    whole = weight * (target * instance.capacity[:, first] - instance.capacity[:, second])
    at_home = np.where(instance.transient, 0, -1)
    unlimited = np.zeros(len(instance.balances), dtype=np.int64)
    return _Columns(
        amount=np.hstack([instance.requirement * scale, -lack]),
        kept=np.stack(
            [np.append(np.full_like(at_home, -1), unlimited), np.append(at_home, unlimited)]
        ),
        threshold=np.hstack([threshold, -whole]),
        ceiling=np.hstack([ceiling, np.full_like(whole, UNLIMITED)]),
    )


def state(table: Tables, assignment: Integers) -> State:
    """Returns the counters of an assignment, computed from nothing."""
    service, home = table.process[:, SERVICE], table.home[:-1]
    machines, services = len(table.ceiling), len(table.service)
    moved = assignment != home
    amount = table.amount[:-1]
    used = _sums(assignment, amount, machines)
    taken = _sums(assignment, amount & table.kept[0], machines)
    held = _sums(home[moved], (amount & table.kept[0] & ~table.kept[1])[moved], machines)
    above = used - table.threshold
    burden = np.maximum(above, 0).sum(axis=1)
    spread = _counts(table, SPREAD_ROW, table.location[assignment], _amount(table.location))
    near = table.neighbourhood[assignment]
    nearby = _counts(table, DEPENDENCY_ROW, near, _amount(table.neighbourhood))
    missing, waiting = np.zeros_like(nearby), np.zeros_like(nearby)
    dependent = np.repeat(np.arange(len(nearby)), np.diff(table.needs_start))
    np.add.at(missing, dependent, nearby[table.needs] == 0)
    np.add.at(waiting, table.needs, nearby[dependent] > 0)
    moved_of = np.bincount(service[moved], minlength=services)
    sizes = np.bincount(service, minlength=services)
    histogram = np.bincount(moved_of, minlength=int(sizes.max(initial=0)) + 2)
    first, following, preceding = _chained(assignment, machines)
    room = table.ceiling - taken - held
    lack = np.maximum(-room, 0).sum(axis=1)
    return State(
        assignment=assignment.copy(),
        above=above,
        room=room,
        burden=burden,
        present=_counts(table, CONFLICT_ROW, assignment, machines).astype(np.int8),
        spread=spread,
        distinct=(spread > 0).sum(axis=1).astype(np.int32),
        nearby=nearby,
        missing=missing,
        waiting=waiting,
        moved=moved_of,
        moved_histogram=histogram,
        first=first,
        following=following,
        preceding=preceding,
        load=np.bincount(assignment, minlength=machines),
        lack=lack,
        totals=np.array(
            [_cost(table, assignment, burden, moved_of), moved_of.max(initial=0), lack.sum()]
        ),
    )


def _cost(table: Tables, assignment: Integers, burden: Integers, moved_of: Integers) -> int:
    """Returns the whole cost of an assignment."""
    home = table.home[:-1]
    process_moves = table.process[assignment != home, MOVE_COST].sum()
    machine_moves = table.machine_move[home, assignment].sum(dtype=np.int64)
    moves = process_moves + table.weights[SERVICE_MOVE] * moved_of.max(initial=0)
    return int(burden.sum() + moves + table.weights[MACHINE_MOVE] * machine_moves)


def broken_limits(table: Tables, assignment: Integers) -> list[str]:
    """Returns what is wrong with an assignment, in words; nothing if it is feasible."""
    counters = state(table, assignment)
    service = table.service
    spread = service[service[:, SPREAD_ROW] >= 0, SPREAD_MINIMUM]
    slots = table.process[:, SERVICE] * len(table.ceiling) + assignment
    broken = {
        "capacity": int((counters.room < 0).any(axis=1).sum()),
        "conflict": len(slots) - len(np.unique(slots)),
        "spread": int((counters.distinct < spread).sum()),
        "dependency": int(((counters.nearby > 0) & (counters.missing > 0)).any(axis=1).sum()),
    }
    words = {
        "capacity": "machines are over capacity",
        "conflict": "processes share a machine with their own service",
        "spread": "services are in too few locations",
        "dependency": "services run where one that they need does not",
    }
    return [f"{count} {words[name]}" for name, count in broken.items() if count]


def _numbered(chosen: npt.NDArray[np.bool_]) -> Integers:
    """Returns the rank of each chosen place, and -1 elsewhere."""
    return np.where(chosen, np.cumsum(chosen) - 1, -1)


def _dense(labels: Integers) -> Integers:
    """Returns labels numbered from 0 without holes."""
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _amount(labels: Integers) -> int:
    return int(labels.max(initial=-1)) + 1


def _grouped(key: Integers, value: Integers, groups: int) -> tuple[Integers, Integers]:
    """Returns values ordered by key, with the start of each key's values and the end."""
    start = np.concatenate([[0], np.cumsum(np.bincount(key, minlength=groups))])
    return start.astype(np.int64), value[np.argsort(key, kind="stable")]


def _sums(machine: Integers, amounts: Integers, machines: int) -> Integers:
    total = np.zeros((machines, amounts.shape[1]), dtype=np.int64)
    np.add.at(total, machine, amounts)
    return total


def _counts(table: Tables, kind: int, column: Integers, columns: int) -> Counters:
    """Returns how many processes of each service with a row of this kind are at each column."""
    row = table.service[:, kind]
    rows = int((row >= 0).sum())
    of_process = row[table.process[:, SERVICE]]
    known = of_process >= 0
    flat = of_process[known] * columns + column[known]
    counted = np.bincount(flat, minlength=rows * columns).reshape(rows, columns)
    return counted.astype(np.int32)


def _chained(assignment: Integers, machines: int) -> tuple[Integers, Integers, Integers]:
    """Returns heads, successors and predecessors of a list of processes for each machine."""
    order = np.argsort(assignment, kind="stable")
    same = assignment[order[1:]] == assignment[order[:-1]]
    following, preceding = np.full((2, len(assignment)), -1, dtype=np.int64)
    following[order[:-1][same]] = order[1:][same]
    preceding[order[1:][same]] = order[:-1][same]
    first = np.full(machines, -1, dtype=np.int64)
    starts = order[np.concatenate([[True], ~same])[: len(order)]]
    first[assignment[starts]] = starts
    return first, following, preceding
