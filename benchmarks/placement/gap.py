"""Gap to the best known values of the generalised assignment problem.

Reads `placement/gap/*/*` (OR-Library form) and `placement/gap/data.csv`. Each instance is solved
for `--seconds` on two threads; every plan is checked from the definition.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable

from benchmarks import frame
from benchmarks.placement import _gap
from placement.assignment.effort import Effort
from placement.assignment.solving import solve


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add seconds and a choice of instances."""
    group.add_argument("--seconds", type=float, default=10.0, help="for each instance")
    group.add_argument("--instances", default="*", help="pattern of names, as 'yagiura2004/d*'")


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Solve every instance that matches."""
    found = _gap.instances(context, str(context.options.get("instances") or "*"))
    seconds = float(context.options.get("seconds") or 10.0)
    if context.quick:
        found, seconds = found[:: max(1, len(found) // 8)], 3.0
    # Loading compiled code is paid once a process, not once a plan.
    solve(_gap.problem_of(found[0]), Effort(rounds=1))
    gaps: dict[str, float] = {}
    incomplete = 0
    for instance in found:
        effort = Effort(rounds=None, seconds=seconds, workers=2, exact_share=0.3, exact_work=0.5)
        solution = solve(_gap.problem_of(instance), effort)
        cost = _gap.checked_cost(instance, solution.plan.units)
        if cost is None:
            incomplete += 1
            gaps[instance.name] = 100.0
            print(f"{instance.name}: no complete plan", file=sys.stderr, flush=True)
            continue
        gaps[instance.name] = 100.0 * (cost / instance.best_known - 1.0)
        text = f"{cost} best {instance.best_known} bound {solution.bound}"
        print(
            f"{instance.name}: {text} gap {gaps[instance.name]:.3f} %", file=sys.stderr, flush=True
        )
    mean, worst = statistics.fmean(gaps.values()), max(gaps.values())
    anchor = "HiGHS alone at 20 s: .1 to 1.6, 16.9 on d60900"
    yield frame.at_most(f"mean gap over {len(gaps)} instances", mean, 0.10, unit="%", anchor=anchor)
    yield frame.at_most("worst gap", worst, 0.6, unit="%", anchor=max(gaps, key=gaps.__getitem__))
    yield frame.at_most("instances without a complete plan", incomplete, 0)
