"""A boosted model asked for one row at a time, in tens of microseconds, and kept as plain numbers.

scikit-learn checks its input and starts threads for every call, which for a single row costs many
times what walking the trees does. Here all trees are walked side by side, one level a step, over
arrays that are read from the fitted model. A test holds both to the same answer. The arrays can be
written down and read again without the library, and nothing is executed on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

Vector = NDArray[np.float64]

_MOST_LEVELS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The nodes of all trees of a model one after another, and what it says before any tree.

    roots: first node of each tree. The others have an entry a node; a leaf leads to itself, so
    that all trees can take the same number of steps.
    """

    base: float
    roots: tuple[int, ...]
    leaf: tuple[bool, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    missing_left: tuple[bool, ...]
    value: tuple[float, ...]


class RowTrees:
    """Trees of a fitted model of numeric features, as flat arrays of nodes."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self._roots = np.array(nodes.roots, dtype=np.intp)
        self._leaf = np.array(nodes.leaf, dtype=np.bool_)
        self._left = np.array(nodes.left, dtype=np.intp)
        self._right = np.array(nodes.right, dtype=np.intp)
        self._feature = np.array(nodes.feature, dtype=np.intp)
        self._threshold = np.array(nodes.threshold, dtype=np.float64)
        self._missing_left = np.array(nodes.missing_left, dtype=np.bool_)
        self._value = np.array(nodes.value, dtype=np.float64)

    @classmethod
    def of(cls, model: HistGradientBoostingRegressor) -> RowTrees:
        """Return the trees of a fitted model."""
        return cls(nodes_of(model))

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
        return self.nodes.base + float(self._value[at].sum())


def nodes_of(model: HistGradientBoostingRegressor) -> Nodes:
    """Return the nodes of a fitted model."""
    # The nodes have no public name, but have been read like this since version 0.21.
    fitted = vars(model)
    trees = [stage[0].nodes for stage in fitted["_predictors"]]
    starts = np.cumsum([0, *(len(nodes) for nodes in trees[:-1])])
    nodes = np.concatenate(trees)
    shift = np.repeat(starts, [len(tree) for tree in trees])
    leaf = nodes["is_leaf"].astype(np.bool_)
    here = np.arange(len(nodes))
    # A threshold of a split on missing values alone is infinite, which JSON cannot say.
    most = np.finfo(np.float64).max
    thresholds = np.where(leaf, 0.0, np.clip(nodes["num_threshold"], -most, most))
    return Nodes(
        base=float(np.ravel(fitted["_baseline_prediction"])[0]),
        roots=tuple(starts.tolist()),
        leaf=tuple(leaf.tolist()),
        left=tuple(np.where(leaf, here, nodes["left"] + shift).tolist()),
        right=tuple(np.where(leaf, here, nodes["right"] + shift).tolist()),
        feature=tuple(np.where(leaf, 0, nodes["feature_idx"]).tolist()),
        threshold=tuple(thresholds.tolist()),
        missing_left=tuple(nodes["missing_go_to_left"].astype(np.bool_).tolist()),
        value=tuple(nodes["value"].astype(np.float64).tolist()),
    )
