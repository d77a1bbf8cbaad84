"""GPU memory and GPU use of a training, from its shape alone, with a bound that holds.

Memory is a line on the analytic terms plus trees on what the line leaves; use of the GPU is
boosting of its logarithm, by absolute error, since a person reads the error in percent. Both
bounds are split conformal with held-out errors of all folds (cross-conformal, Vovk, 2015), as a
share of the forecast; measured trainings that come later move them (`update`), and a new fit
brings them into the trees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor

from engine.model.errors import InvalidInputError
from forecasting.profiles import ranges
from forecasting.profiles.shapes import MEMORY_TERMS, TrainingShape, Vector, terms

_FOLDS = 5
_TREES = 150
_BOOSTERS = ((0.06, 300, 31, 1.0), (0.06, 300, 12, 0.4), (0.05, 600, 8, 0.3))
"""Learning rate, iterations, leaves and share of columns; their mean is taken."""
_LEAST_IN_LEAF = 10
_FEWEST = 30
_NEAR = 200
"""Held-out errors of so many trainings with forecasts nearest to this one speak for it."""
_UNDER_COST = 4.0
"""A class too low fails and runs again; one too high wastes the rest of a class."""
_LEAST_PERCENT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """A measured training: peak of GPU memory in MiB, mean use of the GPU in percent."""

    shape: TrainingShape
    gpu_memory_mib: float
    gpu_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProfile:
    """What a training needs: memory as expected and the bound at 95 %, use in percent."""

    gpu_memory_mib: float
    gpu_memory_mib_p95: float
    gpu_percent: float


class TrainingProfiler:
    """Profiles trainings from measured ones.

    Args:
        runs: At least 30 measured trainings.
        seed: Of folds and trees.

    Raises:
        InvalidInputError: A run is out of range, or there are too few.
    """

    def __init__(self, runs: Sequence[TrainingRun], *, seed: int) -> None:
        faults = ranges.too_few(len(runs), _FEWEST, "measured trainings")
        for place, run in enumerate(runs):
            faults += ranges.gpu_memory_mib(run.gpu_memory_mib, place)
            faults += ranges.percent(run.gpu_percent, place)
        if faults:
            raise InvalidInputError("measured trainings", faults)
        self._words = sorted({word for run in runs for word in _words(run.shape)})
        known = self._features([run.shape for run in runs])
        memory = np.array([run.gpu_memory_mib for run in runs])
        percent = np.array([run.gpu_percent for run in runs])
        folds = np.random.default_rng(seed).permutation(len(runs)) % _FOLDS
        held_out = np.empty(len(runs))
        for fold in range(_FOLDS):
            learn = folds != fold
            model = _Memory(known[learn], memory[learn], seed=seed)
            held_out[~learn] = model.predict(known[~learn])
        self._memory = _Memory(known, memory, seed=seed)
        self._use = _Use(known, percent, seed=seed)
        order = np.argsort(held_out, kind="stable")
        self._expected = held_out[order]
        self._ratios = memory[order] / held_out[order]

    def profile(self, shapes: Sequence[TrainingShape]) -> list[TrainingProfile]:
        """Return what each training is expected to need."""
        known = self._features(shapes)
        memory = self._memory.predict(known)
        bound = memory * self._bound(0.95)
        percent = self._use.predict(known)
        return [
            TrainingProfile(
                gpu_memory_mib=float(m),
                gpu_memory_mib_p95=float(max(b, m)),
                gpu_percent=float(min(max(p, 0.0), 100.0)),
            )
            for m, b, p in zip(memory, bound, percent, strict=True)
        ]

    def memory_class(self, profile: TrainingProfile, *, class_mib: float) -> int:
        """Return the class of memory to ask for: class c holds [c, c + 1) times `class_mib`.

        It costs least in expectation over the held-out errors of the nearest forecasts.
        """
        place = int(np.searchsorted(self._expected, profile.gpu_memory_mib))
        start = min(max(place - _NEAR // 2, 0), max(len(self._ratios) - _NEAR, 0))
        likely = profile.gpu_memory_mib * self._ratios[start : start + _NEAR]
        needed = np.floor(likely / class_mib)
        choices = np.unique(needed)
        over = (needed[None, :] < choices[:, None]).mean(axis=1)
        under = (needed[None, :] > choices[:, None]).mean(axis=1)
        return int(choices[np.argmin(over + _UNDER_COST * under)])

    def update(self, run: TrainingRun) -> None:
        """Learn from a measured training: the bound moves at once, the trees at the next fit."""
        expected = self.profile([run.shape])[0].gpu_memory_mib
        place = int(np.searchsorted(self._expected, expected))
        self._expected = np.insert(self._expected, place, expected)
        self._ratios = np.insert(self._ratios, place, run.gpu_memory_mib / expected)

    def _bound(self, level: float) -> float:
        """Return by what to multiply a forecast to cover with probability `level`."""
        ordered = np.sort(self._ratios)
        rank = min(math.ceil((len(ordered) + 1) * level), len(ordered))
        return float(ordered[rank - 1])

    def _features(self, shapes: Sequence[TrainingShape]) -> Vector:
        """Return the terms with one column for each word, 1 where the training has it."""
        said = [set(_words(shape)) for shape in shapes]
        has = [[float(word in words) for word in self._words] for words in said]
        return np.hstack([terms(shapes), np.array(has, dtype=np.float64)])


def _words(shape: TrainingShape) -> tuple[str, str]:
    """Return what is said of a training in words, told apart by their place."""
    return (f"activation {shape.activation}", f"architecture {shape.architecture}")


class _Memory:
    """A line on the analytic terms, and trees on what it leaves."""

    def __init__(self, known: Vector, memory: Vector, *, seed: int) -> None:
        self._weights = np.linalg.lstsq(_design(known), memory, rcond=None)[0]
        line = _design(known) @ self._weights
        self._trees = ExtraTreesRegressor(n_estimators=_TREES, max_features=0.5, random_state=seed)
        self._trees.fit(np.column_stack([known, line]), memory - line)
        self._least = float(memory.min()) / 2.0

    def predict(self, known: Vector) -> Vector:
        """Return MiB for each row."""
        line = _design(known) @ self._weights
        left = self._trees.predict(np.column_stack([known, line]))
        return np.maximum(np.asarray(line + left, dtype=np.float64), self._least)


class _Use:
    """The logarithm of use by the mean of several boostings."""

    def __init__(self, known: Vector, percent: Vector, *, seed: int) -> None:
        target = np.log(np.maximum(percent, _LEAST_PERCENT))
        self._boosters = [
            HistGradientBoostingRegressor(
                loss="absolute_error", random_state=seed, early_stopping=False
            )
            .set_params(
                learning_rate=rate,
                max_iter=iterations,
                max_leaf_nodes=leaves,
                max_features=columns,
                min_samples_leaf=_LEAST_IN_LEAF,
            )
            .fit(known, target)
            for rate, iterations, leaves, columns in _BOOSTERS
        ]

    def predict(self, known: Vector) -> Vector:
        """Return percent for each row."""
        logs = np.mean([booster.predict(known) for booster in self._boosters], axis=0)
        return np.asarray(np.exp(logs), dtype=np.float64)


def _design(known: Vector) -> Vector:
    """Return the columns of the line: one, and the terms of memory."""
    return np.column_stack([np.ones(len(known)), known[:, :MEMORY_TERMS]])
