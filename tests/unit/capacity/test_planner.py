"""The capacity report: what it looks at, what it says, and that it can be made again."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pytest

from engine.capacity import CapacityPlanner
from engine.model import documents
from engine.model.capacity import CapacityReport, DemandFan, DemandForecast, DemandSeries
from engine.model.errors import InvalidInputError, NotFoundError
from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import ClusterName, MicroDollars, PoolName
from engine.model.profiles import Quantiles

HOUR = 3_600.0
NOW = 1_795_312_800.0
"""2026-11-22 02:00 UTC."""


@dataclasses.dataclass
class Straight:
    """Forecasts the last value, growing by `slope` an hour, and keeps what it was asked."""

    slope: float = 0.0
    seen: list[DemandSeries] = dataclasses.field(default_factory=list)
    beside: list[str] = dataclasses.field(default_factory=list)

    def forecast(
        self,
        series: DemandSeries,
        *,
        hours: int,
        seed: int,
        beside: Sequence[DemandSeries] = (),
    ) -> DemandForecast:
        self.seen.append(series)
        self.beside += [other.pool for other in beside]
        last = series.values[-1]
        return DemandForecast(
            pool=series.pool,
            unit=series.unit,
            starts_at=series.starts_at + len(series.values) * HOUR,
            hours=tuple(Quantiles.constant(last + self.slope * h) for h in range(1, hours + 1)),
            method="straight",
            mase=1.0,
            coverage={},
        )


def demand(
    pool: str = "T4", *, last: float = 10.0, ends: float = NOW, hours: int = 50
) -> DemandSeries:
    values = (1.0,) * (hours - 1) + (last,)
    return DemandSeries(pool=pool, unit="GPUs", starts_at=ends - hours * HOUR, values=values)


def fleet(*models: str) -> Fleet:
    pools = tuple(
        Pool(
            name=PoolName(model),
            shape=NodeShape(
                machine="m",
                cpu_cores=8,
                memory_gib=8,
                gpu_model=model,
                gpu_count=4,
                gpu_memory_gib=16,
            ),
            node_count=5,
            price_micro_dollars_per_hour=MicroDollars(4_000_000),
        )
        for model in models
    )
    cluster = Cluster(
        name=ClusterName("c"), provider=Provider.AWS, region="r", continent="eu", pools=pools
    )
    return Fleet(clusters=(cluster,))


def report(
    *series: DemandSeries,
    slope: float = 0.0,
    as_of: float = NOW,
    hours: int = 48,
    models: Sequence[str] = ("T4",),
    forecaster: Straight | None = None,
) -> CapacityReport:
    planner = CapacityPlanner(forecaster or Straight(slope), "1.2.3")
    return planner.report(
        series, fleet(*models), as_of=as_of, horizon_hours=hours, seed=7, source="file"
    )


def test_enough_is_said_with_its_end() -> None:
    made = report(demand(last=20.0))
    assert made.verdict == "Enough of T4 until 24 Nov 02:00 (P95), the end of the horizon."
    (pool,) = made.pools
    assert (pool.supply, pool.short_from, pool.short_by, pool.answer) == (20.0, None, 0.0, None)
    assert pool.price_micro_dollars_per_unit_hour == 1_000_000


def test_a_shortage_is_dated_from_its_first_hour() -> None:
    (pool,) = report(demand(last=10.0), slope=1.0).pools
    assert pool.short_from == NOW + 10 * HOUR
    assert (pool.short_by, pool.hours_short) == (38.0, 38)


def test_the_verdict_names_date_amount_answer_and_price() -> None:
    verdict = report(demand(last=10.0), slope=1.0).verdict
    assert verdict.startswith("Enough until 22 Nov 12:00 (P95). Then 38 T4 short at most")
    assert "Cheapest answer: " in verdict
    assert "a month" in verdict


def test_a_pool_that_is_short_now_is_said_to_be() -> None:
    assert report(demand(last=30.0)).verdict.startswith("Not enough already (P95): 10 T4 short")


def test_the_first_pool_to_run_short_leads_and_others_follow() -> None:
    verdict = report(
        demand("T4", last=10.0),
        demand("L4", last=15.0),
        demand("A10", last=1.0),
        slope=0.2,
        models=("T4", "L4", "A10"),
        hours=60,
    ).verdict
    assert verdict.startswith("Enough until 23 Nov 03:00 (P95). Then 7 L4 short")
    assert "Also short: T4 from 24 Nov 04:00." in verdict
    assert verdict.endswith("Enough of A10.")


def test_a_free_answer_is_said_to_cost_nothing() -> None:
    class Wave(Straight):
        def forecast(
            self,
            series: DemandSeries,
            *,
            hours: int,
            seed: int,
            beside: Sequence[DemandSeries] = (),
        ) -> DemandForecast:
            flat = Straight.forecast(self, series, hours=hours, seed=seed)
            wave = tuple(Quantiles.constant(21.0 if h % 24 == 5 else 5.0) for h in range(hours))
            return dataclasses.replace(flat, hours=wave)

    assert "at no cost" in report(demand(), forecaster=Wave()).verdict


def test_a_pool_the_fleet_does_not_have_has_no_answer() -> None:
    made = report(demand("H100"))
    (pool,) = made.pools
    assert (pool.supply, pool.machine, pool.answer) == (0.0, "", None)
    assert made.verdict.endswith("No answer has a price: the fleet has no H100.")


def test_without_demand_nothing_is_said() -> None:
    assert report().verdict == "No demand was given, so nothing can be said."


def test_values_after_the_report_are_not_looked_at() -> None:
    seer = Straight()
    report(demand(last=99.0, ends=NOW + HOUR), forecaster=seer)
    assert 99.0 not in seer.seen[0].values


def test_hours_that_passed_since_the_series_ended_are_left_out() -> None:
    (pool,) = report(demand(last=10.0, ends=NOW - 3 * HOUR), slope=1.0, hours=4).pools
    assert pool.forecast.starts_at == NOW
    assert [hour.p50 for hour in pool.forecast.hours] == [14.0, 15.0, 16.0, 17.0]


def test_numbered_hours_end_when_the_report_is_made() -> None:
    (pool,) = report(dataclasses.replace(demand(), starts_at=0.0), as_of=NOW + 100).pools
    assert pool.forecast.starts_at == NOW


def test_every_series_is_learned_from_beside_the_others() -> None:
    seer = Straight()
    report(demand("T4"), demand("L4"), forecaster=seer)
    assert seer.beside == ["L4", "T4"]


@pytest.mark.parametrize("ends", [NOW - 15 * 24 * HOUR, NOW + 60 * HOUR])
def test_demand_of_another_time_is_refused(ends: float) -> None:
    with pytest.raises(InvalidInputError, match="no demand in the two weeks"):
        report(demand(ends=ends))


@pytest.mark.parametrize("hours", [0, 745])
def test_an_absurd_horizon_is_refused(hours: int) -> None:
    with pytest.raises(InvalidInputError, match="horizon"):
        report(demand(), hours=hours)


def test_gaps_in_the_history_show_the_value_before() -> None:
    series = demand(hours=5)
    gaps = (math.nan, 2.0, math.nan, 4.0, 5.0)
    (pool,) = report(dataclasses.replace(series, values=gaps)).pools
    assert pool.history == (2.0, 2.0, 2.0, 4.0, 5.0)


def test_the_same_input_gives_the_same_bytes_and_id() -> None:
    first, second = report(demand(), slope=1.0), report(demand(), slope=1.0)
    assert documents.encode(first) == documents.encode(second)
    assert first.report_id.startswith("c-")
    assert first.report_id != report(demand(), slope=2.0).report_id


def fans(*series: DemandSeries, pool: str = "") -> tuple[DemandFan, ...]:
    planner = CapacityPlanner(Straight(), "1")
    return planner.fans(
        series, pool=pool, as_of=NOW + 2 * HOUR, horizon_hours=3, seed=1, source="demand.csv"
    )


def test_a_fan_begins_now_and_continues_its_past() -> None:
    first, second = fans(demand(), demand("A10", last=5.0))
    assert (first.forecast.starts_at, len(first.forecast.hours)) == (NOW + 2 * HOUR, 3)
    assert (first.history[-1], second.history[-1]) == (10.0, 5.0)


def test_one_pool_may_be_asked_for() -> None:
    (only,) = fans(demand(), demand("A10"), pool="A10")
    assert only.forecast.pool == "A10"


def test_a_pool_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(NotFoundError, match="has no pool 'H100'; it has T4, A10"):
        fans(demand(), demand("A10"), pool="H100")
