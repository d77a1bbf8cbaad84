"""An ARIMA forecast of a service metric, with its season, by statsmodels.

Orders (p, d, q) are chosen by Akaike's criterion among a few; a metric with a season has its
seasonal difference and one seasonal moving average, Box and Jenkins' (0, 1, 1). Quality is measured
on the newest steps, on which nothing was chosen, from several origins, against the seasonal naive
forecast (what was a season ago). The model is stored as the `forecast_runner` of serving reads it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from statsmodels.tsa.arima.model import ARIMA

from executors.tasks.context import BadInputError
from executors.training.operations import series
from executors.training.operations.template import Order, Template, Trained, WeightsFormat

STEPS = "steps"
OUTPUTS = ("mean", "lower", "upper")
_ORDERS = ((1, 0, 1), (2, 0, 0), (0, 1, 1))
_HISTORY_SEASONS = 15
_HISTORY_LEAST = 400
_ORIGINS = 4
_SEASON_MOST = 96
_ITERATIONS_MAX = 25
_ALPHA = 0.05
_EXAMPLES = 8
Values = NDArray[np.float64]


def train(order: Order) -> Trained:
    """Choose an order, judge it on the newest steps, fit it to all.

    Settings: `season` (steps, 24), `horizon` (steps, a season), `step` (seconds, that of the data),
    `history` (steps that are fitted), `time` and `value` (columns).

    Raises:
        BadInputError: when the data or a setting are not what it needs.
    """
    metric = series.load(order.source, order.settings)
    step = order.whole("step", 0, least=0, most=86_400 * 366)
    values, seconds = series.regular(metric, float(step) or None)
    season = order.whole("season", 24, most=_SEASON_MOST)
    horizon = order.whole("horizon", max(season, 12), most=10_000)
    history = order.whole("history", max(_HISTORY_SEASONS * season, _HISTORY_LEAST))
    held_out = _ORIGINS * horizon
    least = held_out + 3 * season + 20
    if len(values) < least:
        said = f"{metric.name} has {len(values)} steps of {seconds:g} s, at least {least} are"
        raise BadInputError(f"{said} needed for a season of {season} and a horizon of {horizon}")
    known = values[:-held_out][-history:]
    chosen, parameters, criterion = _choose(known, season)
    candidate = _Candidate(chosen, season, parameters, history)
    errors, naive, inside = _judge(values, horizon, candidate)
    skills = 1.0 - errors / np.maximum(naive, 1e-12)
    fitted = _fit(values[-history:], chosen, season)
    steps = list(range(1, min(horizon, _EXAMPLES) + 1))
    return Trained(
        template=Template.FORECAST,
        format=WeightsFormat.ARIMA,
        weights=json.dumps(document(fitted), allow_nan=False).encode(),
        features=(STEPS,),
        example={"rows": [[step] for step in steps], "outputs": _answers(fitted, steps)},
        quality_name=f"1 - error / error of the seasonal naive forecast, {horizon} steps ahead",
        quality=float(1.0 - errors.mean() / max(float(naive.mean()), 1e-12)),
        quality_std=float(skills.std()),
        baseline_name="seasonal naive",
        baseline=0.0,
        figures={
            "mean_absolute_error": float(errors.mean()),
            "naive_absolute_error": float(naive.mean()),
            "coverage_95": inside,
            "criterion": criterion,
            "step_seconds": seconds,
        },
        data=(order.source,),
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An order with the parameters that earlier steps gave it."""

    order: tuple[int, int, int]
    season: int
    parameters: Values
    history: int

    def known(self, values: Values) -> Any:  # noqa: ANN401 - statsmodels has no types
        """Return the model with its parameters after other values."""
        return _model(values[-self.history :], self.order, self.season).smooth(self.parameters)


def document(fitted: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return a fitted model as data: order, parameters and the series it continues."""
    model = fitted.model
    return {
        "order": [int(n) for n in model._spec_arima.order],  # noqa: SLF001 - no other place has it
        "seasonal_order": [int(n) for n in model._spec_arima.seasonal_order],  # noqa: SLF001
        "trend": model.trend,
        "series": np.asarray(model.data.orig_endog, dtype=float).ravel().tolist(),
        "parameters": np.asarray(fitted.params, dtype=float).tolist(),
    }


def naive_forecast(values: Values, horizon: int, season: int) -> Values:
    """Return what was a season ago, repeated; the last value where there is no season."""
    last = values[-season:]
    return np.asarray(np.resize(last, horizon), dtype=np.float64)


def _model(values: Values, order: tuple[int, int, int], season: int) -> Any:  # noqa: ANN401
    seasonal = (0, 1, 1, season) if season > 1 else (0, 0, 0, 0)
    trend = "n" if season > 1 or order[1] else "c"
    return ARIMA(values, order=order, seasonal_order=seasonal, trend=trend)


def _fit(values: Values, order: tuple[int, int, int], season: int) -> Any:  # noqa: ANN401
    with warnings.catch_warnings():
        # It warns of starting values and of fits that were cut short; AIC judges both.
        warnings.simplefilter("ignore")
        # The innovations algorithm costs a tenth of the filter, whose state has two seasons.
        model = _model(values, order, season)
        options = {"minimize_kwargs": {"options": {"maxiter": _ITERATIONS_MAX}}}
        return model.fit(method="innovations_mle", method_kwargs=options, cov_type="none")


def _choose(values: Values, season: int) -> tuple[tuple[int, int, int], Values, float]:
    """Return the order of the least criterion, its parameters, and the criterion.

    Orders of differencing see another number of values; the criterion is taken a value.

    Raises:
        BadInputError: when no order can be fitted, as to a metric that never changes.
    """
    found: list[tuple[float, tuple[int, int, int], Values]] = []
    for order in _ORDERS:
        try:
            fitted = _fit(values, order, season)
        except (ValueError, np.linalg.LinAlgError):
            continue
        criterion = float(fitted.aic) / max(len(values) - season - order[1], 1)
        if np.isfinite(criterion) and np.isfinite(fitted.params).all():
            found.append((criterion, order, np.asarray(fitted.params, dtype=float)))
    if not found:
        raise BadInputError("no ARIMA model can be fitted to this metric; does it ever change?")
    criterion, order, parameters = min(found, key=lambda each: (each[0], each[1]))
    return order, parameters, criterion


def _judge(values: Values, horizon: int, candidate: _Candidate) -> tuple[Values, Values, float]:
    """Return errors of the model and of the naive one by origin, and the interval's coverage."""
    errors, naive, inside = [], [], []
    for origin in range(len(values) - _ORIGINS * horizon, len(values), horizon):
        past, truth = values[:origin], values[origin : origin + horizon]
        found = candidate.known(past).get_forecast(horizon)
        mean, bounds = np.asarray(found.predicted_mean), np.asarray(found.conf_int(alpha=_ALPHA))
        errors.append(float(np.abs(mean - truth).mean()))
        other = naive_forecast(past, horizon, candidate.season)
        naive.append(float(np.abs(other - truth).mean()))
        inside.append(float(((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean()))
    return np.array(errors), np.array(naive), float(np.mean(inside))


def _answers(fitted: Any, steps: Sequence[int]) -> dict[str, list[float]]:  # noqa: ANN401
    """Return what the model answers to some steps."""
    found = fitted.get_forecast(max(steps))
    bounds = np.asarray(found.conf_int(alpha=_ALPHA))
    columns = (np.asarray(found.predicted_mean), bounds[:, 0], bounds[:, 1])
    places = [step - 1 for step in steps]
    return {n: column[places].tolist() for n, column in zip(OUTPUTS, columns, strict=True)}
