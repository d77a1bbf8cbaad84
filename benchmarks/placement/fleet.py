"""Gap of large plans to the best known bound: tasks in classes on clusters over time slots.

Reads `placement/fleet/TASKS_seedN.npz` and `bounds.csv`. Each instance is solved for `--seconds`
on two threads. Gaps are to the best bound of `bounds.csv`, or to our own where it has no row. With
`--first` the first plan that is shown is measured instead: its time, its gap, and memory.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Iterable, Iterator

from benchmarks import frame
from benchmarks.placement import _fleet
from benchmarks.placement._trace import Trace
from placement.assignment.effort import Effort, Solution
from placement.assignment.solving import solve

GAP_BARS_PERCENT = {1000: 7.0, 10_000: 2.0}
GAP_ANCHORS = {
    1000: "HiGHS in 600 s: 12.8; first prototype: 10.5",
    10_000: "HiGHS in 600 s: 2.59; first prototype: 2.7",
}
# The first plan: most seconds and most mean gap by size; up to 10,000 tasks to the best bound,
# above to the bound of the linear programme, which is what is known there.
FIRST_BARS = {10_000: (3.0, 5.0), 100_000: (30.0, 1.0)}


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add sizes, seconds, and the choice of the first plan."""
    group.add_argument("--tasks", default="", help="sizes, as 1000,10000")
    group.add_argument("--seconds", type=float, default=60.0, help="for each instance")
    group.add_argument("--first", action="store_true", help="measure the first plan shown")
    group.add_argument("--trace", default="", help="a CSV file for the gap over time")


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Solve every instance of the sizes asked for."""
    first = bool(context.options.get("first"))
    default = "10000,100000" if first else "1000,10000"
    sizes = [int(size) for size in (context.options.get("tasks") or default).split(",")]
    seconds = 5.0 if context.quick else float(context.options.get("seconds") or 60.0)
    for size in sizes:
        found = _fleet.instances(context, [size])
        if context.quick:
            found = found[:2]
        if not found:
            raise frame.MissingDataError(context.data, f"placement/fleet/{size}_seed*.npz")
        trace = Trace(str(context.options.get("trace") or ""))
        yield from _first(size, found) if first else _full(size, found, seconds, trace)


def _full(
    size: int, found: list[_fleet.Instance], seconds: float, trace: Trace
) -> Iterator[frame.Figure]:
    gaps, own, beaten, rivals = [], [], 0, 0
    for instance in found:
        problem = _fleet.problem_of(instance.arrays)
        effort = Effort(rounds=None, seconds=seconds, workers=2, watch=trace.of(instance))
        solution = solve(problem, effort)
        cost = _fleet.checked_cost(instance.arrays, solution.plan.units)
        gaps.append(_gap_percent(instance, solution, cost))
        own.append(100.0 * solution.gap)
        if instance.incumbent is not None:
            rivals += 1
            beaten += cost < instance.incumbent
        _tell(instance, f"cost {cost} gap {gaps[-1]:.3f} % own bound {solution.bound}")
    bar = GAP_BARS_PERCENT.get(size)
    name = f"{size} tasks, {seconds:g} s: mean gap to the best known bound"
    if bar is None:
        yield frame.informs(name, statistics.fmean(gaps), unit="%")
    else:
        anchor = GAP_ANCHORS.get(size, "")
        yield frame.at_most(name, statistics.fmean(gaps), bar, unit="%", anchor=anchor)
    yield frame.informs(f"{size} tasks: worst gap", max(gaps), unit="%")
    yield frame.informs(f"{size} tasks: mean gap to our own bound", statistics.fmean(own), unit="%")
    if rivals:
        anchor = f"HiGHS in 600 s on {rivals} instances"
        yield frame.at_least(f"{size} tasks: seeds better", beaten, rivals, anchor=anchor)


def _first(size: int, found: list[_fleet.Instance]) -> Iterator[frame.Figure]:
    # Loading compiled code is paid once a process, not once a plan.
    solve(_fleet.problem_of(found[0].arrays), Effort(rounds=0, workers=2, steps=1))
    gaps, times = [], []
    for instance in found:
        problem = _fleet.problem_of(instance.arrays)
        start = time.perf_counter()
        solution = solve(problem, Effort(rounds=0, workers=2))
        times.append(time.perf_counter() - start)
        cost = _fleet.checked_cost(instance.arrays, solution.plan.units)
        gaps.append(_gap_percent(instance, solution, cost))
        _tell(instance, f"first plan {times[-1]:.2f} s gap {gaps[-1]:.3f} %")
    most_seconds, most_gap = FIRST_BARS.get(size, (float("inf"), float("inf")))
    anchor = "LP rounding in 1.5 s: 1.4, 13.7, 2.4, 12.9 % on seeds 0 to 3"
    yield frame.at_most(f"{size} tasks: longest time", max(times), most_seconds, unit="s")
    yield frame.at_most(
        f"{size} tasks: mean gap of the first plan",
        statistics.fmean(gaps),
        most_gap,
        unit="%",
        anchor=anchor if size == 10_000 else "",
    )
    memory_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    yield frame.at_most(f"{size} tasks: memory of the process", memory_gib, 2.0, unit="GiB")


def _gap_percent(instance: _fleet.Instance, solution: Solution, cost: int) -> float:
    bound = instance.known_bound or solution.bound
    return 100.0 * (cost - bound) / bound


def _tell(instance: _fleet.Instance, text: str) -> None:
    print(f"{instance.tasks} tasks, seed {instance.seed}: {text}", file=sys.stderr, flush=True)
