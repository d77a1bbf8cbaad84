"""Totals of demand: made from their parts where no column has them, and forecasts that add up."""

from __future__ import annotations

import math

import pytest

from engine.model.capacity import DemandFan, DemandForecast, DemandSeries
from engine.model.errors import InvalidInputError
from engine.model.profiles import Quantiles
from forecasting import adding_up, with_totals

TENANTS = ("a/A100", "a/T4", "b/A100")
TOTALS = {"a": ("a/*",), "b": ("b/*",), "A100": ("*/A100",), "all": ("a", "b")}


def column(pool: str, values: tuple[float, ...]) -> DemandSeries:
    return DemandSeries(pool=pool, unit="GPUs", starts_at=0.0, values=values)


def fan(series: DemandSeries, median: float, mase: float = 1.0) -> DemandFan:
    hour = Quantiles(p50=median, p80=median + 1, p90=median + 2, p95=median + 3, p99=median + 4)
    forecast = DemandForecast(
        pool=series.pool,
        unit=series.unit,
        starts_at=0.0,
        hours=(hour,),
        method="last day",
        mase=mase,
        coverage={},
    )
    return DemandFan(history=series.values, forecast=forecast)


def columns() -> tuple[DemandSeries, ...]:
    return tuple(column(pool, (1.0, 2.0 + place)) for place, pool in enumerate(TENANTS))


def test_a_total_is_the_sum_of_its_parts_by_name_by_pattern_and_of_totals() -> None:
    series, parts = with_totals(columns(), TOTALS)
    values = {each.pool: each.values for each in series}
    assert values["a"] == (2.0, 5.0)
    assert values["A100"] == (2.0, 6.0)
    assert values["all"] == (3.0, 9.0)
    assert parts["a"] == ("a/A100", "a/T4")


def test_an_hour_of_a_total_is_unknown_where_one_of_a_part_is() -> None:
    series, _ = with_totals(
        [column("x", (1.0, math.nan)), column("y", (1.0, 1.0))], {"all": ("*",), "one": ("y",)}
    )
    values = {each.pool: each.values for each in series}
    assert math.isnan(values["all"][1])
    assert values["one"] == (1.0, 1.0)


def test_a_total_that_is_a_column_keeps_its_values() -> None:
    series, _ = with_totals([column("x", (1.0,)), column("all", (5.0,))], {"all": ("x",)})
    assert {each.pool: each.values for each in series} == {"x": (1.0,), "all": (5.0,)}


def test_medians_add_up_at_every_level_and_quantiles_keep_their_distance() -> None:
    series, parts = with_totals(columns(), TOTALS)
    fans = adding_up([fan(each, 10.0 + place) for place, each in enumerate(series)], parts)
    told = {each.forecast.pool: each.forecast.hours[0] for each in fans}
    assert told["a"].p50 == pytest.approx(told["a/A100"].p50 + told["a/T4"].p50)
    assert told["A100"].p50 == pytest.approx(told["a/A100"].p50 + told["b/A100"].p50)
    assert told["all"].p50 == pytest.approx(told["a"].p50 + told["b"].p50)
    assert told["all"].p95 - told["all"].p50 == pytest.approx(3.0)
    assert all(each.forecast.method == "last day, moved to add up" for each in fans)


def test_what_errs_more_is_moved_more() -> None:
    steady = tuple(float(hour % 24) for hour in range(72))
    moving = tuple(float(hour) for hour in range(72))
    series, parts = with_totals(
        [column("steady", steady), column("moving", moving)], {"all": ("*",)}
    )
    fans = adding_up([fan(each, 10.0) for each in series], parts)
    told = {each.forecast.pool: each.forecast.hours[0].p50 for each in fans}
    assert told["steady"] == pytest.approx(10.0, abs=0.01)
    assert told["all"] == pytest.approx(told["steady"] + told["moving"])


@pytest.mark.parametrize(
    ("totals", "named"),
    [
        ({"all": ("x", "z*")}, "'z*' is no series"),
        ({"up": ("down",), "down": ("up",)}, "are parts of one another"),
        ({f"t{n}": ("x",) for n in range(201)}, "201 totals are more than 200"),
    ],
)
def test_totals_that_cannot_be_are_refused(totals: dict[str, tuple[str, ...]], named: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        with_totals([column("x", (1.0,))], totals)
    (fault,) = raised.value.faults
    assert fault.code == "C009"
    assert named in fault.message
