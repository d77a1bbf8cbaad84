"""A profile as text: which machines would do, the cheapest and the fastest."""

from __future__ import annotations

from api.report.profiles import profile_page
from engine.model.identifiers import ClusterName, PoolName, TaskName
from engine.model.profiles import MachineFit, Profile, Quantiles
from engine.model.resources import Resource
from engine.model.specs import TaskKind


def fit(pool: str, seconds: float | None, dollars: int) -> MachineFit:
    return MachineFit(
        machine=f"m-{pool}",
        cluster=ClusterName("eu"),
        pool=PoolName(pool),
        duration_seconds_p50=seconds,
        cost_micro_dollars=dollars * 1_000_000,
    )


def page(*machines: MachineFit) -> str:
    profile = Profile(
        task=TaskName("train"),
        kind=TaskKind.TRAIN,
        duration_seconds=Quantiles.constant(60.0),
        use={Resource.CPU: (Quantiles.constant(1.0),)},
        machines=machines,
    )
    return profile_page("churn/train", profile)


def test_the_fastest_machines_are_told_where_they_are_not_the_cheapest() -> None:
    said = page(fit("slow", 60.0, 1), fit("fast", 6.0, 2), fit("even", 30.0, 3))
    assert "Cheapest machines that fit: eu/slow" in said
    assert "Fastest that fit: eu/fast (m-fast, 6.0 s), eu/even (m-even, 30 s)" in said


def test_the_cheapest_that_is_fastest_is_told_once() -> None:
    assert "Fastest" not in page(fit("both", 6.0, 1), fit("slow", 60.0, 2))
    assert "Fastest" not in page(fit("serves", None, 1))
    assert "Fastest" not in page()
