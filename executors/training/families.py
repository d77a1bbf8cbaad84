"""Families of classifiers: where each is, and how its configurations are drawn."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from executors.tasks.context import BadInputError

Configuration = Mapping[str, str | int | float]
Draw = Callable[[np.random.Generator], Configuration]


class Classifier(Protocol):
    """What is used of a scikit-learn classifier."""

    classes_: NDArray[np.int64]

    def fit(self, rows: NDArray[np.float64], labels: NDArray[np.int64]) -> Classifier:
        """Learn."""
        ...

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the most likely class of each row."""
        ...


def _between(generator: np.random.Generator, low: float, high: float) -> float:
    """Draw from a logarithmic scale."""
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def _knn(generator: np.random.Generator) -> Configuration:
    return {
        "n_neighbors": int(generator.integers(1, 16)) * 2 + 1,
        "weights": str(generator.choice(["uniform", "distance"])),
    }


def _tree(generator: np.random.Generator) -> Configuration:
    return {
        "max_depth": int(generator.integers(2, 9)),
        "min_samples_leaf": int(generator.integers(1, 21)),
        "criterion": str(generator.choice(["gini", "entropy"])),
    }


def _forest(generator: np.random.Generator) -> Configuration:
    return {
        "n_estimators": 60,
        "max_depth": int(generator.integers(3, 13)),
        "min_samples_leaf": int(generator.integers(1, 9)),
        "max_features": str(generator.choice(["sqrt", "log2"])),
    }


def _svm(generator: np.random.Generator) -> Configuration:
    return {
        "C": _between(generator, 0.05, 50),
        "gamma": _between(generator, 0.003, 0.3),
        "kernel": str(generator.choice(["rbf", "linear"])),
    }


def _boosting(generator: np.random.Generator) -> Configuration:
    return {
        "n_estimators": int(generator.integers(30, 121)),
        "learning_rate": _between(generator, 0.02, 0.3),
        "max_depth": int(generator.integers(1, 4)),
        "subsample": 0.8,
    }


def _logistic(generator: np.random.Generator) -> Configuration:
    return {"C": _between(generator, 0.01, 100), "max_iter": 1000}


class Family:
    """A kind of classifier.

    home: module and class; first: the configuration tried first; draw: draws the others.
    trees: whether it is made of decision trees, which draw themselves and need no scaling;
        scaled in 32 bits, a value right at a split would fall to the other side.
    """

    def __init__(self, home: str, first: Configuration, draw: Draw, *, trees: bool) -> None:
        self._module, _, self._name = home.rpartition(".")
        self._first = first
        self._draw = draw
        self._trees = trees

    def configurations(self, count: int, seed: int) -> list[Configuration]:
        """Return the configurations to try, the usual one first."""
        generator = np.random.default_rng(seed)
        return [self._first, *(self._draw(generator) for _ in range(count - 1))]

    def build(self, configuration: Configuration, seed: int) -> Classifier:
        """Return the classifier behind imputing (median) and, where it helps, scaling."""
        drawn = {"random_state": seed} if self._trees else {}
        model = getattr(importlib.import_module(self._module), self._name)
        pipeline: Any = importlib.import_module("sklearn.pipeline")
        impute: Any = importlib.import_module("sklearn.impute")
        preprocessing: Any = importlib.import_module("sklearn.preprocessing")
        steps = [("impute", impute.SimpleImputer(strategy="median", keep_empty_features=True))]
        if not self._trees:
            steps.append(("scale", preprocessing.StandardScaler()))
        steps.append(("model", model(**configuration, **drawn)))
        return cast("Classifier", pipeline.Pipeline(steps))


FAMILIES: Mapping[str, Family] = {
    "knn": Family("sklearn.neighbors.KNeighborsClassifier", {"n_neighbors": 15}, _knn, trees=False),
    "tree": Family("sklearn.tree.DecisionTreeClassifier", {"max_depth": 4}, _tree, trees=True),
    "forest": Family(
        "sklearn.ensemble.RandomForestClassifier",
        {"n_estimators": 60, "min_samples_leaf": 2},
        _forest,
        trees=True,
    ),
    "svm": Family("sklearn.svm.SVC", {"C": 1.0}, _svm, trees=False),
    "boosting": Family(
        "sklearn.ensemble.GradientBoostingClassifier",
        {"n_estimators": 60, "max_depth": 2, "subsample": 0.8},
        _boosting,
        trees=True,
    ),
    "logistic": Family(
        "sklearn.linear_model.LogisticRegression", {"max_iter": 1000}, _logistic, trees=False
    ),
}


def family(name: str) -> Family:
    """Return a family.

    Raises:
        BadInputError: when there is none of that name.
    """
    if name not in FAMILIES:
        raise BadInputError(f"no model family {name!r}; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]
