"""What a task is expected to cost from each state on: a dynamic programme over time and slack.

The state is the time left, the slack left, what the task stands on, and for how long spot has
been up or down (a band of age, see `placement.spot.lifetimes`). A unit of time passes at each
stage. A machine that works keeps the slack; waiting takes a unit of it; a changeover takes its
length at once. Where less than one changeover of slack is left only an on-demand machine is safe,
so that no value counts on luck. Costs are in hours of an on-demand machine.

Bellman's recursion over a finite horizon, on a grid; between grid points values are interpolated.
`placement.spot.policy` adds the rule of safety in exact time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from placement.spot.lifetimes import BANDS, Lifetimes
from placement.spot.task import SECONDS_PER_HOUR, Machine, SpotTask

MOST_UNITS = 512
"""Units of time up to the deadline, at most; bounds time and memory of a solve."""

LEAST_UNITS = 128
"""Units up to the deadline, at least, where the changeover is longer than such a unit."""

_NEVER = 1e6
_FLOATS = np.float32
Table = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How time is cut: its unit, units to the deadline and of slack, and of a changeover."""

    unit_seconds: float
    time_units: int
    slack_units: int
    changeover_units: int


def grid_of(task: SpotTask) -> Grid:
    """Return a grid whose unit divides the changeover, in `MOST_UNITS` to the deadline at most."""
    finest = task.deadline_seconds / MOST_UNITS
    coarsest = task.deadline_seconds / LEAST_UNITS
    changeover = task.changeover_seconds
    unit = max(finest, min(changeover, coarsest))
    count = max(1, math.floor(changeover / unit))
    unit = max(unit, changeover / count)
    return Grid(
        unit_seconds=unit,
        time_units=math.ceil(task.deadline_seconds / unit - 1e-9),
        # Room for a changeover there and back, however little slack there is.
        slack_units=max(math.ceil(task.slack_seconds / unit - 1e-9), 2 * count) + 1,
        changeover_units=count,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostToGo:
    """Expected costs by time left, slack left and state of spot: [time, slack, state]."""

    grid: Grid
    next_unit: npt.NDArray[np.float32]
    next_changeover: npt.NDArray[np.float32]
    tables: dict[Machine, Table]

    def after_unit(self, machine: Machine, time: float, slack: float, state: int) -> float:
        """Return the expected cost from a unit of time later on.

        Args:
            machine: What the task stands on then.
            time: Seconds left then.
            slack: Seconds of slack left then.
            state: Of spot now, see `placement.spot.lifetimes.state`.
        """
        return self._expected(machine, time, slack, self.next_unit[state])

    def after_changeover(self, machine: Machine, time: float, slack: float, state: int) -> float:
        """Return the expected cost from a changeover later on; arguments as `after_unit`."""
        return self._expected(machine, time, slack, self.next_changeover[state])

    def _expected(
        self, machine: Machine, time: float, slack: float, chances: npt.NDArray[np.float32]
    ) -> float:
        table = self.tables[machine]
        row, across = _place(time / self.grid.unit_seconds, self.grid.time_units)
        column, along = _place(slack / self.grid.unit_seconds, self.grid.slack_units)
        corner = table[row : row + 2, column : column + 2] @ chances
        near, far = corner @ np.array((1.0 - along, along))
        return float(near * (1.0 - across) + far * across)


def _place(value: float, most: int) -> tuple[int, float]:
    """Return the grid point below a value, with room for one above it, and the rest."""
    low = min(max(int(value), 0), most - 1)
    return low, min(max(value - low, 0.0), 1.0)


def solve(task: SpotTask, lifetimes: Lifetimes) -> CostToGo:
    """Return expected costs for all states a task can get into."""
    grid = grid_of(task)
    one = lifetimes.transitions(grid.unit_seconds).astype(_FLOATS)
    changing = lifetimes.transitions(grid.unit_seconds * grid.changeover_units).astype(_FLOATS)
    shape = (grid.time_units + 1, grid.slack_units + 1, 2 * BANDS)
    tables = {machine: np.zeros(shape, dtype=_FLOATS) for machine in Machine}
    stage = _Stage(
        grid=grid,
        one=one.T.copy(),
        changing=changing.T.copy(),
        unit_cost=grid.unit_seconds / SECONDS_PER_HOUR,
        changeover_cost=task.changeover_seconds / SECONDS_PER_HOUR,
        spot_ratio=task.spot_price / task.on_demand_price,
    )
    for time in range(1, grid.time_units + 1):
        stage.fill(tables, time)
    return CostToGo(grid=grid, next_unit=one, next_changeover=changing, tables=tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """One stage of the recursion: all slacks and states of spot at one time left."""

    grid: Grid
    one: Table
    changing: Table
    unit_cost: float
    changeover_cost: float
    spot_ratio: float

    def fill(self, tables: dict[Machine, Table], time: int) -> None:
        """Fill in the values at a time left from those of shorter times."""
        none, spot, demand = (tables[machine] for machine in Machine)
        wait = self._wait(none[time - 1])
        stay = self.spot_ratio * self.unit_cost + spot[time - 1] @ self.one
        work = self.unit_cost + demand[time - 1] @ self.one
        to_spot, to_demand = self._changes(tables, time)
        none[time] = np.minimum(np.minimum(wait, to_spot), to_demand)
        demand[time] = np.minimum(np.minimum(work, wait), to_spot)
        # A spot machine is kept while it runs; once taken away, the task stands on nothing.
        spot[time] = none[time]
        spot[time, :, BANDS:] = stay[:, BANDS:]
        for table in (none, spot, demand):
            table[time, time:] = 0.0  # as much slack as time: no work is left

    def _wait(self, none: Table) -> Table:
        delay = self.grid.changeover_units
        found = np.full_like(none, _NEVER)
        found[delay + 1 :] = none[delay:-1] @ self.one
        return found

    def _changes(self, tables: dict[Machine, Table], time: int) -> tuple[Table, Table]:
        """Return the values of moving to spot, and to an on-demand machine."""
        delay = self.grid.changeover_units
        to_spot = np.full_like(tables[Machine.SPOT][0], _NEVER)
        to_demand = to_spot.copy()
        if time < delay:
            return to_spot, to_demand
        later = tables[Machine.ON_DEMAND][time - delay]
        # Without room for a changeover the deadline is lost already; finish all the same.
        to_demand[:delay] = self.changeover_cost + time * self.unit_cost
        to_demand[delay:] = self.changeover_cost + later[: len(later) - delay] @ self.changing
        # Taken away at the end of the changeover, it must still be able to move on.
        later = tables[Machine.SPOT][time - delay]
        reached = later[delay : len(later) - delay, :] @ self.changing
        to_spot[2 * delay :, BANDS:] = self.spot_ratio * self.changeover_cost + reached[:, BANDS:]
        return to_spot, to_demand
