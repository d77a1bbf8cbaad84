"""A boosted model asked for one row at a time, in tens of microseconds.

scikit-learn checks its input and starts threads for every call, which for a single row costs many
times what walking the trees does. Here all trees are walked side by side, one level a step, over
arrays that are read from the fitted model. A test holds both to the same answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

Vector = NDArray[np.float64]

_MOST_LEVELS = 64


class RowTrees:
    """Trees of a fitted model of numeric features, as flat arrays of nodes."""

    def __init__(self, model: HistGradientBoostingRegressor) -> None:
        # The nodes have no public name, but have been read like this since version 0.21.
        fitted = vars(model)
        trees = [stage[0].nodes for stage in fitted["_predictors"]]
        starts = np.cumsum([0, *(len(nodes) for nodes in trees[:-1])])
        nodes = np.concatenate(trees)
        shift = np.repeat(starts, [len(tree) for tree in trees])
        self._roots = starts.astype(np.intp)
        self._leaf = nodes["is_leaf"].astype(bool)
        here = np.arange(len(nodes))
        # A leaf leads to itself, so that all trees can take the same number of steps.
        self._left = np.where(self._leaf, here, nodes["left"] + shift).astype(np.intp)
        self._right = np.where(self._leaf, here, nodes["right"] + shift).astype(np.intp)
        self._feature = np.where(self._leaf, 0, nodes["feature_idx"]).astype(np.intp)
        self._threshold = nodes["num_threshold"].astype(np.float64)
        self._missing_left = nodes["missing_go_to_left"].astype(bool)
        self._value = nodes["value"].astype(np.float64)
        self._base = float(np.ravel(fitted["_baseline_prediction"])[0])

    def predict(self, row: Vector) -> float:
        """Return the forecast of one row; NaN is a missing value."""
        at = self._roots
        for _ in range(_MOST_LEVELS):
            if self._leaf[at].all():
                break
            values = row[self._feature[at]]
            left = values <= self._threshold[at]
            missing = np.isnan(values)
            if missing.any():
                left = np.where(missing, self._missing_left[at], left)
            at = np.where(left, self._left[at], self._right[at])
        return self._base + float(self._value[at].sum())
