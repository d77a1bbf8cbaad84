"""How many machines tasks need when those that rarely peak together share, and how often too few.

Data: `forecasting/*cpu-percent*.npz`, each array a day, one row a VM-day of CPU percent in steps
of five minutes; arrays are taken in order of their names. A task is a VM-day that was not fitted
on; 50 of one day, drawn without return, are a group, which shares one pool. Nothing is known of
them but that they come from the population that was fitted, which is split off in three ways:

- other VMs: half of the VM-days of every day, at random; tested on the other half;
- later days: all days before a day; tested on that day;
- another day: all days but one, later ones too; tested on that day.

A machine has 100 CPU percent. Machines are counted as capacity, not rounded up, which is the
stricter reading for overflow; whole machines stand below. They are compared with the sum of the
tasks' own peaks (known in hindsight). Overflow is the share of (group, five-minute step) pairs in
which the group needs more than its capacity, asked to be 1 % at most in every quarter of an hour
of the day; last stands what is enough for 1 % of the day as a whole. Figures are means over
splits, in which every split counts alike.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from benchmarks import frame
from placement.multiplexing import population, sizing
from placement.problem.needs import OVERFLOW

PATTERN = "forecasting/*cpu-percent*.npz"
MACHINE_PERCENT = 100.0
SLOT_STEPS = 3
SEEDS = 5
REPEATS = 20
QUICK_REPEATS = 4
MOST_MACHINES = 0.55
MOST_OVERFLOW = 1.25 * OVERFLOW
WHOLE_DAY = "of the day as a whole"

Day = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Days to fit on, days to test on, and the seed of the groups and scenarios."""

    name: str
    fitted: tuple[Day, ...]
    tested: tuple[Day, ...]
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a rule came to: capacity over summed peaks, the same in whole machines, overflow."""

    machines: float
    whole: float
    overflow: float


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds how many tasks share a pool."""
    group.add_argument("--tasks", type=int, default=50, help="tasks to a group (default 50)")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures, one way of splitting after the other."""
    days = read(context)
    tasks = int(context.options.get("tasks", 50))
    repeats = QUICK_REPEATS if context.quick else REPEATS
    ways = {
        "other VMs": [other_members(days, seed) for seed in range(SEEDS)],
        "later days": later_days(days),
        "another day": another_day(days),
    }
    for way, splits in ways.items():
        usable = [split for split in splits if all(len(day) >= tasks for day in split.tested)]
        if usable:
            yield from figures(way, usable, tasks, repeats)


def read(context: frame.Context) -> dict[str, Day]:
    """Returns the days in all files by array and file, in order of the arrays' names."""
    found: dict[str, Day] = {}
    for path in context.files(PATTERN):
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                if arrays[name].ndim == 2:
                    found[f"{name} of {path.stem}"] = arrays[name].astype(np.float32)
    return dict(sorted(found.items()))


def other_members(days: dict[str, Day], seed: int) -> Split:
    """Returns a split of the VM-days of each day into halves."""
    chance = np.random.default_rng(seed)
    halves = [np.array_split(day[chance.permutation(len(day))], 2) for day in days.values()]
    return Split(
        name=f"seed {seed}",
        fitted=tuple(first for first, _ in halves),
        tested=tuple(second for _, second in halves),
        seed=seed,
    )


def later_days(days: dict[str, Day]) -> list[Split]:
    """Returns for each day but the first a split into the days before it, and it."""
    named = list(days.items())
    return [
        Split(
            name=name,
            fitted=tuple(earlier for _, earlier in named[:index]),
            tested=(day,),
            seed=index,
        )
        for index, (name, day) in enumerate(named)
        if index
    ]


def another_day(days: dict[str, Day]) -> list[Split]:
    """Returns for each day a split into all other days, and it."""
    return [
        Split(
            name=name,
            fitted=tuple(other for key, other in days.items() if key != name),
            tested=(day,),
            seed=index,
        )
        for index, (name, day) in enumerate(days.items())
        if len(days) > 1
    ]


def figures(way: str, splits: Sequence[Split], tasks: int, repeats: int) -> Iterator[frame.Figure]:
    """Yields the figures of one way of splitting."""
    sized: list[sizing.Sizing] = []
    measured: dict[str, list[Measured]] = {}
    for split in splits:
        groups = groups_of(split, tasks, repeats)
        fitted = population.fit(split.fitted)
        sized.append(sizing.size(fitted, tasks, seed=split.seed, slot_steps=SLOT_STEPS))
        steps = groups.shape[2]
        whole_day = sizing.size(fitted, tasks, seed=split.seed, slot_steps=steps)
        rules = {
            "berth": np.full(len(groups), sized[-1].capacity),
            WHOLE_DAY: np.full(len(groups), whole_day.capacity),
            **anchors(split, groups),
        }
        for rule, capacity in rules.items():
            measured.setdefault(rule, []).append(measure(groups, capacity))
    means = {rule: mean_of(found) for rule, found in measured.items()}
    ours, worst = means["berth"], measured["berth"]
    others = {rule: found for rule, found in means.items() if rule not in {"berth", WHOLE_DAY}}
    yield frame.at_most(
        f"{way}: machines over own peaks, mean of {len(splits)} splits",
        ours.machines,
        MOST_MACHINES,
        anchor=", ".join(f"{rule} {found.machines:.3f}" for rule, found in others.items()),
    )
    yield frame.at_most(
        f"{way}: realised overflow, mean",
        100 * ours.overflow,
        100 * MOST_OVERFLOW,
        unit="%",
        anchor=", ".join(f"{rule} {100 * found.overflow:.2f}" for rule, found in others.items()),
    )
    yield frame.informs(f"{way}: machines, worst split", max(found.machines for found in worst))
    yield frame.informs(
        f"{way}: realised overflow, worst split",
        100 * max(found.overflow for found in worst),
        unit="%",
    )
    yield frame.informs(f"{way}: whole machines over whole peaks, mean", ours.whole)
    yield frame.informs(
        f"{way}: lambda, mean",
        float(np.mean([one.share for one in sized])),
        anchor=f"{sum(one.is_verified for one in sized)} of {len(sized)} verified",
    )
    yield frame.informs(
        f"{way}: machines over own peaks, 1 % {WHOLE_DAY}",
        means[WHOLE_DAY].machines,
        anchor=f"realised overflow {100 * means[WHOLE_DAY].overflow:.2f} %",
    )


def groups_of(split: Split, tasks: int, repeats: int) -> npt.NDArray[np.float32]:
    """Returns disjoint groups of tasks of a day, several times over: [group, task, step]."""
    chance = np.random.default_rng(1000 + split.seed)
    found = []
    for day in split.tested:
        count = len(day) // tasks
        for _ in range(repeats):
            drawn = chance.permutation(len(day))[: count * tasks]
            found.append(day[drawn].reshape(count, tasks, -1))
    return np.concatenate(found)


def measure(groups: npt.NDArray[np.float32], capacity: npt.NDArray[np.float64]) -> Measured:
    """Returns what groups with so much capacity each come to, from their true needs."""
    peaks = groups.max(axis=2).sum(axis=1)
    over = groups.sum(axis=1) > capacity[:, None]
    whole = np.ceil(capacity / MACHINE_PERCENT).sum() / np.ceil(peaks / MACHINE_PERCENT).sum()
    return Measured(
        machines=float(capacity.sum() / peaks.sum()),
        whole=float(whole),
        overflow=float(over.mean()),
    )


def mean_of(found: Sequence[Measured]) -> Measured:
    """Returns the means over splits."""
    return Measured(
        machines=float(np.mean([one.machines for one in found])),
        whole=float(np.mean([one.whole for one in found])),
        overflow=float(np.mean([one.overflow for one in found])),
    )


def anchors(split: Split, groups: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float64]]:
    """Returns the capacity of each group by other rules.

    The normal approximation takes tasks as independent, with mean and variance by step as fitted.
    The others know the group in hindsight: no rule that plans ahead can be held to them.
    """
    pooled = np.concatenate(split.fitted)
    tasks = groups.shape[1]
    spread = float(ndtri(1.0 - OVERFLOW)) * math.sqrt(tasks) * pooled.std(axis=0)
    normal = float((tasks * pooled.mean(axis=0) + spread).max())
    return {
        "normal approximation": np.full(len(groups), normal),
        "P99 of the sum in hindsight": np.asarray(
            np.quantile(groups.sum(axis=1), 1.0 - OVERFLOW, axis=1), dtype=np.float64
        ),
        "sum of P95 in hindsight": np.asarray(
            np.quantile(groups, 0.95, axis=2).sum(axis=1), dtype=np.float64
        ),
    }
