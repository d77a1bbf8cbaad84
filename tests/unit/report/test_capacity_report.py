"""The capacity report as text and page: every figure is the report's, and it can be made again."""

from __future__ import annotations

import functools
import re
from xml.etree import ElementTree

import pytest

from api.report import capacity, charts, words
from engine.model.capacity import CapacityOption, CapacityReport, DemandForecast, PoolOutlook
from engine.model.identifiers import MicroDollars
from engine.model.profiles import Quantiles

DASH = words.NOTHING
NOW = 1_795_312_800.0
HOUR = 3_600.0


def quantiles(median: float) -> Quantiles:
    return Quantiles(p50=median, p80=median + 10, p90=median + 15, p95=median + 20, p99=median + 30)


def pool(name: str = "A100", *, supply: float = 150.0, hours: int = 30) -> PoolOutlook:
    forecast = DemandForecast(
        pool=name,
        unit="GPUs",
        starts_at=NOW,
        hours=tuple(quantiles(100.0 + hour) for hour in range(hours)),
        method="boosted trees",
        mase=0.82,
        coverage={"0.50": 0.5, "0.80": 0.7, "0.95": 0.94},
    )
    high = [hour.p95 for hour in forecast.hours]
    short = [index for index, value in enumerate(high) if value > supply]
    nothing, rent = (
        CapacityOption(
            name=title,
            description=f"{title} <now>",
            cost_micro_dollars_per_month=MicroDollars(cost),
            keeps=keeps,
            reversible=True,
        )
        for title, cost, keeps in (("do nothing", 0, 0.5), ("rent", 1_234_000_000, 1.0))
    )
    return PoolOutlook(
        pool=name,
        unit="GPUs",
        supply=supply,
        machine="m",
        price_micro_dollars_per_unit_hour=MicroDollars(1),
        history=tuple(90.0 for _ in range(48)),
        forecast=forecast,
        short_from=NOW + short[0] * HOUR if short else None,
        short_by=max(0.0, max(high) - supply),
        hours_short=len(short),
        options=(nothing, rent),
        answer=rent if short else None,
    )


def report(*pools: PoolOutlook, horizon_hours: int = 30) -> CapacityReport:
    return CapacityReport(
        report_id="c-abcdefgh",
        version="1.2.3",
        as_of=NOW,
        horizon_hours=horizon_hours,
        seed=7,
        source="demand.csv",
        pools=pools,
        verdict="Enough until 23 Nov 07:00 (P95).",
    )


SHORT = pool(supply=140.0)
ENOUGH = pool("T4", supply=400.0)
TEXT = capacity.capacity_text(report(SHORT, ENOUGH))


@functools.cache
def page() -> str:
    return capacity.capacity_html(report(SHORT, ENOUGH))


def test_the_text_is_at_most_100_columns() -> None:
    assert max(len(line) for line in TEXT.splitlines()) <= 100


def test_the_verdict_comes_first() -> None:
    heading, _, verdict, *_ = TEXT.splitlines()
    assert heading == "Capacity for the next 30 hours, from 2026-11-22T02:00:00Z"
    assert verdict == "Enough until 23 Nov 07:00 (P95)."


def test_each_pool_has_its_row() -> None:
    assert re.search(r"A100 +140 +129 +149 +22 Nov 23:00 +9 +9 of 30", TEXT)
    assert re.search(rf"T4 +400 +129 +149 +enough +{DASH} +{DASH}", TEXT)


def test_answers_are_listed_for_pools_that_run_short_only() -> None:
    assert "What to decide for A100:" in TEXT
    assert re.search(r"rent \(cheapest\) +\$1,234 +100\.0 % +yes", TEXT)
    assert "What to decide for T4" not in TEXT


def test_a_coverage_that_breaks_its_promise_is_marked() -> None:
    assert re.search(r"A100 +0\.82 +50 % +! 70 % +94 %", TEXT)


def test_an_untested_coverage_is_left_blank() -> None:
    untested = DemandForecast(
        pool="A100",
        unit="GPUs",
        starts_at=NOW,
        hours=(quantiles(1.0),),
        method="last day",
        mase=1.0,
        coverage={},
    )
    shown = PoolOutlook(
        **{f: getattr(ENOUGH, f) for f in ENOUGH.__slots__ if f != "forecast"}, forecast=untested
    )
    assert re.search(rf"T4 +1\.00( +{DASH}){{3}} +last day", capacity.capacity_text(report(shown)))


def test_whole_days_are_told_as_days() -> None:
    made = capacity.capacity_text(report(ENOUGH, horizon_hours=336))
    assert made.startswith("Capacity for the next 14 days,")


def test_the_text_says_how_to_make_it_again() -> None:
    options = "--seed 7 --as-of 2026-11-22T02:00:00Z --horizon"
    assert f"berth capacity {options} 30h" in TEXT
    assert f"{options} 14d" in capacity.capacity_text(report(ENOUGH, horizon_hours=336))


def test_the_page_is_the_same_bytes_each_time() -> None:
    assert capacity.capacity_html(report(SHORT, ENOUGH)) == page()


def test_the_page_stands_alone_without_script() -> None:
    assert "<script" not in page()
    assert not re.search(r'(?:src|href)="', page().replace("xlink:href", ""))


def test_every_chart_has_its_table_and_words() -> None:
    assert page().count('role="img"') == page().count("<details>") == 2
    assert page().count("<desc ") == 2


def test_names_of_pools_cannot_write_the_page() -> None:
    page = capacity.capacity_html(report(pool("<b>&", supply=140.0)))
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "rent &lt;now&gt;" in page


def test_ids_of_the_page_are_unique() -> None:
    ids = re.findall(r'\bid="([^"]+)"', page())
    assert len(ids) == len(set(ids))


def test_what_labels_something_is_there() -> None:
    ids = set(re.findall(r'\bid="([^"]+)"', page()))
    named = {
        one for names in re.findall(r'aria-labelledby="([^"]+)"', page()) for one in names.split()
    }
    assert named <= ids


@pytest.mark.parametrize("variable", ["--demand", "--supply", "--ground", "--grid"])
def test_every_colour_is_given_for_light_dark_and_paper(variable: str) -> None:
    assert page().count(f"{variable}:") == 3


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", range(3), ids=["light", "dark", "paper"])
def test_colours_can_be_read_on_their_ground(scheme: int) -> None:
    colours = {
        name: re.findall(rf"{name}: (#[0-9a-f]{{6}});", page())[scheme]
        for name in (
            "--ground",
            "--panel",
            "--ink",
            "--quiet",
            "--bad",
            "--good",
            "--demand",
            "--supply",
        )
    }
    for name in ("--ink", "--quiet", "--bad", "--good"):
        assert contrast(colours[name], colours["--ground"]) >= 4.5
        assert contrast(colours[name], colours["--panel"]) >= 4.5
    for name in ("--demand", "--supply"):
        assert contrast(colours[name], colours["--ground"]) >= 3.0


def test_a_drawing_is_well_formed_and_of_the_pages_colours() -> None:
    drawing = charts.fan_chart(SHORT, identifier="one")
    root = ElementTree.fromstring(drawing)
    assert root.attrib["role"] == "img"
    assert "var(--demand)" in drawing
    assert not re.search(r'(?:fill|stroke)="#', drawing)


def test_a_crossing_is_dated() -> None:
    assert "short from 22 Nov 23:00" in charts.fan_chart(SHORT, identifier="one")
    assert "short from" not in charts.fan_chart(ENOUGH, identifier="one")


def test_a_chart_says_its_finding_in_words() -> None:
    said = "P95 of demand peaks at 149 GPUs, supply is 140. It crosses supply on 22 Nov 23:00."
    assert charts.description(SHORT) == said
    assert charts.description(ENOUGH).endswith("It stays within supply until 23 Nov 08:00.")


def test_a_pool_without_a_past_is_drawn() -> None:
    young = PoolOutlook(
        **{f: getattr(SHORT, f) for f in SHORT.__slots__ if f != "history"}, history=()
    )
    assert 'role="img"' in charts.fan_chart(young, identifier="one")


def test_the_module_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = getattr(capacity, "nothing")  # noqa: B009 - the name must not be known to a checker
