"""Families of classifiers: where each is, its space of configurations, what it costs to serve."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Mapping, Sequence
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


Grid = Mapping[str, Sequence[str | int | float]]
_THIN_TREES_MIN = 10
_LONG_STEP = 0.6
"""Longest step of boosting that still comes to the same place."""

_KNN_GRID: Sequence[Grid] = ({"n_neighbors": range(3, 32, 2), "weights": ["uniform", "distance"]},)
_TREE_GRID: Sequence[Grid] = (
    {
        "max_depth": [2, 3, 4, 5, 6, 8],
        "min_samples_leaf": [1, 5, 10, 20],
        "criterion": ["gini", "entropy"],
    },
)
_FOREST_GRID: Sequence[Grid] = (
    {
        "n_estimators": [60],
        "max_depth": [3, 5, 8, 12],
        "min_samples_leaf": [1, 2, 4, 8],
        "max_features": ["sqrt", 0.5],
    },
)
_SVM_GRID: Sequence[Grid] = (
    {"C": [0.1, 0.3, 1, 3, 10, 30], "gamma": [0.003, 0.01, 0.03, 0.1, 0.3]},
    {"C": [0.1, 0.3, 1, 3, 10, 30], "kernel": ["linear"]},
)
_BOOSTING_GRID: Sequence[Grid] = (
    {
        "n_estimators": [40, 80, 120],
        "learning_rate": [0.03, 0.1, 0.3],
        "max_depth": [1, 2, 3],
        "subsample": [0.8],
    },
)
_LOGISTIC_GRID: Sequence[Grid] = (
    {"C": [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100], "max_iter": [1000]},
)


class Family:
    """A kind of classifier.

    home: module and class; first: the configuration tried first; draw: draws the others; grid: a
        space of its own to try whole.
    trees: whether it is made of decision trees, which draw themselves and need no scaling;
        scaled in 32 bits, a value right at a split would fall to the other side.
    """

    def __init__(
        self, home: str, first: Configuration, draw: Draw, grid: Sequence[Grid], *, trees: bool
    ) -> None:
        self._module, _, self._name = home.rpartition(".")
        self._first = first
        self._draw = draw
        self._grid = grid
        self._trees = trees

    def configurations(self, count: int, seed: int) -> list[Configuration]:
        """Return the configurations to try, the usual one first."""
        generator = np.random.default_rng(seed)
        return [self._first, *(self._draw(generator) for _ in range(count - 1))]

    def grid(self) -> list[Configuration]:
        """Return every configuration of the grid."""
        return [
            dict(zip(part, values, strict=True))
            for part in self._grid
            for values in itertools.product(*part.values())
        ]

    def thinned(self, configuration: Configuration) -> Configuration:
        """Return a configuration that ranks like this one at a part of the cost, where there is.

        A mean over a third of the trees is the same mean with more noise. Boosting comes to about
        the same place with half the steps, each twice as long. Other families have no such form.
        """
        trees = int(configuration.get("n_estimators", 0))
        if self._name.startswith("RandomForest") and trees:
            return {**configuration, "n_estimators": max(trees // 3, _THIN_TREES_MIN)}
        rate = float(configuration.get("learning_rate", 1.0))
        if self._name.startswith("GradientBoosting") and rate <= _LONG_STEP / 2:
            return {**configuration, "n_estimators": trees // 2, "learning_rate": 2 * rate}
        return configuration

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

    @staticmethod
    def operations(model: Classifier, columns: int) -> float:
        """Return about how many operations one prediction takes, counted from a fitted model.

        Counted, not timed, so that a choice that rests on it is the same on every machine.
        """
        last: Any = cast("Any", model).steps[-1][1]
        if hasattr(last, "n_samples_fit_"):  # nearest neighbours: a distance to every row
            return float(last.n_samples_fit_ * columns)
        if hasattr(last, "support_vectors_"):
            kernel = 1 if last.kernel == "linear" else len(last.support_vectors_)
            return float(kernel * columns)
        if hasattr(last, "estimators_"):
            return float(sum(tree.get_depth() for tree in np.ravel(last.estimators_)))
        if hasattr(last, "get_depth"):
            return float(last.get_depth())
        return float(np.size(getattr(last, "coef_", np.zeros(columns))))


FAMILIES: Mapping[str, Family] = {
    "knn": Family(
        "sklearn.neighbors.KNeighborsClassifier", {"n_neighbors": 15}, _knn, _KNN_GRID, trees=False
    ),
    "tree": Family(
        "sklearn.tree.DecisionTreeClassifier", {"max_depth": 4}, _tree, _TREE_GRID, trees=True
    ),
    "forest": Family(
        "sklearn.ensemble.RandomForestClassifier",
        {"n_estimators": 60, "min_samples_leaf": 2},
        _forest,
        _FOREST_GRID,
        trees=True,
    ),
    "svm": Family("sklearn.svm.SVC", {"C": 1.0}, _svm, _SVM_GRID, trees=False),
    "boosting": Family(
        "sklearn.ensemble.GradientBoostingClassifier",
        {"n_estimators": 60, "max_depth": 2, "subsample": 0.8},
        _boosting,
        _BOOSTING_GRID,
        trees=True,
    ),
    "logistic": Family(
        "sklearn.linear_model.LogisticRegression",
        {"max_iter": 1000},
        _logistic,
        _LOGISTIC_GRID,
        trees=False,
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
