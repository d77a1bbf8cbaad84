"""What a task with a deadline costs on spot and on-demand machines, against greedy with fallback.

Real traces of spot availability (`placement/spot/*/*.json`: `metadata.gap_seconds`, and 0 or 1 a
step under `data`), each replayed alone from evenly spaced starts from which it still lasts until
the deadline: 48 h of work, 12 min to change over, spot at 0.3 of on-demand. At a start the policy
has seen the trace up to there and nothing of other traces. The shape of its prior (half of all
spells are shorter than a quarter of an hour, and what has lasted long lasts longer) was chosen
from the look of these traces, its median by cross-validation: each trace left out in turn, the
others pick the same. Figures are means over traces of (mean cost over starts / that of greedy).
Every run of every policy is checked by an account of its own that also finds missed deadlines.
"""

import argparse
import concurrent.futures
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks import frame
from benchmarks.placement import _spot_anchors as anchors
from benchmarks.placement import _spot_replay as replays
from benchmarks.placement._spot_replay import Choice, Trace
from placement.spot.lifetimes import learn
from placement.spot.policy import SpotPolicy
from placement.spot.task import SpotTask

HOUR = 3600.0
WORK_HOURS = 48.0
CHANGEOVER_MINUTES = 12.0
SPOT_PRICE = 0.3
TIGHT_HOURS = (52.0, 60.0)
LOOSE_HOURS = (72.0, 96.0)
QUICK_STARTS = 4


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds how many starts a trace and how many processes."""
    group.add_argument("--starts", type=int, default=60, help="starts a trace (default 60)")
    group.add_argument("--workers", type=int, default=2, help="processes (default 2)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Mean costs on one trace with one deadline, in hours of an on-demand machine."""

    trace: str
    greedy: float
    berth: float
    unseen: float
    uniform: float
    bound: float
    missed: int
    missed_by_anchors: int
    runs: int

    def ratio(self, name: str) -> float:
        """Returns the cost of a policy over that of greedy."""
        return float(getattr(self, name)) / self.greedy


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures, deadline by deadline."""
    traces = [replays.read(path) for path in context.files("placement/spot/*/*.json")]
    count = QUICK_STARTS if context.quick else int(context.options.get("starts", 60))
    hours = [*TIGHT_HOURS, *LOOSE_HOURS]
    rows: dict[float, list[Row]] = {deadline: [] for deadline in hours}
    work = list(itertools.product(hours, traces))
    workers = max(1, int(context.options.get("workers", 2)))
    with concurrent.futures.ProcessPoolExecutor(max_workers=workers) as pool:
        for (deadline, _), row in zip(
            work, pool.map(measure, *zip(*work, strict=True), itertools.repeat(count)), strict=True
        ):
            if row is not None:
                rows[deadline].append(row)
    found = [row for deadline in hours for row in rows[deadline]]
    yield frame.at_most(
        f"deadlines missed in {sum(row.runs for row in found)} runs",
        sum(row.missed for row in found),
        0,
        anchor=f"greedy and uniform progress {sum(row.missed_by_anchors for row in found)}",
    )
    for deadline in hours:
        if rows[deadline]:
            yield from _figures(deadline, rows[deadline])


def measure(deadline_hours: float, trace: Trace, count: int) -> Row | None:
    """Returns the mean costs on a trace; None where it is shorter than the deadline."""
    task = SpotTask(
        work_seconds=WORK_HOURS * HOUR,
        deadline_seconds=deadline_hours * HOUR,
        changeover_seconds=CHANGEOVER_MINUTES * 60.0,
        step_seconds=trace.step_seconds,
        spot_price=SPOT_PRICE / HOUR,
        on_demand_price=1.0 / HOUR,
    )
    begins = replays.starts(trace, task.deadline_seconds, count)
    if not begins:
        return None
    unseen = SpotPolicy(task, learn((), trace.step_seconds))
    costs: dict[str, list[float]] = {"greedy": [], "berth": [], "unseen": [], "uniform": []}
    missed = dict.fromkeys(costs, 0)
    for start in begins:
        policy = SpotPolicy.from_history(task, trace.is_up[:start])
        choices: dict[str, Choice] = {
            "greedy": anchors.greedy(task),
            "berth": _choice(policy),
            "unseen": _choice(unseen),
            "uniform": anchors.uniform_progress(task),
        }
        for name, choose in choices.items():
            outcome = replays.replay(trace, start, task, choose)
            outcome = replays.checked(trace, start, task, outcome)
            costs[name].append(outcome.cost)
            missed[name] += outcome.is_late
    means = {name: float(np.mean(values)) for name, values in costs.items()}
    bound = float(np.mean(anchors.omniscient(trace, begins, task)))
    assert bound <= means["berth"] + 1e-6, "cheaper than who knows the future"
    return Row(
        trace=trace.name,
        bound=bound,
        missed=missed["berth"] + missed["unseen"],
        missed_by_anchors=missed["greedy"] + missed["uniform"],
        runs=2 * len(begins),
        **means,
    )


def _choice(policy: SpotPolicy) -> Choice:
    return lambda seen: policy.decide(seen).machine


def _figures(deadline: float, rows: list[Row]) -> Iterator[frame.Figure]:
    """Yields mean and worst of one deadline, with the anchors."""

    def mean(name: str) -> float:
        return float(np.mean([row.ratio(name) for row in rows]))

    is_tight = deadline in TIGHT_HOURS
    yield frame.at_most(
        f"{deadline:g} h: cost over greedy's, mean of {len(rows)} traces",
        mean("berth"),
        0.95 if is_tight else 1.0,
        anchor=f"uniform progress {mean('uniform'):.3f}, omniscient {mean('bound'):.3f}",
    )
    worst = max(rows, key=lambda row: row.ratio("berth"))
    name = f"{deadline:g} h: cost over greedy's, worst trace ({worst.trace})"
    anchor = f"uniform progress {max(row.ratio('uniform') for row in rows):.3f}"
    if is_tight:
        yield frame.at_most(name, worst.ratio("berth"), 1.02, anchor=anchor)
    else:
        yield frame.informs(name, worst.ratio("berth"), anchor=anchor)
    total = math.fsum(row.berth for row in rows) / math.fsum(row.greedy for row in rows)
    yield frame.informs(f"{deadline:g} h: sum of costs over greedy's", total)
    yield frame.informs(
        f"{deadline:g} h: mean without any history of the trace",
        mean("unseen"),
        anchor=f"greedy costs {np.mean([row.greedy for row in rows]):.1f} h of on-demand",
    )
