"""What every `ServiceSizer` keeps; subclass `SizerSuite` and give it a fixture."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pytest

from engine.model import documents
from engine.model.identifiers import ClusterName, PipelineName, PoolName, TaskName
from engine.model.resources import Resource, Resources
from engine.model.sizing import ServiceSize, ServiceUse, SizedAmount, SizingPolicy
from engine.ports import ServiceSizer

POLICY = SizingPolicy()
AT = 3_600.0 * 400_000
_HOURS, _SAMPLES = 30, 4


def service(number: int, *, held_gib: float = 4.0, hours: int = _HOURS) -> ServiceUse:
    """Return a service that uses about 1 GiB and half a core; the last `hours` were measured."""
    wobble = [
        [(hour * 7_919 + sample * 104_729 + number) % 11 / 100.0 for sample in range(_SAMPLES)]
        for hour in range(_HOURS)
    ]
    known = [hour >= _HOURS - hours for hour in range(_HOURS)]
    return ServiceUse(
        pipeline=PipelineName(f"p{number}"),
        task=TaskName("serve"),
        cluster=ClusterName("a"),
        pool=PoolName("nodes"),
        held=Resources(cpu_cores=2.0, memory_gib=held_gib),
        used={
            Resource.MEMORY: _used(1.0, wobble, known),
            Resource.CPU: _used(0.5, wobble, known),
        },
        requests=tuple(5.0 if is_known else math.nan for is_known in known),
    )


def _used(
    level: float, wobble: Sequence[Sequence[float]], known: Sequence[bool]
) -> tuple[tuple[float, ...], ...]:
    """Return (hours, samples) around a level, NaN where nothing is known."""
    return tuple(
        tuple(level + small if is_known else math.nan for small in hour)
        for hour, is_known in zip(wobble, known, strict=True)
    )


def amount(size: ServiceSize, resource: Resource) -> SizedAmount:
    """Return what is recommended of a resource."""
    (found,) = (each for each in size.amounts if each.resource is resource)
    return found


class SizerSuite:
    """The contract of the port `ServiceSizer`."""

    @pytest.fixture
    def sizer(self) -> ServiceSizer:
        """Return the sizer under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_each_service_has_an_answer_in_its_place(self, sizer: ServiceSizer, count: int) -> None:
        """One recommendation for each service, in their order, as of the hour that was given."""
        services = [service(number) for number in range(count)]
        found = sizer.sizes(services, POLICY, at=AT)
        assert [(each.pipeline, each.task) for each in found] == [
            (each.pipeline, each.task) for each in services
        ]
        assert all(each.at == AT for each in found)

    def test_what_is_recommended_can_be_held(self, sizer: ServiceSizer) -> None:
        """Amounts are of measured resources, above nothing and finite, and repeat what is held."""
        services = [service(number) for number in range(3)]
        for one, size in zip(services, sizer.sizes(services, POLICY, at=AT), strict=True):
            assert size.amounts
            for each in size.amounts:
                assert each.resource in one.used
                assert 0.0 < each.wanted < math.inf
                assert each.held == one.held.of(each.resource)

    def test_no_amount_means_that_a_note_says_why(self, sizer: ServiceSizer) -> None:
        """A service that was hardly measured is left alone, in words; the others are not."""
        found = sizer.sizes([service(1, hours=1), service(2), service(3)], POLICY, at=AT)
        assert found[0].amounts or found[0].note
        assert not found[0].changes
        assert found[1].amounts

    def test_a_service_that_holds_too_little_is_to_grow(self, sizer: ServiceSizer) -> None:
        """What is used at most is wanted at least where memory was short of it all the time."""
        found = sizer.sizes([service(1, held_gib=0.5), service(2), service(3)], POLICY, at=AT)
        memory = amount(found[0], Resource.MEMORY)
        assert memory.wanted > memory.held
        assert memory.changes

    def test_what_a_person_insists_on_stays(self, sizer: ServiceSizer) -> None:
        """Nobody is restarted with another amount than was asked for."""
        stated = dataclasses.replace(service(1, held_gib=64.0), stated=(Resource.MEMORY,))
        found = sizer.sizes([stated, service(2), service(3)], POLICY, at=AT)
        assert not amount(found[0], Resource.MEMORY).changes

    def test_a_restart_must_pay(self, sizer: ServiceSizer) -> None:
        """Where a restart costs more than can be spared, nothing shrinks."""
        dear = dataclasses.replace(POLICY, restart_hours=1e6)
        found = sizer.sizes([service(n, held_gib=8.0) for n in range(3)], dear, at=AT)
        assert not any(amount(size, Resource.MEMORY).changes for size in found)

    def test_gaps_are_borne(self, sizer: ServiceSizer) -> None:
        """An hour that nobody measured leaves a finite recommendation."""
        whole = service(1)
        gap = (math.nan,) * _SAMPLES
        holed = {
            resource: tuple(gap if hour % 9 == 0 else row for hour, row in enumerate(rows))
            for resource, rows in whole.used.items()
        }
        services = [dataclasses.replace(whole, used=holed), service(2), service(3)]
        found = sizer.sizes(services, POLICY, at=AT)
        assert all(math.isfinite(each.wanted) for each in found[0].amounts)

    def test_the_same_arguments_give_the_same_bytes(self, sizer: ServiceSizer) -> None:
        """A recommendation that a person saw can be made again."""
        services = [service(number) for number in range(3)]
        first, second = (sizer.sizes(services, POLICY, at=AT) for _ in range(2))
        assert [documents.encode(size) for size in first] == [
            documents.encode(size) for size in second
        ]
