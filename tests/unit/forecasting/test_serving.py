"""Replicas keep load, latency and availability; latency is that of a queue."""

from __future__ import annotations

import dataclasses

import pytest

from engine.model.fleet import Fleet
from engine.model.profiles import Quantiles
from engine.model.specs import Serving
from engine.testing import samples
from forecasting.serving import answering

ONE_CORE = Quantiles.constant(1.0)


def fleet(availability: float = 0.999, latency_ms: float = 10.0) -> Fleet:
    (cluster,) = samples.fleet("a").clusters
    changed = dataclasses.replace(cluster, availability=availability, latency_ms=latency_ms)
    return Fleet(clusters=(changed,))


def test_utilisation_stays_below_seven_tenths() -> None:
    assert answering(Serving(), fleet(), Quantiles.constant(7.0)).replicas == 10


def test_a_tight_latency_takes_more_replicas() -> None:
    loose, tight = (
        answering(Serving(requests_per_second_peak=50.0, latency_ms_p99=limit), fleet(), ONE_CORE)
        for limit in (500.0, 72.0)
    )
    assert loose.replicas < tight.replicas
    assert tight.milliseconds_p99 <= 62.0


def test_no_replica_helps_when_the_answer_alone_is_too_slow() -> None:
    impossible = Serving(requests_per_second_peak=10.0, latency_ms_p99=20.0)
    assert answering(impossible, fleet(), ONE_CORE).replicas == 2


@pytest.mark.parametrize(
    ("promised", "count"), [(None, 1), (0.98, 1), (0.999, 2), (0.99999, 3), (1.0, 1)]
)
def test_availability_is_kept_by_independent_replicas(promised: float | None, count: int) -> None:
    serving = Serving(availability=promised)
    light = Quantiles.constant(0.1)
    assert answering(serving, fleet(availability=0.98), light).replicas == count


def test_nothing_asked_is_answered_at_once() -> None:
    idle = Serving(requests_per_second_peak=0.0, latency_ms_p99=50.0)
    found = answering(idle, fleet(), Quantiles.constant(0.0))
    assert (found.replicas, found.milliseconds_p99) == (1, 0.0)


def test_an_absurd_load_is_bounded() -> None:
    endless = Serving(requests_per_second_peak=1e6, latency_ms_p99=10_000.0)
    assert answering(endless, fleet(), Quantiles.constant(5_000.0)).replicas == 1_000
