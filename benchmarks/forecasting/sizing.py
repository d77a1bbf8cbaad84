"""Memory of workflow tasks: wasted GBh and failed first tries, against published sizing rules.

Every file `forecasting/sizey/trace_*.csv*` is a workflow; of its COMPLETED rows, each process with
at least 34 runs is replayed in the order `sample(frac=1, random_state=seed)` (a file without such
a process is passed over): the first 30 % are history, each later run is sized before its need is
known and learned from after it. Memory is `peak_rss` in decimal GB, size of the input `rchar`,
hours `realtime`. A try that is too small is lost as a whole, and the rule says what the next one
holds. Every rule gets the same order. The sizer under test is `forecasting.profiles.sizing`; the
rules are ports (`_sizing_rules`).
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import frame
from benchmarks.forecasting import _sizing_rules
from forecasting.profiles.sizing import MemorySizer

FIRST_SEED = 1996
SEEDS = 5
QUICK_SEEDS = 1
FEWEST_RUNS = 34
HISTORY = 0.3
MOST_TRIES = 60
RECIPE = "recipe of one seed .71, .96, .77, without the largest under-estimate among the rules"


@dataclass(frozen=True, kw_only=True)
class Task:
    """The runs of one process in order: size of the input, GB and hours."""

    sizes: np.ndarray
    memory: np.ndarray
    hours: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a rule wasted, how many first tries failed, of how many, in how many CPU seconds."""

    wasted: float = 0.0
    failed: int = 0
    count: int = 0
    seconds: float = 0.0

    def plus(self, other: "Score") -> "Score":
        """Returns both together."""
        return Score(
            wasted=self.wasted + other.wasted,
            failed=self.failed + other.failed,
            count=self.count + other.count,
            seconds=self.seconds + other.seconds,
        )


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options of this benchmark."""
    group.add_argument("--seeds", type=int, default=None, help="so many, from 1996 on")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of each workflow, then the median of their ratios."""
    count = context.options.get("seeds") or (QUICK_SEEDS if context.quick else SEEDS)
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    ratios = []
    mine = Score()
    for path in context.files("forecasting/sizey/trace_*.csv*"):
        score, ratio, figures = _workflow(path, seeds)
        if not score.count:
            continue
        ratios.append(ratio)
        mine = mine.plus(score)
        yield from figures
    name = "median of the workflows' wasted GBh over that of the best rule"
    yield frame.at_most(name, float(np.median(ratios)), 0.75, anchor=RECIPE)
    yield frame.at_most("largest of them", max(ratios), 0.95)
    each = 1_000.0 * mine.seconds / max(mine.count, 1)
    yield frame.at_most("prediction and update", each, 30.0, unit="CPU ms")


def _workflow(path: Path, seeds: range) -> tuple[Score, float, list[frame.Figure]]:
    """Returns our score, the ratio to the best rule averaged over seeds, and the figures."""
    table = read(path)
    ratios = []
    total = Score()
    wasted: dict[str, float] = {}
    for seed in seeds:
        scores = {name: Score() for name in _sizing_rules.rules()}
        ours = Score()
        for task in tasks(table, seed):
            ours = ours.plus(replay(MemorySizer(), task))
            for name, make in _sizing_rules.rules().items():
                scores[name] = scores[name].plus(replay(make(), task))
        best = min(score.wasted for score in scores.values())
        ratios.append(ours.wasted / best if best else 1.0)
        for name, score in scores.items():
            wasted[name] = wasted.get(name, 0.0) + score.wasted / len(seeds)
        total = total.plus(ours)
    name = path.name.split(".")[0].removeprefix("trace_")
    said = ", ".join(f"{rule}: {value:.1f}" for rule, value in wasted.items())
    ratio = float(np.mean(ratios))
    failing = 100.0 * total.failed / max(total.count, 1)
    return (
        total,
        ratio,
        [
            frame.informs(f"{name}: wasted", total.wasted / len(seeds), unit="GBh", anchor=said),
            frame.informs(f"{name}: wasted over that of the best rule", ratio),
            frame.at_most(f"{name}: tasks that fail", failing, 9.0, unit="%"),
        ],
    )


def read(path: Path) -> pd.DataFrame:
    """Returns the completed rows of a workflow whose size, memory and time are known."""
    table = pd.read_csv(path, low_memory=False)
    table = table[table.status == "COMPLETED"]
    columns = {}
    for column in ("rchar", "peak_rss", "realtime"):
        columns[column] = pd.to_numeric(table[column], errors="coerce")
    return table.assign(**columns).dropna(subset=list(columns))


def tasks(table: pd.DataFrame, seed: int) -> Iterator[Task]:
    """Yields the runs of every process with enough of them, in the order of the seed."""
    for _, whole in table.groupby("process"):
        if len(whole) < FEWEST_RUNS:
            continue
        rows = whole.sample(frac=1, random_state=seed)
        yield Task(
            sizes=rows.rchar.to_numpy(float) / 1e9,
            memory=rows.peak_rss.to_numpy(float) / 1e9,
            hours=rows.realtime.to_numpy(float) / 3.6e6,
        )


def replay(rule: _sizing_rules.Rule, task: Task) -> Score:
    """Returns what a rule costs on the runs after the history."""
    history = int(HISTORY * len(task.memory))
    wasted, failed = 0.0, 0
    start = time.process_time()
    for place, (size, need, hours) in enumerate(
        zip(task.sizes.tolist(), task.memory.tolist(), task.hours.tolist(), strict=True)
    ):
        if place == history:
            start = time.process_time()
        if place >= history:
            held = rule.first_try(size)
            failed += held < need
            tries = 0
            while held < need and tries < MOST_TRIES:
                wasted += held * hours
                held = rule.next_try(held)
                tries += 1
            wasted += (held - need) * hours
        rule.update(size, need, hours)
    return Score(
        wasted=wasted,
        failed=failed,
        count=len(task.memory) - history,
        seconds=time.process_time() - start,
    )
