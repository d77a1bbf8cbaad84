"""Choice among configurations and families by cross-validation, with an honest estimate.

The best of several cross-validated scores is too good by chance. BBC-CV (Tsamardinos, Greasidou,
Borboudakis: "Bootstrapping the out-of-sample predictions for efficient and accurate
cross-validation", Machine Learning 2018) corrects that without further fits: it draws rows,
takes the configuration that is best on them, and scores it on the rows that were not drawn. After
a race only rows of folds on which nobody was sent home are scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from executors.training import racing, scores
from executors.training.families import Configuration, Family
from executors.training.racing import Course, Report, Rules, Trial

_DRAWS = 500
_LOSS_TIE = 1.02
"""Of trials that are equally often right, one whose loss is more than 2 % higher is no equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The best trial of a family with the honest estimate of its quality and that one's spread."""

    best: Trial
    trials: Sequence[Trial]
    quality: float
    quality_std: float
    loss_first: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The family that was chosen, with the outcome of each.

    quality, quality_std: honest for the choice among all of them. tied: families whose best was as
    good as the chosen one, which is the cheapest of them to serve.
    """

    family: str
    outcomes: Mapping[str, Outcome]
    quality: float
    quality_std: float
    tied: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """The outcome of the chosen family."""
        return self.outcomes[self.family]


def search(
    family: Family,
    configurations: Sequence[Configuration],
    course: Course,
    *,
    rules: Rules | None = None,
    report: Report = lambda *_: None,
) -> Outcome:
    """Race configurations of one family; `report` is told trial, fold, loss and precision."""
    rules = rules or Rules()
    trials = racing.race(family, configurations, course, rules=rules, report=report)
    best = best_of(trials)[0]
    quality, spread = _estimate(trials, course, rules)
    first = scores.baseline_loss(best_has_probabilities=best.probable, labels=course.labels)
    return Outcome(best=best, trials=trials, quality=quality, quality_std=spread, loss_first=first)


def choose(
    families: Mapping[str, Family],
    configurations: Mapping[str, Sequence[Configuration]],
    course: Course,
    *,
    rules: Rules | None = None,
) -> Choice:
    """Race the configurations of every family and choose among the families' best.

    All are judged on the same folds. Of equally good ones the cheapest to serve is chosen.
    """
    outcomes = {
        name: search(family, configurations[name], course, rules=rules)
        for name, family in families.items()
    }
    return choice_of(outcomes, course, rules=rules or Rules())


def choice_of(outcomes: Mapping[str, Outcome], course: Course, *, rules: Rules) -> Choice:
    """Return the choice among families that were raced on the same course."""
    equals = best_of([outcome.best for outcome in outcomes.values()])
    names = [
        name for trial in equals for name, outcome in outcomes.items() if outcome.best is trial
    ]
    every = [trial for outcome in outcomes.values() for trial in outcome.trials]
    quality, spread = _estimate(every, course, rules)
    return Choice(
        family=names[0],
        outcomes=outcomes,
        quality=quality,
        quality_std=spread,
        tied=tuple(sorted(names)),
    )


def best_of(trials: Sequence[Trial]) -> list[Trial]:
    """Return the finished trials that are as good as the best one, the one to take first.

    Those are equals that are right on as many rows, with about the same loss where losses can be
    compared. The first of them is the cheapest to serve.
    """
    finished = [trial for trial in trials if trial.finished]
    highest = max(trial.score for trial in finished)
    equals = [trial for trial in finished if trial.score == highest]
    for probable in (True, False):
        losses = [trial.loss for trial in equals if trial.probable == probable]
        bound = _LOSS_TIE * min(losses, default=0.0)
        equals = [t for t in equals if t.probable != probable or t.loss <= bound]
    return sorted(equals, key=lambda trial: (trial.operations, trial.number))


def _estimate(trials: Sequence[Trial], course: Course, rules: Rules) -> tuple[float, float]:
    finished = [trial for trial in trials if trial.finished]
    raced = len(finished) < len(trials)
    judged = np.isin(course.folds, rules.judging if raced else range(racing.FOLDS))
    return honest([trial.right for trial in finished], seed=course.seed, judged=judged)


def assign_folds(
    labels: NDArray[np.int64], *, seed: int, count: int = racing.FOLDS
) -> NDArray[np.int64]:
    """Return the fold of each row: every class spread evenly, drawn by seed."""
    generator = np.random.default_rng([seed, 1])
    folds = np.empty(len(labels), dtype=np.int64)
    offset = 0
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        folds[members] = (np.arange(len(members)) + offset) % count
        offset += len(members)
    return folds


def honest(
    right: Sequence[NDArray[np.bool_]], *, seed: int, judged: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Return mean and spread of the winner's score on rows that did not choose it (BBC-CV).

    right: of each candidate, by row. judged: rows that may be scored; all without it.
    """
    table = np.vstack(right).astype(np.float64)
    generator = np.random.default_rng([seed, 2])
    count = table.shape[1]
    found: list[float] = []
    for _ in range(_DRAWS):
        drawn = generator.integers(0, count, size=count)
        left = np.ones(count, dtype=np.bool_) if judged is None else judged.copy()
        left[drawn] = False
        winner = int(np.argmax(table[:, drawn].mean(axis=1)))
        if left.any():
            found.append(float(table[winner, left].mean()))
    return float(np.mean(found)), float(np.std(found))
