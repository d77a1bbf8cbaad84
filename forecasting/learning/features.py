"""A run as numbers: what was known of it before it began."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from engine.model.specs import Scalar
from forecasting import networks
from forecasting.networks import number
from forecasting.presets import size_of
from forecasting.runs import Vector


def families_of(attributes: Mapping[str, Scalar]) -> tuple[str, ...]:
    """Return the model families that are stated; none where nothing is."""
    stated = str(attributes.get("model", ""))
    return tuple(stated.split("+")) if stated else ()


def row(attributes: Mapping[str, Scalar], families: Sequence[str]) -> Vector:
    """Return (k,) logarithms of sizes, terms of a network, and which of `families` it trains.

    What is not stated is NaN.
    """
    size = size_of(attributes)
    stated = set(families_of(attributes))
    requests = number(attributes, "requests")
    return np.array(
        [
            math.log(size.rows),
            math.log(size.columns),
            math.log(size.trials),
            math.nan if requests is None else math.log1p(requests),
            *map(_log, networks.terms(attributes)),
            *(float(family in stated) for family in families),
        ],
        dtype=np.float64,
    )


def _log(value: float | None) -> float:
    return math.nan if value is None else math.log1p(value)
