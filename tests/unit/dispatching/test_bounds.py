"""Bounds of an autoscaler follow the forecast of the hour."""

from __future__ import annotations

from engine.dispatching.bounds import HOUR_SECONDS, replica_bounds
from engine.model.identifiers import TaskName
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource
from engine.model.specs import TaskKind


def profile(*cores: float, replicas: int) -> Profile:
    slots = tuple(
        Quantiles(p50=each, p80=each, p90=each, p95=each, p99=1.5 * each) for each in cores
    )
    return Profile(
        task=TaskName("serve"),
        kind=TaskKind.SERVE,
        duration_seconds=None,
        use={Resource.CPU: slots} if slots else {},
        replicas=replicas,
    )


def test_a_quiet_hour_needs_few_and_a_busy_one_many() -> None:
    day = profile(*([1.0] * 12 + [4.0] * 12), replicas=4)
    assert replica_bounds(day, 2 * HOUR_SECONDS) == (1, 2)
    assert replica_bounds(day, 14 * HOUR_SECONDS) == (4, 6)


def test_the_next_hour_counts_already() -> None:
    day = profile(*([1.0] * 12 + [4.0] * 12), replicas=4)
    assert replica_bounds(day, 11 * HOUR_SECONDS) == (1, 6)
    assert replica_bounds(day, 23 * HOUR_SECONDS) == (1, 6)


def test_without_a_forecast_one_runs() -> None:
    assert replica_bounds(None, 0.0) == (1, 1)


def test_without_hours_the_number_is_fixed() -> None:
    assert replica_bounds(profile(replicas=3), 0.0) == (3, 3)
    assert replica_bounds(profile(0.0, replicas=3), 0.0) == (3, 3)
