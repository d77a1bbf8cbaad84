"""Memory of tasks that nobody has seen: coverage of P90 and waste with 0, 1, 3 and 10 own runs.

Each process of the workflows `forecasting/sizey/trace_*.csv*` with at least 34 runs is left out in
turn: the forecaster learns from the other processes of all workflows, and gets the process's
request (its preset, `memory`) and its first k runs in an order of its own for each seed. All runs
after the tenth are scored: is the need within P90, and how much do tries of P90 waste (a failed one
is repeated with twice as much). The same runs are scored for every k. Processes count alike for
coverage; waste is a share of what was used. The forecaster under test is
`forecasting.profiles.coldstart`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks import frame
from forecasting.profiles.coldstart import ColdStart, TaskRuns

SEEDS = tuple(range(1996, 2016))
RUNS = (0, 1, 3, 10)
FEWEST_RUNS = 34
SINCE = 3
GIB = 2.0**30


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process: its request and the needs of its runs in GiB, and their hours."""

    preset: float
    needs: np.ndarray
    hours: np.ndarray


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields coverage and waste for each number of own runs."""
    processes = [
        process
        for path in context.files("forecasting/sizey/trace_*.csv*")
        for process in _processes(pd.read_csv(path, low_memory=False))
    ]
    seeds = SEEDS[:1] if context.quick else SEEDS
    covered: dict[int, list[float]] = {k: [] for k in RUNS}
    wasted = dict.fromkeys(RUNS, 0.0)
    used = presets = 0.0
    for left, process in enumerate(processes):
        others = [p for place, p in enumerate(processes) if place != left]
        learned = ColdStart(
            [TaskRuns(preset=p.preset, needs=tuple(p.needs.tolist())) for p in others], seed=1
        )
        for seed in seeds:
            order = np.random.default_rng((seed, left)).permutation(len(process.needs))
            needs, hours = process.needs[order], process.hours[order]
            later, time = needs[max(RUNS) :], hours[max(RUNS) :]
            used += float(later @ time)
            presets += _waste(process.preset, later, time)
            for k in RUNS:
                p90 = learned.quantiles(process.preset, needs[:k].tolist()).p90
                covered[k].append(100.0 * float((later <= p90).mean()))
                wasted[k] += _waste(p90, later, time)
    before = None
    for k in RUNS:
        share = float(np.mean(covered[k]))
        waste = wasted[k] / used
        name = f"k = {k}: P90 coverage"
        if k == 0:
            yield frame.at_least(f"{name}, at least", share, 85.0, unit="%")
        elif k < SINCE:
            yield frame.informs(name, share, unit="%")
        else:
            yield frame.at_least(f"{name}, at least", share, 88.0, unit="%")
            yield frame.at_most(f"{name}, at most", share, 92.0, unit="%")
        anchor = f"presets {presets / used:.3f}"
        name = f"k = {k}: wasted over used"
        if before is None:
            yield frame.informs(name, waste, anchor=anchor)
        else:
            yield frame.at_most(f"{name}, below the step before", waste, before, anchor=anchor)
        before = waste


def _processes(table: pd.DataFrame) -> Iterator[Process]:
    """Yields the processes with enough completed runs whose request is known."""
    table = table[table.status == "COMPLETED"]
    columns = {
        column: pd.to_numeric(table[column], errors="coerce")
        for column in ("memory", "peak_rss", "realtime")
    }
    table = table.assign(**columns).dropna(subset=list(columns))
    for _, rows in table.groupby("process"):
        if len(rows) >= FEWEST_RUNS:
            yield Process(
                preset=float(rows.memory.median()) / GIB,
                needs=rows.peak_rss.to_numpy(float) / GIB,
                hours=rows.realtime.to_numpy(float) / 3.6e6,
            )


def _waste(held: float, needs: np.ndarray, hours: np.ndarray) -> float:
    """Returns GiB hours that tries waste, doubled until they are enough."""
    held = max(held, 1e-6)
    times = np.ceil(np.log2(np.maximum(needs / held, 1.0)))
    failed = held * (2.0**times - 1.0)
    return float(((held * 2.0**times - needs + failed) * hours).sum())
