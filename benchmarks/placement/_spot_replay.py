"""Replays a policy on a trace of spot availability, and checks what it did.

Both follow the model of "Can't Be Late" (NSDI '24, section 3.1): a change of machine costs a
delay without progress, at the price of the new machine; idle costs nothing; machines are paid by
the second while they live; on-demand is always to be had.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from placement.spot.lifetimes import ages
from placement.spot.task import Machine, Observation, SpotTask

Choice = Callable[[Observation], Machine]
_SMALL = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Whether spot was to be had in one zone, step by step, and for how long it had been so."""

    name: str
    step_seconds: float
    is_up: tuple[bool, ...]
    age_seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a replay came to: its machines by step, its cost and when it ended."""

    machines: tuple[Machine, ...]
    cost: float
    end_seconds: float
    is_late: bool


def trace_of(name: str, is_up: Sequence[bool], step_seconds: float) -> Trace:
    """Returns a trace with its ages."""
    return Trace(
        name=name,
        step_seconds=step_seconds,
        is_up=tuple(is_up),
        age_seconds=tuple(ages(is_up, step_seconds).tolist()),
    )


def read(path: Path) -> Trace:
    """Returns the trace in a file: JSON with `metadata.gap_seconds` and `data`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    is_up = [value >= 1 for value in content["data"]]
    name = f"{path.parent.name}/{path.stem}"
    return trace_of(name, is_up, float(content["metadata"]["gap_seconds"]))


def starts(trace: Trace, deadline_seconds: float, count: int) -> list[int]:
    """Returns evenly spaced steps from which the trace still lasts until the deadline."""
    last = len(trace.is_up) - math.ceil(deadline_seconds / trace.step_seconds)
    return np.unique(np.linspace(0, last, count).astype(int)).tolist() if last >= 0 else []


def replay(trace: Trace, start: int, task: SpotTask, choose: Choice) -> Outcome:
    """Returns what a policy did from a step on; it is told nothing of later steps."""
    left, cost, passed, delay = task.work_seconds, 0.0, 0.0, 0.0
    machine, index = Machine.NONE, start
    machines: list[Machine] = []
    while left > _SMALL and passed < task.deadline_seconds - _SMALL:
        is_up = trace.is_up[index]
        if machine is Machine.SPOT and not is_up:
            machine = Machine.NONE
        seen = Observation(
            work_left_seconds=left,
            time_left_seconds=task.deadline_seconds - passed,
            machine=machine,
            changeover_left_seconds=0.0 if machine is Machine.NONE else delay,
            spot_is_up=is_up,
            spot_age_seconds=trace.age_seconds[index],
        )
        chosen = choose(seen)
        if chosen is not machine:
            machine, delay = chosen, task.changeover_seconds
        machines.append(machine)
        step = min(task.step_seconds, task.deadline_seconds - passed)
        alive = 0.0
        if machine is not Machine.NONE:
            alive = min(step, delay + left)
            waited = min(delay, alive)
            delay, left = delay - waited, left - (alive - waited)
            cost += alive * price(task, machine)
        passed += alive if left <= _SMALL else step
        index += 1
    return Outcome(machines=tuple(machines), cost=cost, end_seconds=passed, is_late=left > _SMALL)


def price(task: SpotTask, machine: Machine) -> float:
    """Returns what a machine costs per second."""
    return {
        Machine.NONE: 0.0,
        Machine.SPOT: task.spot_price,
        Machine.ON_DEMAND: task.on_demand_price,
    }[machine]


def checked(trace: Trace, start: int, task: SpotTask, found: Outcome) -> Outcome:
    """Returns what the machines of an outcome come to, by stretches instead of by steps.

    Written from the definition alone: of each unbroken stretch on one machine the first
    `changeover_seconds` bring no work.

    Raises:
        AssertionError: Spot was used when there was none, or the outcome's own account differs.
    """
    up = trace.is_up[start : start + len(found.machines)]
    pairs = zip(found.machines, up, strict=True)
    assert all(has for machine, has in pairs if machine is Machine.SPOT), "spot without spot"
    work, cost, index, end = task.work_seconds, 0.0, 0, math.inf
    for machine, steps in groupby(found.machines):
        began = index * task.step_seconds
        index += len(list(steps))
        if machine is Machine.NONE:
            continue
        until = min(index * task.step_seconds, task.deadline_seconds)
        needs = task.changeover_seconds + work
        if until - began >= needs - _SMALL:
            until, end = began + needs, began + needs
        cost += (until - began) * price(task, machine)
        work -= max(until - began - task.changeover_seconds, 0.0)
    assert math.isclose(cost, found.cost, rel_tol=1e-6, abs_tol=1e-6), (cost, found.cost)
    is_late = end > task.deadline_seconds + _SMALL
    assert is_late == found.is_late, (end, found.is_late)
    return replace(found, cost=cost, is_late=is_late)
