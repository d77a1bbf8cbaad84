"""Quality and processor time of the raced choice among six families against the full grid.

Nested five times two folds on `training/*.csv` (last column: the class). In each outer fold the
product's choice races the grids of k nearest neighbours, tree, forest, support vectors, boosting
and logistic regression over five inner folds; the full grid runs every configuration on the same
inner folds and takes the best score. Both are refitted and judged on the same outer fold. The leak
detector is then shown a choice made on the outer folds, and one that was not.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import frame
from executors.training import families, leaks, nested, racing, search
from executors.training.families import Classifier

ANCHOR = ".828 of the full grid on heart disease, 165 CPU-s"
QUICK_REPEATS, REPEATS = 1, 5
Rows = NDArray[np.float64]
Labels = NDArray[np.int64]


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of every table of records."""
    for path in context.files("training/*.csv"):
        rows, labels = read(path)
        repeats = QUICK_REPEATS if context.quick else REPEATS
        found = {
            name: measure(rows, labels, chooser, repeats=repeats)
            for name, chooser in (("race", Race()), ("grid", Grid()))
        }
        yield from figures(path.stem, found["race"], found["grid"])
        yield from leak_figures(path.stem, rows, labels)


def read(path: Path) -> tuple[Rows, Labels]:
    """Returns features and classes."""
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    return table[:, :-1], table[:, -1].astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An honest estimate, and the processor time it took."""

    estimate: nested.Estimate
    cpu_seconds: float


def measure(rows: Rows, labels: Labels, chooser: nested.Chooser, *, repeats: int) -> Measured:
    """Returns the estimate of one way to choose."""
    began = time.process_time()
    estimate = nested.estimate(rows, labels, chooser, repeats=repeats)
    return Measured(estimate=estimate, cpu_seconds=time.process_time() - began)


@dataclass(slots=True)
class Race:
    """The product's choice over the whole grids of all families."""

    promises: list[float] = field(default_factory=list)

    def __call__(self, rows: Rows, labels: Labels, seed: int) -> tuple[str, Classifier]:
        """Returns the chosen family, fitted."""
        course = racing.Course(
            rows=rows, labels=labels, folds=search.assign_folds(labels, seed=seed), seed=seed
        )
        spaces = {name: family.grid() for name, family in families.FAMILIES.items()}
        choice = search.choose(families.FAMILIES, spaces, course)
        self.promises.append(choice.quality)
        best = choice.outcome.best.configuration
        return choice.family, families.family(choice.family).build(best, seed).fit(rows, labels)


@dataclass(slots=True)
class Grid:
    """Every configuration on every fold; the best score is taken, the first of equals."""

    def __call__(self, rows: Rows, labels: Labels, seed: int) -> tuple[str, Classifier]:
        """Returns the family of the best configuration, fitted."""
        folds = search.assign_folds(labels, seed=seed)
        best: tuple[float, str, families.Configuration] | None = None
        for name, family in families.FAMILIES.items():
            for configuration in family.grid():
                right = 0
                for fold in range(racing.FOLDS):
                    out = folds == fold
                    model = family.build(configuration, seed).fit(rows[~out], labels[~out])
                    right += int((model.predict(rows[out]) == labels[out]).sum())
                if best is None or right > best[0]:
                    best = (right, name, configuration)
        assert best is not None
        return best[1], families.family(best[1]).build(best[2], seed).fit(rows, labels)


def figures(name: str, race: Measured, grid: Measured) -> Iterator[frame.Figure]:
    """Yields what the race costs and what it finds."""
    quality, whole = race.estimate.quality, grid.estimate.quality
    yield frame.informs(f"{name}: quality of the full grid", whole, anchor=ANCHOR)
    yield frame.at_least(f"{name}: quality of the race", quality, round(whole - 0.01, 4))
    yield frame.informs(f"{name}: its spread over outer folds", race.estimate.spread)
    share = race.cpu_seconds / grid.cpu_seconds
    yield frame.informs(f"{name}: processor time of the full grid", grid.cpu_seconds, unit="s")
    yield frame.at_most(f"{name}: processor time of the race over that", share, 0.30)
    for kind, measured in (("race", race), ("grid", grid)):
        counts = Counter(measured.estimate.chosen).most_common()
        print(f"{name}: the {kind} chose {', '.join(f'{n} {c}' for n, c in counts)}")


def leak_figures(name: str, rows: Rows, labels: Labels) -> Iterator[frame.Figure]:
    """Yields whether a choice on test data is flagged, and an honest one is not."""
    out = search.assign_folds(labels, seed=0, count=2) == 0
    test = leaks.HeldOut(rows[out], labels[out], strict=False)
    fitted: dict[str, Classifier] = {}
    for family_name, family in families.FAMILIES.items():
        for number, configuration in enumerate(family.grid()[::4]):
            key = f"{family_name}-{number}"
            fitted[key] = family.build(configuration, 0).fit(rows[~out], labels[~out])
            test.judge(key, fitted[key].predict(rows[out]))
    leak = test.leak()
    yield frame.at_least(f"{name}: a choice on test data is flagged", float(leak is not None), 1)
    yield frame.informs(f"{name}: its optimism as estimated", leak.optimism if leak else 0.0)
    honest = leaks.HeldOut(rows[out], labels[out])
    first = next(iter(fitted))
    honest.judge(first, fitted[first].predict(rows[out]))
    yield frame.at_most(f"{name}: an honest one is flagged", float(honest.leak() is not None), 0)
