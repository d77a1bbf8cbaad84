"""GPU memory and GPU use of a training, from its shape alone, with a bound that holds.

Memory is a line on the analytic terms plus boosting of what the line leaves; where the replay of
the training (`replay`) is nearer than the line, it is the line, with a constant for the driver's
context. Use of the GPU is boosting of its logarithm, by absolute error, since a person reads the
error in percent. Both bounds are split conformal with held-out errors of all folds
(cross-conformal, Vovk, 2015), as a share of the forecast; measured trainings that come later move
them (`update`), and a new fit brings them into the trees.
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
_MEMORY_BOOSTERS = ((250, 15, 20), (400, 20, 8))
"""Iterations, leaves and fewest trainings in a leaf; their mean is taken."""
_WIDTH_TREES = 60
_LEAST_WIDTH_MIB = 2.0
_USE_BOOSTERS = ((10, 1.0), (5, 0.5), (5, 0.5))
"""Fewest trainings in a leaf and share of columns; their mean is taken."""
_FEWEST = 30
_REPLAYED = MEMORY_TERMS
"""Column of the line in which what the replay takes stands, the last of the terms."""
_UNDER_COST = 8.0
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
    """What a training needs: memory as expected and the bound at 95 %, use in percent.

    width_mib: how far the expected memory is likely to be off.
    """

    gpu_memory_mib: float
    gpu_memory_mib_p95: float
    width_mib: float
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
        self._widths = _Widths(known, held_out, memory, seed=seed)
        self._errors = (memory - held_out) / self._widths.predict(known, held_out)
        self._ratios = memory / held_out

    def profile(self, shapes: Sequence[TrainingShape]) -> list[TrainingProfile]:
        """Return what each training is expected to need."""
        known = self._features(shapes)
        memory = self._memory.predict(known)
        bound = memory * self._bound(0.95)
        percent = self._use.predict(known)
        widths = self._widths.predict(known, memory)
        return [
            TrainingProfile(
                gpu_memory_mib=float(m),
                gpu_memory_mib_p95=float(max(b, m)),
                width_mib=float(w),
                gpu_percent=float(min(max(p, 0.0), 100.0)),
            )
            for m, b, w, p in zip(memory, bound, widths, percent, strict=True)
        ]

    def memory_class(self, profile: TrainingProfile, *, class_mib: float) -> int:
        """Return the class of memory to ask for: class c holds [c, c + 1) times `class_mib`.

        It costs least in expectation over the held-out errors, as wide as they are for a
        training of this shape.
        """
        likely = profile.gpu_memory_mib + profile.width_mib * self._errors
        needed = np.floor(likely / class_mib)
        choices = np.unique(needed)
        over = (needed[None, :] < choices[:, None]).mean(axis=1)
        under = (needed[None, :] > choices[:, None]).mean(axis=1)
        return max(int(choices[np.argmin(over + _UNDER_COST * under)]), 0)

    def update(self, run: TrainingRun) -> None:
        """Learn from a measured training: the bound moves at once, the trees at the next fit."""
        told = self.profile([run.shape])[0]
        error = (run.gpu_memory_mib - told.gpu_memory_mib) / told.width_mib
        self._errors = np.append(self._errors, error)
        self._ratios = np.append(self._ratios, run.gpu_memory_mib / told.gpu_memory_mib)

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
    """A line on the analytic terms, and boosting of what it leaves."""

    def __init__(self, known: Vector, memory: Vector, *, seed: int) -> None:
        self._weights = _nearer(_design(known), memory)
        line = _design(known) @ self._weights
        self._boosters = [
            HistGradientBoostingRegressor(loss="absolute_error", random_state=seed)
            .set_params(
                early_stopping=False,
                learning_rate=0.06,
                max_iter=iterations,
                max_leaf_nodes=leaves,
                min_samples_leaf=least,
                max_features=0.4,
            )
            .fit(np.column_stack([known, line]), memory - line)
            for iterations, leaves, least in _MEMORY_BOOSTERS
        ]
        self._least = float(memory.min()) / 2.0

    def predict(self, known: Vector) -> Vector:
        """Return MiB for each row."""
        line = _design(known) @ self._weights
        rows = np.column_stack([known, line])
        left = np.mean([booster.predict(rows) for booster in self._boosters], axis=0)
        return np.maximum(np.asarray(line + left, dtype=np.float64), self._least)


class _Widths:
    """How far the memory of a training is likely to be off, from held-out errors."""

    def __init__(self, known: Vector, told: Vector, memory: Vector, *, seed: int) -> None:
        self._trees = ExtraTreesRegressor(
            n_estimators=_WIDTH_TREES, min_samples_leaf=8, max_features=0.5, random_state=seed
        )
        errors = np.log(np.abs(memory - told) + _LEAST_WIDTH_MIB)
        self._trees.fit(np.column_stack([known, told]), errors)

    def predict(self, known: Vector, told: Vector) -> Vector:
        """Return MiB for each row."""
        logs = self._trees.predict(np.column_stack([known, told]))
        return np.asarray(np.exp(logs), dtype=np.float64)


class _Use:
    """The logarithm of use by the mean of several boostings."""

    def __init__(self, known: Vector, percent: Vector, *, seed: int) -> None:
        target = np.log(np.maximum(percent, _LEAST_PERCENT))
        self._boosters = [
            HistGradientBoostingRegressor(loss="absolute_error", random_state=seed + place)
            .set_params(
                early_stopping=False,
                learning_rate=0.06,
                max_iter=300,
                max_leaf_nodes=31,
                max_features=columns,
                min_samples_leaf=least,
            )
            .fit(known, target)
            for place, (least, columns) in enumerate(_USE_BOOSTERS)
        ]

    def predict(self, known: Vector) -> Vector:
        """Return percent for each row."""
        logs = np.mean([booster.predict(known) for booster in self._boosters], axis=0)
        return np.asarray(np.exp(logs), dtype=np.float64)


def _nearer(design: Vector, memory: Vector) -> Vector:
    """Return the weights of the line of least squares, or of the replay and a constant.

    Squares follow the few trainings that went otherwise; where nearly all go as replayed, a
    constant that is a median leaves the others exact.
    """
    squares = np.asarray(np.linalg.lstsq(design, memory, rcond=None)[0], dtype=np.float64)
    replayed = np.zeros(design.shape[1])
    replayed[_REPLAYED] = 1.0
    replayed[0] = np.median(memory - design[:, _REPLAYED])
    lines: list[Vector] = [squares, replayed]
    return min(lines, key=lambda weights: float(np.abs(memory - design @ weights).mean()))


def _design(known: Vector) -> Vector:
    """Return the columns of the line: one, and the terms of memory."""
    return np.column_stack([np.ones(len(known)), known[:, :MEMORY_TERMS]])
