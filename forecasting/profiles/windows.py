"""What a service used lately, hour by hour, as features for what it will use in the next hour.

Series stand in a matrix (n services, hours, samples an hour) with NaN for samples that are missing.
Features of hour h look at samples before h only. Everything is stated in units of the service's own
recent use, its base, so that large and small services teach each other.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Index = NDArray[np.int64]

_RECENT_HOURS = 3
_FLOOR = 0.02
"""A base is at least this share of the largest use of any service seen."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Service-hours to decide, m rows.

    features: (m, k) in units of base; base: (m,) what the service used lately; service, hour:
        (m,) where the row comes from.
    """

    features: Vector
    base: Vector
    service: Index
    hour: Index


def in_hours(series: Vector, samples: int) -> Vector:
    """Return (n, t) series as (n, hours, samples); what does not fill an hour is left out."""
    hours = series.shape[1] // samples
    return series[:, : hours * samples].reshape(len(series), hours, samples)


def windows(used: Vector, *, first_hour: int, floor: float) -> Windows:
    """Return the windows of every hour from the first on, where anything is known before it.

    Args:
        used: (n, hours, samples).
        first_hour: At least 1.
        floor: Least base, from `least_base` of the services that are learned from.
    """
    rows: list[Vector] = []
    bases: list[Vector] = []
    services: list[Index] = []
    hours: list[Index] = []
    for hour in range(max(first_hour, 1), used.shape[1]):
        known, base = _at(used, hour, floor)
        there = np.flatnonzero(np.isfinite(used[:, :hour]).any(axis=(1, 2)))
        rows.append(known[there])
        bases.append(base[there])
        services.append(there.astype(np.int64))
        hours.append(np.full(len(there), hour, dtype=np.int64))
    return Windows(
        np.concatenate(rows), np.concatenate(bases), np.concatenate(services), np.concatenate(hours)
    )


def least_base(used: Vector) -> float:
    """Return the least base: a small share of the largest use of all."""
    return max(float(np.nanmax(used)) * _FLOOR, 1e-12)


def _at(used: Vector, hour: int, floor: float) -> tuple[Vector, Vector]:
    """Return features and base of all services at the start of an hour."""
    past = used[:, :hour].reshape(len(used), -1)
    recent = used[:, max(hour - _RECENT_HOURS, 0) : hour].reshape(len(used), -1)
    last = used[:, hour - 1]
    with warnings.catch_warnings():
        # A service without samples in a stretch has no statistics there: NaN is the answer.
        warnings.simplefilter("ignore", RuntimeWarning)
        stretches = (past, recent, last)
        peaks = [np.nanmax(stretch, axis=1) for stretch in stretches]
        levels = [np.nanquantile(s, (0.5, 0.9), axis=1) for s in stretches]
        before = np.nanmean(recent, axis=1)
        spread = np.nanstd(last, axis=1)
        lowest = np.nanmin(past, axis=1)
        tail = np.nanquantile(past, 0.98, axis=1)
        final = np.nanmean(last[:, -3:], axis=1)
        mean = np.nanmean(last, axis=1)
    base = np.fmax(np.fmax(np.where(np.isfinite(peaks[1]), peaks[1], peaks[0]), 0.0), floor)
    values = [*peaks, *(row for level in levels for row in level), before, spread, lowest, tail]
    values += [final, mean, mean - before]
    columns = [value / base for value in values]
    columns += [*_ages(used[:, :hour]), np.log(base / floor)]
    return np.nan_to_num(np.stack(columns, axis=1), nan=-1.0), base


def _ages(past: Vector) -> tuple[Vector, Vector]:
    """Return hours in which services were measured, and for how many their largest use stands."""
    measured = np.isfinite(past)
    peaks = np.where(measured, past, -np.inf).max(axis=2)
    stands = past.shape[1] - 1.0 - peaks.argmax(axis=1)
    return measured.any(axis=2).sum(axis=1).astype(np.float64), stands
