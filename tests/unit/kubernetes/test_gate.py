"""How a cluster in trouble is left alone."""

from __future__ import annotations

import random

import pytest

from engine.model.errors import UnreachableError
from executors.kubernetes.gate import LAST_SECONDS, Gate


class Watch:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


def gate(watch: Watch, rate: float = 0.0) -> Gate:
    return Gate("east", rate, clock=watch, chance=random.Random(1))


def test_a_failure_shuts_the_gate_for_a_while(watch: Watch) -> None:
    one = gate(watch)
    one.enter()
    one.failed("no route")
    with pytest.raises(UnreachableError, match="no route"):
        one.enter()
    watch.now += 1.0
    one.enter()


def test_pauses_grow_up_to_a_limit(watch: Watch) -> None:
    one = gate(watch)
    pauses = []
    for _ in range(12):
        one.failed("busy")
        pauses.append(one.wait_seconds())
    assert pauses[:4] == sorted(pauses[:4])
    assert max(pauses) <= LAST_SECONDS
    assert min(pauses[8:]) >= 0.7 * LAST_SECONDS


def test_it_is_never_opened_before_the_server_asked_for(watch: Watch) -> None:
    one = gate(watch)
    one.failed("too many requests", 45.0)
    watch.now += 44.9
    assert not one.is_open
    watch.now += 0.2
    assert one.is_open


def test_after_a_pause_one_request_tries_and_the_others_wait(watch: Watch) -> None:
    one = gate(watch)
    one.failed("busy")
    watch.now += 1.0
    one.enter()
    with pytest.raises(UnreachableError):
        one.enter()
    one.succeeded()
    one.enter()
    assert one.trouble == ""


def test_writes_are_given_out_at_a_rate(watch: Watch) -> None:
    one = gate(watch, 20.0)
    assert one.take(100) == 20
    assert one.take(100) == 0
    watch.now += 0.5
    assert one.take(100) == 10
    watch.now += 60.0
    assert one.take(100) == 20


def test_without_a_rate_every_write_may_go(watch: Watch) -> None:
    assert gate(watch).take(5_000) == 5_000
