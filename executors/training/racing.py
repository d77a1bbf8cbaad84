"""Racing configurations over folds: what is clearly behind on the first folds runs no others.

Successive halving with folds as the resource (Jamieson and Talwalkar, AISTATS 2016; irace's racing
is its cousin). All candidates of a family meet on the first fold, the best fifth on the second, the
best tenth on the others. On the first fold ensembles have fewer trees: the ranking is what is
wanted there, not the forest. Families are raced each by itself, so that none is dropped
because of one fold that suits another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from executors.training import scores
from executors.training.families import Classifier, Configuration, Family

FOLDS = 5
Report = Callable[[int, int, float, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a race is run.

    stages: which folds each stage adds. kept: after each stage but the last, one of so many goes
    on. fewest: that go on at least; a race of no more than these is none.
    """

    stages: tuple[tuple[int, ...], ...] = ((0,), (1,), (2, 3, 4))
    kept: tuple[int, ...] = (5, 10)
    fewest: int = 2

    @property
    def judging(self) -> tuple[int, ...]:
        """The folds on which nobody was sent home."""
        return self.stages[-1]


WHOLE = Rules(stages=(tuple(range(FOLDS)),), kept=())
"""No race: every candidate on every fold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration on rows it was not fitted on.

    number: its place among the candidates of its family. seen: rows of the folds that it ran;
    right: by row. losses: mean loss by fold; precisions: of the highest class, by fold.
    operations: that one prediction takes. probable: whether the loss is of probabilities.
    """

    number: int
    configuration: Configuration
    seen: NDArray[np.bool_]
    right: NDArray[np.bool_]
    losses: tuple[float, ...]
    precisions: tuple[float, ...]
    operations: float
    probable: bool

    @property
    def score(self) -> float:
        """Share of rows classified right, of those seen."""
        return float(self.right[self.seen].mean())

    @property
    def loss(self) -> float:
        """Mean loss of the folds."""
        return float(np.mean(self.losses))

    @property
    def finished(self) -> bool:
        """Whether it ran every fold."""
        return bool(self.seen.all())


@dataclass(slots=True)
class _Runner:
    """A candidate on its way: what it got right, and the figures of the folds it ran."""

    number: int
    configuration: Configuration
    seen: NDArray[np.bool_]
    right: NDArray[np.bool_]
    folds: dict[int, tuple[float, float]]
    operations: float = 0.0
    probable: bool = False

    @property
    def rank(self) -> tuple[float, int]:
        return -float(self.right[self.seen].mean()), self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What all candidates of a race share: rows, their classes, the fold of each, a seed."""

    rows: NDArray[np.float64]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    seed: int


def race(
    family: Family,
    configurations: Sequence[Configuration],
    course: Course,
    *,
    rules: Rules,
    report: Report = lambda *_: None,
) -> list[Trial]:
    """Return every candidate with what it ran; `report` is told candidate, fold, loss, precision.

    At least one finished. The same arguments give the same race.
    """
    runners = [
        _Runner(
            number=number,
            configuration=configuration,
            seen=np.zeros(len(course.labels), dtype=np.bool_),
            right=np.zeros(len(course.labels), dtype=np.bool_),
            folds={},
        )
        for number, configuration in enumerate(configurations)
    ]
    alive = list(runners)
    if len(alive) <= rules.fewest:
        rules = WHOLE
    for stage, added in enumerate(rules.stages):
        last = stage == len(rules.stages) - 1
        thin = stage == 0 and not last
        for runner in alive:
            wanted = [*added, *(fold for fold in range(FOLDS) if last and fold not in runner.folds)]
            for fold in dict.fromkeys(wanted):
                _run(runner, family, course, fold=fold, thin=thin)
                if fold in runner.folds:
                    report(runner.number, fold, *runner.folds[fold])
        if not last:
            places = max(math.ceil(len(runners) / rules.kept[stage]), rules.fewest)
            alive = sorted(alive, key=lambda runner: runner.rank)[:places]
    return [_trial(runner) for runner in runners]


def _run(runner: _Runner, family: Family, course: Course, *, fold: int, thin: bool) -> None:
    """Fit a candidate without a fold and judge it there; a thinned one must run it again later."""
    out = course.folds == fold
    wanted = family.thinned(runner.configuration) if thin else runner.configuration
    model: Classifier = family.build(wanted, course.seed)
    model.fit(course.rows[~out], course.labels[~out])
    predicted = model.predict(course.rows[out])
    labels = course.labels[out]
    runner.right[out] = predicted == labels
    runner.seen |= out
    if wanted == runner.configuration:
        loss = scores.loss_of(model, course.rows[out], labels)
        precision = scores.precision_of(predicted, labels, int(course.labels.max()))
        runner.folds[fold] = (loss, precision)
    runner.operations = family.operations(model, course.rows.shape[1])
    runner.probable = scores.has_probabilities(model)


def _trial(runner: _Runner) -> Trial:
    ran = [runner.folds[fold] for fold in sorted(runner.folds)]
    return Trial(
        number=runner.number,
        configuration=runner.configuration,
        seen=runner.seen,
        right=runner.right,
        losses=tuple(loss for loss, _ in ran),
        precisions=tuple(precision for _, precision in ran),
        operations=runner.operations,
        probable=runner.probable,
    )
