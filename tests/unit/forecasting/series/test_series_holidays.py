"""Holidays are told apart from other days, before and after they were seen."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from engine.model.capacity import DemandForecast, DemandSeries
from engine.model.profiles import Quantiles
from forecasting.series import holidays

HOUR, DAY = 3_600.0, 24
DAYS = 42


def days(*places: int) -> tuple[tuple[float, float], ...]:
    return tuple((place * DAY * HOUR, (place + 1) * DAY * HOUR) for place in places)


def quiet(*places: int) -> DemandSeries:
    """Six weeks at 100, half of that on some days."""
    values = np.full(DAYS * DAY, 100.0)
    for place in places:
        values[place * DAY : (place + 1) * DAY] = 50.0
    marked = days(*places, DAYS + 1)
    return DemandSeries(
        pool="A", unit="GPUs", starts_at=0.0, values=tuple(values.tolist()), holidays=marked
    )


TOLD = DemandForecast(
    pool="A",
    unit="GPUs",
    starts_at=DAYS * DAY * HOUR,
    hours=(Quantiles.constant(100.0),) * (3 * DAY),
    method="last day",
    mase=1.0,
    coverage={},
)


def test_the_effect_is_drawn_to_none_while_few_were_seen() -> None:
    shares = [holidays.effect(quiet(*places)) for places in ((), (10,), (10, 20, 30))]
    assert shares[0] == 1.0
    assert 1.0 > shares[1] > shares[2] > 0.5


def test_past_holidays_are_lifted_to_other_days() -> None:
    plain = holidays.without(quiet(9, 16, 23, 31))
    assert plain.holidays == ()
    assert min(plain.values) > 80.0


def test_a_holiday_to_come_gets_its_effect_and_the_days_around_do_not() -> None:
    told = holidays.restored(TOLD, quiet(10, 20, 30))
    assert told.hours[DAY - 1].p50 == told.hours[2 * DAY].p50 == 100.0
    assert told.hours[DAY].p50 == pytest.approx(100.0 * holidays.effect(quiet(10, 20, 30)))
    assert told.method.endswith("of other days")


def test_without_a_calendar_nothing_changes() -> None:
    series = dataclasses.replace(quiet(10), holidays=())
    assert holidays.without(series) is series
    assert holidays.restored(TOLD, series) is TOLD


def test_unknown_hours_stay_unknown_and_teach_nothing() -> None:
    series = dataclasses.replace(quiet(10), values=(math.nan,) * (DAYS * DAY))
    assert holidays.effect(series) == 1.0
    assert all(math.isnan(value) for value in holidays.without(series).values)
