"""Re-planning after a change against planning anew: time to the same cost, and tasks moved.

Reads `placement/fleet/TASKS_seedN.npz`. A plan runs; then 1 % of the tasks end and as many others
come, or a cluster is lost. The cold run plans anew for `--seconds`; the warm run starts from the
running plan with a price on each move. Measured is how much sooner the warm run is within 0.2 % of
the cold run's final cost than the cold run itself, and how many other tasks it moves: those that
neither ended nor lost their cluster and stand elsewhere than before. The same times in processor
time of two cores, half of what all threads take, stand beside without a bar: what else runs on the
machine counts little in them. How far the running plan and the cold run's are above their bounds
goes to standard error: two searches of one problem differ by tenths of a per cent, and the warm run
starts where the first of them ended. `--seeds` runs a part.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks import frame
from benchmarks.placement import _fleet
from placement.assignment.effort import Effort, Incumbent, Solution
from placement.assignment.plans import Plan
from placement.assignment.relaxation import relaxed
from placement.assignment.solving import resolve, solve

NEAR = 1.002
SHARE_CHANGED = 0.01
# A move costs this share of what a task costs on average where it runs.
MOVE_SHARE = 0.05
# No more of the tasks that may stay are moved.
MOST_MOVED = 0.02
ENOUGH = 60.0
WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happened: the arrays afterwards, and the units that still run and may stay."""

    name: str
    arrays: dict[str, NDArray[np.int64]]
    running: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How many times sooner a warm run is, by either clock, and the share of other tasks moved."""

    sooner: float
    sooner_by_work: float
    moved: float


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add sizes and the seconds of a cold run."""
    group.add_argument("--tasks", default="10000", help="sizes, as 1000,10000")
    group.add_argument("--seconds", type=float, default=60.0, help="of each cold run")
    group.add_argument("--seeds", default="", help="only instances of these seeds, as 0,1")


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Change every instance in both ways, and plan cold and warm."""
    seconds = 8.0 if context.quick else float(context.options.get("seconds") or 60.0)
    sizes = [int(size) for size in str(context.options.get("tasks") or "10000").split(",")]
    seeds = {int(seed) for seed in str(context.options.get("seeds") or "").split(",") if seed}
    found = [one for one in _fleet.instances(context, sizes) if not seeds or one.seed in seeds]
    if not found:
        raise frame.MissingDataError(context.data, "placement/fleet/*_seed*.npz")
    compared: list[Compared] = []
    for instance in found[:1] if context.quick else found:
        problem = _fleet.problem_of(instance.arrays)
        before = solve(problem, Effort(rounds=None, seconds=seconds, workers=WORKERS))
        prices = relaxed(problem, problem.most_units(), seconds=ENOUGH).prices
        _tell(f"{instance.tasks} tasks, seed {instance.seed}, running: gap {_percent(before)}")
        compared += [
            _compared(instance, change, prices, seconds)
            for change in changes(instance, before.plan.units)
        ]
    sooner = [one.sooner for one in compared]
    yield frame.at_least(
        f"{len(sooner)} changes: times sooner than cold, least",
        min(sooner),
        20.0,
        anchor="COpter: 57 to 83",
    )
    yield frame.informs("times sooner than cold, median", statistics.median(sooner))
    by_work = [one.sooner_by_work for one in compared]
    yield frame.informs(
        "times sooner than cold by processor time, least",
        min(by_work),
        anchor=f"median {statistics.median(by_work):.1f}",
    )
    moved = max(one.moved for one in compared)
    yield frame.at_most("other tasks moved, most", 100.0 * moved, 100.0 * MOST_MOVED, unit="%")


def changes(instance: _fleet.Instance, units: NDArray[np.int64]) -> Iterator[Change]:
    """Yield the changes: some tasks end and others come; the fullest cluster is lost."""
    arrays = instance.arrays
    generator = np.random.default_rng([instance.tasks, instance.seed])
    count = arrays["class_count"]
    many = max(1, round(SHARE_CHANGED * int(count.sum())))
    places = np.column_stack([units, count - units.sum(axis=1)])
    flat = np.repeat(np.arange(places.size), places.ravel())
    ended = np.bincount(generator.permutation(flat)[:many], minlength=places.size)
    left = places - ended.reshape(places.shape)
    came = generator.multinomial(many, np.full(len(count), 1.0 / len(count)))
    yield Change(
        name="1 % of tasks",
        arrays={**arrays, "class_count": left.sum(axis=1) + came},
        running=left[:, :-1],
    )
    lost = int(units.sum(axis=0).argmax())
    capacity = arrays["capacity_centi"].copy()
    capacity[lost] = 0
    eligible = arrays["eligible"].copy()
    eligible[:, lost] = 0
    running = units.copy()
    running[:, lost] = 0
    yield Change(
        name="cluster lost",
        arrays={**arrays, "capacity_centi": capacity, "eligible": eligible},
        running=running,
    )


def _compared(
    instance: _fleet.Instance, change: Change, prices: NDArray[np.float64], seconds: float
) -> Compared:
    """Return how much sooner the warm run is, and the share of other tasks moved."""
    problem = _fleet.problem_of(change.arrays)
    cold_trace = _Trace()
    cold = solve(
        problem, Effort(rounds=None, seconds=seconds, workers=WORKERS, watch=cold_trace.note)
    )
    target = NEAR * _fleet.checked_cost(change.arrays, cold.plan.units)
    cold_at = next(moment for moment in cold_trace.moments if moment.cost <= target)
    warm_trace = _Trace(target)
    average = float((change.running * change.arrays["cost_cents"]).sum()) / change.running.sum()
    paid = np.full(problem.items, max(1, round(MOVE_SHARE * average)), dtype=np.int64)
    warm = resolve(
        problem,
        Plan(units=change.running),
        Effort(rounds=None, seconds=seconds, workers=WORKERS, watch=warm_trace.note),
        move_cost=paid,
        prices=prices,
        most_moved=int(MOST_MOVED * change.running.sum()),
    )
    cost = _fleet.checked_cost(change.arrays, warm.plan.units)
    never = _Moment(cost=cost, seconds=float("inf"), work_seconds=float("inf"))
    warm_at = warm_trace.moments[-1] if cost <= target else never
    share = _moved(change.running, warm.plan.units) / change.running.sum()
    _tell(
        f"{instance.tasks} tasks, seed {instance.seed}, {change.name}: "
        f"cold {cold_at.told}, gap {_percent(cold)}; warm {warm_at.told}, "
        f"cost {100 * (cost / target * NEAR - 1):.3f} % over cold, moved {100 * share:.3f} %"
    )
    return Compared(
        sooner=cold_at.seconds / warm_at.seconds,
        sooner_by_work=cold_at.work_seconds / warm_at.work_seconds,
        moved=float(share),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """A cost that a run had reached, after so much time, and processor time of two cores."""

    cost: int
    seconds: float
    work_seconds: float

    @property
    def told(self) -> str:
        return f"{self.seconds:.2f} s ({self.work_seconds:.2f} s of processors)"


class _Trace:
    """What a run reached when, from now on; ends it at a cost."""

    def __init__(self, target: float = 0.0) -> None:
        self.moments: list[_Moment] = []
        self._target = target
        self._started = time.process_time()

    def note(self, incumbent: Incumbent) -> bool:
        """Note an incumbent; return whether the run is to go on."""
        work_seconds = (time.process_time() - self._started) / WORKERS
        self.moments.append(
            _Moment(cost=incumbent.cost, seconds=incumbent.seconds, work_seconds=work_seconds)
        )
        return incumbent.cost > self._target


def _percent(solution: Solution) -> str:
    return f"{100 * solution.gap:.2f} %"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _moved(running: NDArray[np.int64], units: NDArray[np.int64]) -> int:
    """Return how many running tasks stand elsewhere now, or nowhere."""
    return int(np.maximum(running - units, 0).sum())
