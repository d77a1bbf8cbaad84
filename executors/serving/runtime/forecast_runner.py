"""ARIMA models of statsmodels, kept as what they are made of: order, parameters, their series.

The library's own format is pickle. Rebuilding the model and smoothing with known parameters gives
the same forecasts without executing a file.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from statsmodels.tsa.arima.model import ARIMA

from engine.model.errors import DamagedError
from executors.serving.runtime.runners import TensorSpec
from executors.serving.runtime.tensors import Array

STEPS = "steps"
NAMES = ("mean", "lower", "upper")
STEPS_MAX = 10_000
_ALPHA = 0.05
_ARRAYS = b"PK\x03\x04"
"""Begins the arrays of numpy as which `save_model` keeps a model; without, it is JSON."""
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    RecursionError,
    zipfile.BadZipFile,
)


class ForecastRunner:
    """Forecasts `steps` steps: `mean`, `lower` and `upper` (95 % interval), each [steps]."""

    platform = "statsmodels_arima"
    stackable = False
    inputs = (TensorSpec(name=STEPS, datatype="INT64", shape=(1,)),)
    outputs = tuple(TensorSpec(name=name, datatype="FP64", shape=(-1,)) for name in NAMES)

    def __init__(self, source: Path | bytes) -> None:
        """Rebuild the model.

        Raises:
            DamagedError: when the source does not hold one.
        """
        self._path: list[Array] = [np.zeros(0)] * len(NAMES)
        try:
            document = _document(source if isinstance(source, bytes) else source.read_bytes())
            model = ARIMA(
                np.array(document["series"], dtype=float),
                order=tuple(document["order"]),
                seasonal_order=tuple(document.get("seasonal_order", (0, 0, 0, 0))),
                trend=document.get("trend"),
            )
            self._results: Any = model.smooth(np.array(document["parameters"], dtype=float))
        except _UNREADABLE as error:
            name = "the file" if isinstance(source, bytes) else source.name
            message = f"{name} is no ARIMA model: {error!r}"
            raise DamagedError(message, fix="write it with `save_arima`") from error

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return mean, lower and upper bounds.

        Raises:
            ValueError: when the number of steps is none.
        """
        return [column[: int(inputs[0][0])].copy() for column in self._until(inputs[0])]

    def at(self, steps: Array) -> Sequence[Array]:
        """Return mean, lower and upper bounds at each of some steps ahead, 1 the next.

        Raises:
            ValueError: when one is no whole number of 1 to 10,000.
        """
        places = steps.astype(np.int64)
        if not np.array_equal(places, steps):
            raise ValueError(f"{STEPS!r} holds a value that is no whole number")
        return [column[places - 1] for column in self._until(places)]

    def _until(self, steps: Array) -> Sequence[Array]:
        """Return the forecast as far as the furthest of some steps; what was computed is kept."""
        first, last = int(steps.min()), int(steps.max())
        if not 1 <= first <= last <= STEPS_MAX:
            raise ValueError(f"{STEPS!r} is {first} to {last}, expected 1 to {STEPS_MAX}")
        if last > len(self._path[0]):
            found = self._results.get_forecast(last)
            bounds = np.asarray(found.conf_int(alpha=_ALPHA))
            self._path = [np.asarray(found.predicted_mean), bounds[:, 0], bounds[:, 1]]
        return self._path


def _document(data: bytes) -> Mapping[str, Any]:
    """Return what a model is made of, from JSON or from arrays of numpy; nothing is unpickled."""
    if not data.startswith(_ARRAYS):
        found: Mapping[str, Any] = json.loads(data)
        return found
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return {
            "order": [int(value) for value in stored["order"]],
            "seasonal_order": [int(value) for value in stored["seasonal_order"]],
            "trend": str(stored["trend"]) or None,
            "series": stored["endog"],
            "parameters": stored["params"],
        }


def save_arima(results: Any, path: Path) -> None:  # noqa: ANN401 - statsmodels has no types
    """Write a fitted ARIMA model to `model.arima.json`."""
    specification = results.model._spec_arima  # noqa: SLF001 - the only place of the trend
    document = {
        "order": list(specification.order),
        "seasonal_order": list(specification.seasonal_order),
        "trend": results.model.trend,
        "series": np.asarray(results.model.data.orig_endog, dtype=float).ravel().tolist(),
        "parameters": np.asarray(results.params, dtype=float).tolist(),
    }
    path.write_text(json.dumps(document), encoding="utf-8")
