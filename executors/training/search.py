"""Tuning by seeded random search with cross-validation, and an honest estimate of the winner.

The best of several cross-validated scores is too good by chance. BBC-CV (Tsamardinos, Greasidou,
Borboudakis: "Bootstrapping the out-of-sample predictions for efficient and accurate
cross-validation", Machine Learning 2018) corrects that without further fits: it draws rows,
takes the configuration that is best on them, and scores it on the rows that were not drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from executors.training.families import Classifier, Configuration, Family

_FOLDS = 5
_DRAWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration on rows it was not fitted on.

    right: by row; losses: mean loss by fold; precisions: of the highest class, by fold.
    """

    configuration: Configuration
    right: NDArray[np.bool_]
    losses: tuple[float, ...]
    precisions: tuple[float, ...]

    @property
    def score(self) -> float:
        """Share of rows classified right."""
        return float(self.right.mean())

    @property
    def loss(self) -> float:
        """Mean loss of the folds."""
        return float(np.mean(self.losses))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The best trial with the honest estimate of its quality and that estimate's spread."""

    best: Trial
    trials: Sequence[Trial]
    quality: float
    quality_std: float
    loss_first: float


def search(
    family: Family,
    rows: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    trials: int,
    seed: int,
    report: Callable[[int, int, float, float], None] = lambda *_: None,
) -> Outcome:
    """Try `trials` configurations; `report` is told trial, fold, loss and precision of each fit."""
    folds = assign_folds(labels, seed=seed)
    done: list[Trial] = []
    for number, configuration in enumerate(family.configurations(trials, seed)):
        trial = _try(family, configuration, rows, labels, folds=folds, seed=seed)
        done.append(trial)
        for fold, (loss, precision) in enumerate(zip(trial.losses, trial.precisions, strict=True)):
            report(number, fold, loss, precision)
    best = max(done, key=lambda trial: trial.score)  # the first of equals
    quality, spread = honest([trial.right for trial in done], seed=seed)
    first = baseline_loss(best_has_probabilities=_has_probabilities(family, best), labels=labels)
    return Outcome(best=best, trials=done, quality=quality, quality_std=spread, loss_first=first)


def assign_folds(labels: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row: every class spread evenly, drawn by seed."""
    generator = np.random.default_rng([seed, 1])
    folds = np.empty(len(labels), dtype=np.int64)
    offset = 0
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        folds[members] = (np.arange(len(members)) + offset) % _FOLDS
        offset += len(members)
    return folds


def honest(right: Sequence[NDArray[np.bool_]], *, seed: int) -> tuple[float, float]:
    """Return mean and spread of the winner's score on rows that did not choose it (BBC-CV)."""
    table = np.vstack(right).astype(np.float64)
    generator = np.random.default_rng([seed, 2])
    count = table.shape[1]
    scores: list[float] = []
    for _ in range(_DRAWS):
        drawn = generator.integers(0, count, size=count)
        left = np.ones(count, dtype=np.bool_)
        left[drawn] = False
        winner = int(np.argmax(table[:, drawn].mean(axis=1)))
        scores.append(float(table[winner, left].mean()))
    return float(np.mean(scores)), float(np.std(scores))


def baseline_loss(*, best_has_probabilities: bool, labels: NDArray[np.int64]) -> float:
    """Return the loss of a model that knows only how frequent each class is."""
    if not best_has_probabilities:
        return 1.0  # the hinge loss of a decision value of 0
    shares = np.unique_counts(labels).counts / len(labels)
    return float(1 - np.sum(shares**2))


def loss_of(model: Classifier, rows: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean Brier loss, or the mean hinge loss of a model without probabilities.

    The Brier loss is the squared distance between the chances of all classes and what came true.
    Unlike the log loss it is bounded, so that one leaf that was too sure does not decide it. The
    hinge loss of several classes is that of Crammer and Singer: how far the right class's
    decision value is from leading the best other one by 1.
    """
    places = np.searchsorted(model.classes_, labels)
    every = np.arange(len(labels))
    by_chance = getattr(model, "predict_proba", None)
    if by_chance is not None:
        chances = np.array(by_chance(rows))
        chances[every, places] -= 1.0
        return float(np.sum(chances**2, axis=1).mean())
    values = np.asarray(getattr(model, "decision_function")(rows))  # noqa: B009 - in scikit-learn one of the two is there
    if values.ndim == 1:
        values = np.column_stack([-values, values]) / 2
    own = values[every, places]
    values[every, places] = -np.inf
    return float(np.maximum(0.0, 1.0 - (own - values.max(axis=1))).mean())


def precision_of(predicted: NDArray[np.int64], labels: NDArray[np.int64], positive: int) -> float:
    """Return the share of rows called `positive` that are; 0 when none was called so."""
    called = predicted == positive
    return float((labels[called] == positive).mean()) if called.any() else 0.0


def _try(
    family: Family,
    configuration: Configuration,
    rows: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    folds: NDArray[np.int64],
    seed: int,
) -> Trial:
    """Fit a configuration once for every fold and judge it on that fold."""
    right = np.zeros(len(labels), dtype=np.bool_)
    losses: list[float] = []
    precisions: list[float] = []
    for fold in range(_FOLDS):
        out = folds == fold
        model = family.build(configuration, seed).fit(rows[~out], labels[~out])
        predicted = model.predict(rows[out])
        right[out] = predicted == labels[out]
        losses.append(loss_of(model, rows[out], labels[out]))
        precisions.append(precision_of(predicted, labels[out], int(labels.max())))
    return Trial(
        configuration=configuration,
        right=right,
        losses=tuple(losses),
        precisions=tuple(precisions),
    )


def _has_probabilities(family: Family, trial: Trial) -> bool:
    return hasattr(family.build(trial.configuration, 0), "predict_proba")
