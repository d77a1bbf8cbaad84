"""Slow answers are weighed by what was promised."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from engine.model.alarms import Severity
from engine.model.identifiers import TaskName
from engine.model.records import ALARMS, PIPELINES, Put
from engine.model.signals import Signal
from engine.model.specs import Serving, TaskKind, TaskSpec
from engine.testing.watch_suites import alarm as sample_alarm
from engine.testing.watch_suites import gauge
from engine.watching.promises import weighed
from tests.support.watch_world import World, pipeline


def promise(world: World, *latencies_ms: float | None) -> None:
    """Have the pipeline `heart` promise latencies, one for each service."""
    spec = pipeline()
    services = tuple(
        TaskSpec(
            name=TaskName(f"serve-{number}"),
            kind=TaskKind.SERVE,
            serving=Serving(latency_ms_p99=latency_ms),
        )
        for number, latency_ms in enumerate(latencies_ms)
    )
    spec = dataclasses.replace(spec, tasks=(*spec.tasks, *services))
    world.ledger.commit("test", [Put(PIPELINES, spec)])


def slow(at: float, value: float) -> Signal:
    return dataclasses.replace(gauge(at, value), labels={"pipeline": "heart"})


@pytest.mark.parametrize(
    ("promised", "ms", "severity"),
    [
        ([400.0], 200.0, Severity.INFO),
        ([400.0], 201.0, Severity.CRITICAL),
        ([400.0, 300.0], 200.0, Severity.CRITICAL),
        ([None], 200.0, Severity.CRITICAL),
        ([], 200.0, Severity.CRITICAL),
    ],
)
def test_answers_far_within_the_promise_open_no_super_alarm(
    world: World, promised: list[float | None], ms: float, severity: Severity
) -> None:
    promise(world, *promised)
    world.measure(ms, slow)
    (stored,) = world.ledger.select(ALARMS)
    assert stored.value.severity is severity
    assert stored.value.message.endswith("are promised") == (severity is Severity.INFO)


@pytest.mark.parametrize(
    "changes",
    [
        {"signal": "errors_share"},
        {"rule": "slow-is-bad"},
        {"labels": {"pipeline": "unknown"}},
        {"labels": {}},
    ],
)
def test_what_is_not_about_a_promise_stays_as_it_is(world: World, changes: dict[str, Any]) -> None:
    promise(world, 400.0)
    base = sample_alarm("A-1", 1.0, pipeline="heart")
    alarm = dataclasses.replace(base, **{"signal": "latency_ms_p99", "value": 1.0, **changes})
    assert weighed(world.ledger, alarm) == alarm
