"""Many starts at once: a cluster that does not answer delays no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from engine.model.dispatches import AttemptOrder
from engine.model.errors import BerthError, ConflictError, RefusedError
from engine.model.identifiers import AttemptId
from executors.kubernetes import patience, starts
from executors.kubernetes.gate import Gate
from executors.kubernetes.starts import Starts


class Clusters:
    """Two clusters, one of which hangs until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.hanging = 0
        self.started: list[AttemptId] = []
        self.refuses: BerthError | None = None
        self.gates = {"east": Gate("east"), "west": Gate("west")}

    def entry(self, name: str) -> str:
        return name

    def links(self) -> dict[str, Any]:
        given = SimpleNamespace(connections=2)
        return {
            name: SimpleNamespace(given=given, api=SimpleNamespace(gate=gate))
            for name, gate in self.gates.items()
        }

    def start(self, order: AttemptOrder) -> None:
        if order.cluster == "east":
            self.hanging += 1
            self.released.wait(90.0)
            self.hanging -= 1
        if self.refuses is not None:
            raise self.refuses
        self.started.append(order.attempt_id)

    def wait(self, asked: Collection[Future[Any]], _seconds: float) -> None:
        """Wait for all answers but those of starts that hang, however long they take here."""
        until(lambda: sum(not each.done() for each in asked) <= self.hanging)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def clusters() -> Clusters:
    return Clusters()


@pytest.fixture
def made(clusters: Clusters, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starts]:
    monkeypatch.setattr(starts, "wait", clusters.wait)
    one = Starts(clusters, clusters.start)
    yield one
    clusters.released.set()
    one.close()


def order(attempt: str, cluster: str) -> Any:  # noqa: ANN401 - all that is read of one
    return SimpleNamespace(attempt_id=AttemptId(attempt), cluster=cluster)


def test_a_cluster_that_hangs_delays_no_other(clusters: Clusters, made: Starts) -> None:
    wanted = [order("a.1", "east"), order("b.1", "west")]
    assert dict(made.start_all(wanted)) == {"b.1": None}
    assert dict(made.start_all(wanted[:1])) == {}
    clusters.released.set()
    told: dict[AttemptId, BerthError | None] = {}

    def comes() -> bool:
        told.update(made.start_all(wanted[:1]))
        return bool(told)

    until(comes)
    assert told == {"a.1": None}
    assert sorted(clusters.started) == ["a.1", "b.1"]


def test_an_answer_that_comes_late_and_is_not_wanted_is_forgotten(
    clusters: Clusters, made: Starts
) -> None:
    made.start_all([order("a.1", "east")])
    clusters.released.set()
    made.close()
    assert dict(made.start_all([])) == {}


def test_what_is_refused_is_told_and_a_conflict_pauses(
    clusters: Clusters, made: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FIRST_SECONDS", 3_600.0)
    monkeypatch.setattr(patience, "LAST_SECONDS", 3_600.0)
    clusters.refuses = RefusedError("no poison here")
    assert made.start_all([order("b.1", "west")])[AttemptId("b.1")] is clusters.refuses
    clusters.refuses = ConflictError("someone else wrote")
    assert made.start_all([order("b.2", "west")])[AttemptId("b.2")] is clusters.refuses
    assert dict(made.start_all([order("b.2", "west")])) == {}


def test_a_cluster_that_is_left_alone_is_not_asked(clusters: Clusters, made: Starts) -> None:
    clusters.gates["west"].failed("no route", retry_after_seconds=3_600.0)
    assert dict(made.start_all([order("b.1", "west")])) == {}
    assert clusters.started == []
