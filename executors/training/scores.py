"""How good a classifier is on rows it was not fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from executors.training.families import Classifier


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


def has_probabilities(model: object) -> bool:
    """Whether a model says how likely each class is; its loss is then the Brier loss."""
    return hasattr(model, "predict_proba")
