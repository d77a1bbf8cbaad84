"""How long a run will take: trees over its attributes and recent runs, blended with those runs.

Gradient boosting learns the median from what was known at submission, as the mean of several models
that see some of the columns each; the mean of the last runs of equal attributes is kept beside it,
and what each did lately on the loss that matters sets their weights. A second model says how wide
the errors are, learned from runs that the first had not seen; quantiles of recent errors in that
width (`calibration`) make the forecast, so that its coverage is repaired when it drifts. `update`
takes microseconds; `refit` takes seconds and is due when a quarter more runs have ended than the
trees know.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from engine.model.profiles import Quantiles
from forecasting.conformal import rising
from forecasting.profiles.calibration import GroupedErrors
from forecasting.profiles.frozen import FrozenDurations, MeanLog, group_name
from forecasting.profiles.rowtrees import Nodes, RowTrees
from forecasting.profiles.runlog import (
    LEAST_SECONDS,
    Recent,
    RunLog,
    Submission,
    Vector,
    log_seconds,
)

_FEWEST = 100
_MOST_ROWS = 40_000
_GROWTH = 1.25
_EARLIER = 0.7
"""Share of the runs that teach the first model; later ones tell the width of its errors."""
_LEAST_WIDTH = 0.03
_LATELY = 1_000
_CHOOSE_EVERY = 100
_MANY_ROWS = 4_000
_FEW_COLUMNS, _MANY_COLUMNS = (1.0, 0.5), (0.3, 0.15)
"""Shares of the columns that a split chooses from, for a pair of models each: by few and by more
than so many runs. Few runs make few splits, and each has to see what matters."""
_FEW_LEAF, _MANY_LEAF = 20, 40
_WEIGHTS = np.linspace(0.0, 1.0, 11)
_FIRST_WEIGHT = 0.8
_PRIOR_OFFSETS = (0.0, 0.5, 0.8, 1.2, 2.0)
"""Before there is any error to learn from: as wide as presets are wrong."""


class DurationLoss(StrEnum):
    """What an error of the median costs: its seconds, or its ratio."""

    SECONDS = "seconds"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class _Told:
    """What was forecast for a run that is going."""

    row: Vector
    members: tuple[float, float]
    median: float
    width: float
    offsets: tuple[float, ...] | None
    group: Hashable


class DurationForecaster:
    """Forecasts durations online.

    Args:
        numbers: Attributes that are numbers.
        groupings: Names of attributes of each grouping, from fine to coarse; () is any run.
        loss: What an error of the median costs.
        default_seconds: Median before any run has ended.
        seed: Of the trees.
        counts_going: Whether runs that are going count, as in `RunLog`.
    """

    def __init__(
        self,
        *,
        numbers: Sequence[str],
        groupings: Sequence[Sequence[str]],
        loss: DurationLoss,
        default_seconds: float,
        seed: int,
        counts_going: bool = True,
    ) -> None:
        self._log = RunLog(numbers=numbers, groupings=groupings, counts_going=counts_going)
        self._watched = tuple(groupings[-2]) if len(groupings) > 1 else ()
        self._loss = loss
        self._default = log_seconds(default_seconds)
        self._seed = seed
        self._going: dict[str, _Told] = {}
        self._rows: list[Vector] = []
        self._targets: list[float] = []
        self._recents: list[float] = []
        self._groups: list[Hashable] = []
        self._trees: _Medians | None = None
        self._widths: RowTrees | None = None
        self._fitted = 0
        self._errors = GroupedErrors()
        self._lately: deque[tuple[float, float, float]] = deque(maxlen=_LATELY)
        self._weight = _FIRST_WEIGHT
        self._since_choice = 0

    def predict(self, run: Submission) -> Quantiles:
        """Return the quantiles of a run's duration in seconds, and remember that it is going."""
        row, recent = self._log.submit(run)
        members = self._members(row, recent)
        median = self._weight * members[0] + (1.0 - self._weight) * members[1]
        width = self._width(row)
        group = tuple(run.attributes.get(name) for name in self._watched)
        offsets = self._errors.offsets(group)
        self._going[run.name] = _Told(row, members, median, width, offsets, group)
        spread = _PRIOR_OFFSETS if offsets is None else tuple(width * o for o in offsets)
        return rising([math.exp(min(median + offset, 50.0)) for offset in spread])

    def update(self, name: str, seconds: float) -> None:
        """Learn what a run took.

        Raises:
            FinalError: No run of this name is going.
            InvalidInputError: The duration is negative, missing or beyond what can be.
        """
        self._log.finish(name, seconds)
        told = self._going.pop(name)
        actual = log_seconds(seconds)
        self._errors.add(told.group, (actual - told.median) / told.width, told.offsets)
        self._lately.append((*told.members, actual))
        self._rows.append(told.row)
        self._targets.append(actual)
        self._recents.append(told.members[1])
        self._groups.append(told.group)
        self._since_choice += 1
        if self._since_choice >= _CHOOSE_EVERY and self._trees is not None:
            self._weight = self._best_weight()
            self._since_choice = 0

    @property
    def refit_due(self) -> bool:
        """Whether a quarter more runs have ended than the trees know."""
        return len(self._targets) >= max(_FEWEST, _GROWTH * self._fitted)

    def refit(self) -> None:
        """Fit the trees to all runs that have ended; does nothing while there are few."""
        if len(self._targets) < _FEWEST:
            return
        known = np.array(self._rows[-_MOST_ROWS:])
        target = np.array(self._targets[-_MOST_ROWS:])
        split = int(_EARLIER * len(target))
        told = self._medians(known[:split], target[:split]).predict_all(known[split:])
        left = np.abs(target[split:] - told)
        widths = self._width_model().fit(_with_values(known[split:]), np.log(left + _LEAST_WIDTH))
        if self._trees is None:
            expected = np.exp(widths.predict(known[split:]))
            self._start_from(told, expected, target[split:])
        self._widths = RowTrees.of(widths)
        self._trees = self._medians(known, target)
        self._fitted = len(self._targets)

    def coverage(self) -> dict[Hashable, tuple[float, ...]]:
        """Return the share that each quantile covered, by group."""
        return self._errors.coverage()

    def frozen(self) -> FrozenDurations | None:
        """Return what the forecaster knows as plain numbers; None before it was fitted."""
        overall = self._errors.offsets(None)
        if self._trees is None or self._widths is None or overall is None:
            return None
        groups = {group: self._errors.offsets(group) for group in self._errors.coverage()}
        return FrozenDurations(
            medians=self._trees.nodes,
            second_is_seconds=self._loss is DurationLoss.SECONDS,
            widths=self._widths.nodes,
            weight=self._weight,
            default_log=self._default,
            offsets=overall,
            group_offsets={
                group_name(group): offsets
                for group, offsets in groups.items()
                if offsets is not None and offsets != overall
            },
        )

    def _start_from(self, told: Vector, widths: Vector, actual: Vector) -> None:
        """Take weight and errors from runs that the first trees had not seen."""
        recents = self._recents[-len(actual) :]
        self._lately = deque(zip(told, recents, actual, strict=True), maxlen=_LATELY)
        self._weight = self._best_weight()
        self._errors = GroupedErrors()
        median = self._weight * told + (1.0 - self._weight) * np.array(recents)
        groups = self._groups[-len(actual) :]
        for group, error in zip(groups, (actual - median) / widths, strict=True):
            self._errors.add(group, float(error), None)

    def _members(self, row: Vector, recent: Recent | None) -> tuple[float, float]:
        """Return the logarithm that trees say, and that of recent runs."""
        lately = self._default if recent is None else self._of_recent(recent)
        if self._trees is None:
            return (lately, lately)
        return (self._trees.predict(row), lately)

    def _of_recent(self, recent: Recent) -> float:
        """Return the logarithm of the mean that suits the loss."""
        seconds = recent.last_five if self._loss is DurationLoss.SECONDS else recent.last_two
        return log_seconds(seconds)

    def _width(self, row: Vector) -> float:
        """Return how wide the errors are expected to be."""
        if self._widths is None:
            return 1.0
        return math.exp(self._widths.predict(row))

    def _best_weight(self) -> float:
        """Return the weight of the trees that would have cost least lately."""
        trees, recent, actual = np.array(self._lately).T
        mixed = _WEIGHTS[:, None] * trees + (1.0 - _WEIGHTS[:, None]) * recent
        if self._loss is DurationLoss.SECONDS:
            losses = np.abs(np.exp(mixed) - np.exp(actual)).mean(axis=1)
        else:
            losses = np.abs(mixed - actual).mean(axis=1)
        return float(_WEIGHTS[int(np.argmin(losses))])

    def _medians(self, known: Vector, target: Vector) -> _Medians:
        """Return pairs of models of the median: of the logarithm, and of what the loss counts."""
        seconds = self._loss is DurationLoss.SECONDS
        targets = (target, np.exp(target) if seconds else target)
        rows = _with_values(known)
        many = len(known) > _MANY_ROWS
        shares = _MANY_COLUMNS if many else _FEW_COLUMNS
        models = [
            HistGradientBoostingRegressor(loss="absolute_error", random_state=self._seed + place)
            .set_params(
                early_stopping=False,
                learning_rate=0.06,
                max_iter=200,
                max_leaf_nodes=32,
                min_samples_leaf=_MANY_LEAF if many else _FEW_LEAF,
                max_features=columns,
            )
            .fit(rows, values)
            for place, (values, columns) in enumerate(product(targets, shares))
        ]
        return _Medians(models, second_is_seconds=seconds)

    def _width_model(self) -> HistGradientBoostingRegressor:
        """Return a model of the errors' size."""
        return HistGradientBoostingRegressor(random_state=self._seed).set_params(
            early_stopping=False,
            learning_rate=0.06,
            max_iter=60,
            max_leaf_nodes=12,
            min_samples_leaf=60,
        )


def _with_values(known: Vector) -> Vector:
    """Return rows in which a column that nobody knows is 0: bins need a value."""
    return np.where(np.isnan(known).all(axis=0), 0.0, known)


class _Medians:
    """Boosted medians and the mean of the logarithms that they say.

    The second half of the models may say seconds.
    """

    def __init__(
        self, models: Sequence[HistGradientBoostingRegressor], *, second_is_seconds: bool
    ) -> None:
        self._models = tuple(models)
        self._rows = MeanLog(
            [RowTrees.of(model) for model in models], second_is_seconds=second_is_seconds
        )
        self._second_is_seconds = second_is_seconds

    @property
    def nodes(self) -> tuple[Nodes, ...]:
        """The trees of all."""
        return self._rows.nodes

    def predict(self, row: Vector) -> float:
        """Return the logarithm for one row."""
        return self._rows.predict(row)

    def predict_all(self, known: Vector) -> Vector:
        """Return the logarithm for each row."""
        told = np.array([model.predict(known) for model in self._models], dtype=np.float64)
        if self._second_is_seconds:
            half = len(told) // 2
            told[half:] = np.log(np.maximum(told[half:], LEAST_SECONDS))
        return np.asarray(told.mean(axis=0), dtype=np.float64)
