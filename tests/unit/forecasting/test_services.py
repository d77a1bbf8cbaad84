"""Running services are sized by their own hours, those of others and their requests."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from engine.model.capacity import DemandForecast, DemandSeries
from engine.model.identifiers import ClusterName, PipelineName, PoolName, TaskName
from engine.model.profiles import Quantiles
from engine.model.resources import Resource, Resources
from engine.model.sizing import ServiceSize, ServiceUse, SizingPolicy
from engine.model.specs import Serving
from forecasting.services import HourlySizer

HOURS, SAMPLES = 60, 6
POLICY = SizingPolicy()
Rows = tuple[tuple[float, ...], ...]


class Tomorrow:
    """Tells ten times the requests of the last hour (port `DemandForecaster`)."""

    def forecast(
        self, series: DemandSeries, *, hours: int, seed: int, beside: object = ()
    ) -> DemandForecast:
        told = Quantiles.constant(10.0 * series.values[-1])
        return DemandForecast(
            pool=series.pool,
            unit="",
            starts_at=0.0,
            hours=(told,) * hours,
            method="test",
            mase=1.0,
            coverage={},
        )


def rows(values: np.ndarray) -> Rows:
    return tuple(tuple(float(value) for value in hour) for hour in values)


def service(number: int, *, memory_held: float = 4.0, stated: bool = False) -> ServiceUse:
    """A service that uses around 1 GiB, and a core for ten requests a second."""
    random = np.random.default_rng(number)
    rates = random.uniform(2.0, 10.0, HOURS)
    memory = random.uniform(0.9, 1.1, (HOURS, SAMPLES))
    cores = rates[:, None] / 10.0 * random.uniform(0.9, 1.1, (HOURS, SAMPLES))
    return ServiceUse(
        pipeline=PipelineName(f"p{number}"),
        task=TaskName("serve"),
        cluster=ClusterName("eu"),
        pool=PoolName("nodes"),
        held=Resources(cpu_cores=1.2, memory_gib=memory_held),
        used={Resource.MEMORY: rows(memory), Resource.CPU: rows(cores)},
        requests=tuple(float(rate) for rate in rates),
        stated=(Resource.MEMORY,) if stated else (),
    )


def sizes(*services: ServiceUse) -> tuple[ServiceSize, ...]:
    return HourlySizer(Tomorrow, seed=1).sizes(services, POLICY, at=1e6)


@pytest.fixture(scope="module")
def three() -> tuple[ServiceSize, ...]:
    """A roomy service, a tight one, and one on whose memory a person insists."""
    return sizes(service(1), service(2, memory_held=0.8), service(3, stated=True))


def amount(size: ServiceSize, resource: Resource) -> tuple[float, bool, str]:
    (found,) = (each for each in size.amounts if each.resource is resource)
    return found.wanted, found.changes, found.why


def test_a_roomy_service_shrinks_to_what_it_uses(three: tuple[ServiceSize, ...]) -> None:
    wanted, changes, why = amount(three[0], Resource.MEMORY)
    assert 1.0 < wanted < 2.0
    assert changes
    assert why == "what it spares in 24 h repays a restart"


def test_a_tight_service_grows(three: tuple[ServiceSize, ...]) -> None:
    wanted, changes, why = amount(three[1], Resource.MEMORY)
    assert wanted > 0.8
    assert changes
    assert why == "it would be short of it more often than allowed"


def test_what_a_person_insists_on_stays(three: tuple[ServiceSize, ...]) -> None:
    assert amount(three[2], Resource.MEMORY)[1:] == (False, "a person insists on what it holds")


def test_cores_follow_the_requests_to_come(three: tuple[ServiceSize, ...]) -> None:
    ahead = three[0].ahead
    assert len(ahead) == 24
    size = next(each for each in three[0].amounts if each.resource is Resource.CPU)
    assert size.wanted >= 0.9 * max(hour.p95 for hour in ahead)


def test_the_tests_keep_what_is_allowed(three: tuple[ServiceSize, ...]) -> None:
    assert all(each.short <= each.allowed for size in three for each in size.amounts)


def test_a_promise_is_kept_with_more_room_than_no_promise(three: tuple[ServiceSize, ...]) -> None:
    promised = Serving(availability=0.999, latency_ms_p99=50.0)
    careful, *others = sizes(
        dataclasses.replace(service(1), promised=promised),
        service(2, memory_held=0.8),
        service(3, stated=True),
    )
    allowed = {each.resource: each.allowed for each in careful.amounts}
    assert allowed == pytest.approx({Resource.MEMORY: 0.001, Resource.CPU: 0.01})
    assert [each.wanted for each in others[0].amounts] == [e.wanted for e in three[1].amounts]
    for mine, plain in zip(careful.amounts, three[0].amounts, strict=True):
        assert mine.wanted >= plain.wanted


def test_a_service_with_nobody_beside_it_teaches_itself() -> None:
    (alone,) = sizes(service(1))
    assert 1.0 < amount(alone, Resource.MEMORY)[0] < 2.0


def test_a_new_service_is_told_what_is_missing() -> None:
    young = service(1)
    few = {
        resource: (((math.nan,) * SAMPLES,) * (HOURS - 3)) + hours[-3:]
        for resource, hours in young.used.items()
    }
    (told,) = sizes(
        ServiceUse(
            pipeline=young.pipeline,
            task=young.task,
            cluster=young.cluster,
            pool=young.pool,
            held=young.held,
            used=few,
            requests=young.requests,
        )
    )
    assert told.note == "3 hours were measured; it takes 8"
    assert not told.amounts
    assert not told.ahead


def with_samples(resource: Resource, *wrong: float) -> ServiceUse:
    """A service whose first samples of a resource are others."""
    whole = service(1)
    first, *others = whole.used[resource]
    spoilt = (*wrong, *first[len(wrong) :])
    return dataclasses.replace(whole, used={**whole.used, resource: (spoilt, *others)})


def test_a_counter_that_was_reset_is_left_out_and_said() -> None:
    (told,) = sizes(with_samples(Resource.CPU, -3.0))
    (clean,) = sizes(with_samples(Resource.CPU, math.nan))
    assert told.amounts == clean.amounts
    assert told.note == (
        "cpu has samples that cannot be, 1 in all, such as -3: correct the clock or the counter"
    )


@pytest.mark.parametrize(
    ("resource", "wrong", "unit"),
    [(Resource.MEMORY, 2.0**30, "bytes"), (Resource.CPU, 5e8, "millicores")],
)
def test_other_units_are_left_out_and_named(resource: Resource, wrong: float, unit: str) -> None:
    (told,) = sizes(with_samples(resource, wrong, wrong))
    assert max(each.wanted for each in told.amounts) < 100.0
    assert unit in told.note


def test_use_that_cannot_be_at_all_leaves_no_amount() -> None:
    whole = service(1)
    bytes_used = ((2.0**33,) * SAMPLES,) * HOURS
    gpus = ((math.inf,) * SAMPLES,) * HOURS
    used = {Resource.GPU_MEMORY: bytes_used, Resource.GPU: gpus}
    (told,) = sizes(dataclasses.replace(whole, used=used))
    assert not told.amounts
    assert "gpu memory" in told.note
    assert told.note.endswith("0 hours were measured; it takes 8")
