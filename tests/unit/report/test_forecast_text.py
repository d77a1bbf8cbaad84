"""The sketch of a forecast says in characters what its figures say."""

from __future__ import annotations

import dataclasses

from api.report.forecasts import forecast_text, sketch
from api.report.tables import Style
from engine.model.capacity import DemandFan, DemandForecast
from engine.model.profiles import Quantiles

HIGH = Quantiles(p50=50.0, p80=70.0, p90=80.0, p95=100.0, p99=100.0)
FAN = DemandFan(
    history=(50.0,) * 48,
    forecast=DemandForecast(
        pool="A100",
        unit="GPUs",
        starts_at=0.0,
        hours=(HIGH,) * 48,
        method="last day",
        mase=0.8,
        coverage={"0.95": 0.94},
    ),
)
NOTHING = DemandFan(
    history=(),
    forecast=DemandForecast(
        pool="T4",
        unit="GPUs",
        starts_at=0.0,
        hours=(Quantiles.constant(0.0),),
        method="last day",
        mase=1.0,
        coverage={},
    ),
)


def test_bands_stand_above_the_median() -> None:
    lines = sketch(FAN, 80).splitlines()[:10]
    column = [line.ljust(80)[79] for line in lines]
    assert column.index("░") < column.index("▓") < column.index("─")


def test_every_line_fits_the_width_and_the_past_is_there() -> None:
    lines = sketch(FAN, 72).splitlines()
    assert max(map(len, lines)) <= 72
    assert any("•" in line for line in lines[:10])


def test_no_demand_lies_on_the_floor() -> None:
    lines = sketch(NOTHING, 60).splitlines()
    assert "─" in lines[9]
    assert not any("─" in line for line in lines[:9])


def test_a_terminal_gets_the_sketch_and_a_file_the_figures_alone() -> None:
    aligned = forecast_text([FAN], Style(width=80))
    tabbed = forecast_text([FAN, NOTHING], Style(tabs=True), rerun="berth forecast X --png FILE")
    assert "░" in aligned
    assert "░" not in tabbed
    assert "P95 94 %" in tabbed
    assert "too short to say" in tabbed
    assert tabbed.endswith("berth forecast X --png FILE")


def test_hours_given_by_numbers_are_told_by_numbers_and_a_bound_is_a_bound() -> None:
    told = dataclasses.replace(FAN.forecast, starts_at=480 * 3_600.0, mase=1_000.0)
    text = forecast_text([dataclasses.replace(FAN, forecast=told)], Style(tabs=True))
    assert "from hour 480" in text
    assert "MASE 1,000 or more" in text
    dated = dataclasses.replace(FAN.forecast, starts_at=1_795_305_600.0)
    assert "from 2026-" in forecast_text([dataclasses.replace(FAN, forecast=dated)])
