"""Cost of machine reassignment against lower bounds and published solvers (ROADEF/EURO 2012).

Every instance `placement/roadef/model_*.txt[.gz]` with its `assignment_*` and, where there is
one, its `lb_*` is solved from the given assignment within the seconds asked, by two threads, as
the challenge did (300 s, two cores). A checker written from the problem's definition tests every
answer and recomputes its cost; it is also held against the cost that the search reports.

The challenge's score is 100 x (cost - best) / cost at the start. `best` is the better of the
published costs of team S41, the winner, after 300 s and of Gurobi after an hour. An instance
without a published cost, or whose bound is not near 0, is also given as its gap to the bound.
"""

import argparse
import fnmatch
import gzip
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import frame
from benchmarks.placement import _roadef_checker as checker
from placement.reassignment import instance as problem
from placement.reassignment import reading, reassigning

DEFAULT_SECONDS = 300.0
QUICK_SECONDS = 5.0
QUICK_INSTANCES = 4
# Each of two threads makes fewer steps than this in any time that is asked.
MOST_STEPS = 2**40

# The lower of S41 (github.com/harisgavranovic/roadef-challenge2012-S41) and Gurobi, one hour
# (github.com/mdeboute/challenge_ROADEF_Google). The challenge's own names of its instances.
PUBLISHED = {
    "a1_1": 44_306_501,
    "a1_2": 777_531_842,
    "a1_3": 583_005_719,
    "a1_4": 262_086_758,
    "a1_5": 727_578_310,
    "a2_1": 329,
    "a2_2": 746_097_632,
    "a2_3": 1_210_644_572,
    "a2_4": 1_680_615_349,
    "a2_5": 318_358_949,
}
SCORE_ANCHOR = "better of S41 300 s and Gurobi 1 h"
GAP_ANCHOR = "on b_01 to b_04: S41 0.56 %, J33 0.85 %"


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options of this benchmark."""
    group.add_argument("--seconds", type=float, default=None, help="for each instance")
    group.add_argument("--instances", default="*", help="patterns with commas: a1_*,b_01")
    group.add_argument("--seed", type=int, default=0)


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of each instance as it is solved, then the means that have bars."""
    seconds = context.options.get("seconds") or DEFAULT_SECONDS
    patterns = str(context.options.get("instances") or "*").split(",")
    models = [
        path
        for path in context.files("placement/roadef/model_*.txt*")
        if any(fnmatch.fnmatch(_name(path), pattern) for pattern in patterns)
    ]
    if not models:
        raise frame.MissingDataError(context.data, f"model_{patterns[0]}.txt*")
    if context.quick:
        models = models[:: max(1, len(models) // QUICK_INSTANCES)]
        seconds = min(seconds, QUICK_SECONDS)
    scores: list[float] = []
    gaps: list[float] = []
    broken = 0
    for model in models:
        solved = _solve(model, seconds, int(context.options.get("seed") or 0))
        broken += len(solved.faults)
        yield from solved.figures()
        if solved.score is not None:
            scores.append(solved.score)
        elif solved.gap is not None:
            gaps.append(solved.gap)
    yield frame.at_most("broken limits and wrong costs, all instances", broken, 0)
    if scores:
        mean = sum(scores) / len(scores)
        yield frame.at_most("mean challenge score", mean, 0.0, anchor=SCORE_ANCHOR)
    if gaps:
        mean = sum(gaps) / len(gaps)
        name = "mean gap to the lower bound, instances without a published cost"
        yield frame.at_most(name, mean, 0.5, unit="%", anchor=GAP_ANCHOR)


class _Solved:
    """What came of one instance."""

    def __init__(self, name: str, cost: int, initial_cost: int, bound: int | None) -> None:
        self.name = name
        self.cost = cost
        self.faults: list[str] = []
        self.seconds = 0.0
        best = PUBLISHED.get(name)
        self.score = None if best is None else 100 * (cost - best) / max(initial_cost, 1)
        self.gap = None if not bound else 100 * (cost - bound) / bound

    def figures(self) -> Iterator[frame.Figure]:
        """Yields what is worth telling about this instance."""
        yield frame.informs(f"{self.name} cost after {self.seconds:.0f} s", self.cost)
        if self.gap is not None:
            yield frame.informs(f"{self.name} gap to the lower bound", self.gap, unit="%")
        if self.score is not None:
            yield frame.informs(f"{self.name} challenge score", self.score)
        for fault in self.faults:
            yield frame.at_most(f"{self.name}: {fault}", 1, 0)


def _solve(model: Path, seconds: float, seed: int) -> _Solved:
    """Solves one instance and checks the answer."""
    name = _name(model)
    instance = reading.read_instance(_text(model), name=model.name)
    start = _beside(model, "assignment")
    if start is None:
        raise frame.MissingDataError(model.parent, f"assignment_{name}.txt*")
    initial = reading.read_assignment(_text(start), name=start.name)
    bound = _beside(model, "lb")
    lower = None if bound is None else int(_text(bound).split()[0])
    _warm(instance, initial)
    began = time.monotonic()
    effort = reassigning.Effort(steps=MOST_STEPS, seconds=seconds, workers=2, seed=seed)
    outcome = reassigning.reassign(instance, initial, effort, clock=time.monotonic)
    took = time.monotonic() - began
    solved = _Solved(
        name,
        checker.cost(instance, initial, outcome.assignment),
        checker.cost(instance, initial, initial),
        lower,
    )
    solved.seconds = took
    solved.faults = checker.faults(instance, initial, outcome.assignment)
    if solved.cost != outcome.cost:
        solved.faults.append(f"the search reports a cost of {outcome.cost}")
    if outcome.initial_cost != checker.cost(instance, initial, initial):
        solved.faults.append(f"the search starts from a cost of {outcome.initial_cost}")
    return solved


def _warm(instance: problem.Instance, initial: problem.Integers) -> None:
    """Compiles or loads the search once, which is not part of the seconds."""
    reassigning.reassign(
        instance, initial, reassigning.Effort(steps=1, workers=2), clock=time.monotonic
    )


def _name(model: Path) -> str:
    return model.name.removeprefix("model_").partition(".")[0]


def _beside(model: Path, kind: str) -> Path | None:
    """Returns the file of another kind of the same instance, packed or not."""
    stem = model.parent / f"{kind}_{_name(model)}.txt"
    return next((path for path in (stem, Path(f"{stem}.gz")) if path.exists()), None)


def _text(path: Path) -> str:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode("ascii")
    return path.read_text(encoding="ascii")
