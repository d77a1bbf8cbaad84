"""What the spot policy is compared with: two policies of the literature, and a bound.

Wu et al., "Can't Be Late: Optimizing Spot Instance Savings under Deadlines", NSDI '24, with C(t)
the work left, R(t) the time left, d the changeover delay. Decisions fall at steps, so each rule
is asked at each step; where a step is longer than d, the safety net also looks one step ahead,
because else it would come too late.
"""

import math

import numpy as np
import numpy.typing as npt

from benchmarks.placement._spot_replay import Choice, Trace
from placement.spot.task import Machine, Observation, SpotTask

_UNITS_PER_STEP = 5
_NEVER = 1e18


def greedy(task: SpotTask) -> Choice:
    """Returns the greedy policy with fallback (section 3.4).

    1. Stay on spot until it is taken away; idle, take spot when there is any, else wait.
    2. Safety net: idle and R(t) < C(t) + 2d: move to on-demand and stay there until the end.
    """

    def choose(seen: Observation) -> Machine:
        if seen.machine is not Machine.NONE:
            return seen.machine
        if _must_be_safe(task, seen):
            return Machine.ON_DEMAND
        return Machine.SPOT if seen.spot_is_up else Machine.NONE

    return choose


def uniform_progress(task: SpotTask) -> Choice:
    """Returns uniform progress (section 5.2.2), with e(t) = t C(0) / R(0) the progress expected.

    1. Idle, and progress below e(t): move to on-demand.
    2. Move to spot whenever there is any, and stay until it is taken away.
    3. Hysteresis: on on-demand, stay until progress is at least e(t + 2d).
    4. Safety net as in greedy; on-demand is not left for spot when R(t) < C(t) + 2d.
    """

    def choose(seen: Observation) -> Machine:
        done = task.work_seconds - seen.work_left_seconds
        now = task.deadline_seconds - seen.time_left_seconds
        pace = task.work_seconds / task.deadline_seconds
        if seen.machine is Machine.SPOT:
            return Machine.SPOT
        if _must_be_safe(task, seen):
            return Machine.ON_DEMAND
        if seen.machine is Machine.ON_DEMAND and done < (now + 2 * task.changeover_seconds) * pace:
            return Machine.ON_DEMAND
        if seen.spot_is_up:
            return Machine.SPOT
        is_behind = seen.machine is Machine.NONE and done < now * pace
        return Machine.ON_DEMAND if is_behind else Machine.NONE

    return choose


def _must_be_safe(task: SpotTask, seen: Observation) -> bool:
    delay = task.changeover_seconds
    slack = seen.slack_seconds
    return slack < 2 * delay or slack - task.step_seconds < delay


def omniscient(trace: Trace, begins: list[int], task: SpotTask) -> npt.NDArray[np.float64]:
    """Returns a lower bound of the cost from each start on, by who knows the whole trace.

    A dynamic programme over steps, machine and slack in fifths of a step; work and changeover are
    rounded down to whole fifths, which can only lower the cost.
    """
    unit = task.step_seconds / _UNITS_PER_STEP
    delay = int(task.changeover_seconds // unit)
    steps = math.ceil(task.deadline_seconds / task.step_seconds - 1e-9)
    slack_units = steps * _UNITS_PER_STEP - int(task.work_seconds // unit + 1e-9)
    costs = {machine: np.zeros((len(begins), slack_units + 1)) for machine in Machine}
    up = np.array(trace.is_up)
    for step in reversed(range(steps)):
        has = up[np.minimum(np.array(begins) + step, len(up) - 1)][:, None]
        left = (steps - step) * _UNITS_PER_STEP - np.arange(slack_units + 1)  # with changeovers
        runs = unit * np.clip(left, 0, _UNITS_PER_STEP)
        goes_on = left > _UNITS_PER_STEP
        wait = np.where(left > 0, _spent(costs[Machine.NONE], _UNITS_PER_STEP), 0.0)
        demand = task.on_demand_price * runs + goes_on * costs[Machine.ON_DEMAND]
        spot = task.spot_price * runs + goes_on * costs[Machine.SPOT]
        spot = np.where(has, spot, _NEVER)
        to_spot, to_demand = _spent(spot, delay), _spent(demand, delay)
        costs = {
            Machine.NONE: np.minimum(np.minimum(wait, to_spot), to_demand),
            Machine.SPOT: np.minimum(np.minimum(wait, spot), to_demand),
            Machine.ON_DEMAND: np.minimum(np.minimum(wait, to_spot), demand),
        }
    return np.asarray(costs[Machine.NONE][:, -1], dtype=np.float64)


def _spent(values: npt.NDArray[np.float64], units: int) -> npt.NDArray[np.float64]:
    """Returns the values seen from states with so much more slack."""
    found = np.full_like(values, _NEVER)
    if units < values.shape[1]:
        found[:, units:] = values[:, : values.shape[1] - units]
    return found
