"""Signals of tasks and of their clusters."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.model.specs import TaskKind
from engine.testing.clocks import ManualClock
from executors.local import LocalSignals, files, measurements, processes
from tests.support.local_cluster import LASTS, WRITES, LocalCluster, wait_for

SIGNAL = {"name": "rows", "layer": "etl", "subject": "task:heart/task", "at": 5.0, "value": 3.0}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    found = LocalCluster(tmp_path)
    yield found
    processes.kill_having({"BERTH_HOME": str(tmp_path)})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


@pytest.fixture
def source(cluster: LocalCluster, clock: ManualClock) -> LocalSignals:
    return LocalSignals(cluster.home, cluster.source, clock)


def says(cluster: LocalCluster, text: str) -> None:
    with (cluster.folder() / files.SIGNALS).open("a") as file:
        file.write(text)


def machine(source: LocalSignals) -> dict[str, float]:
    signals, _ = source.read("")
    return {each.name: each.value for each in signals if each.subject == "cluster:here"}


def test_nothing_ran_and_still_the_cluster_is_looked_at(source: LocalSignals) -> None:
    assert machine(source) == {
        "reachable": 1.0,
        "cpu_cores_used": 0.0,
        "memory_gib_used": 0.0,
        "processes": 0.0,
    }


def test_a_failed_cluster_is_not_reachable(cluster: LocalCluster, source: LocalSignals) -> None:
    cluster.switch.fail("here")
    assert machine(source)["reachable"] == 0.0


def test_a_cluster_uses_what_its_tasks_use(cluster: LocalCluster, source: LocalSignals) -> None:
    cluster.executor.start(cluster.order("held = bytearray(100 << 20); " + LASTS))
    wait_for(lambda: machine(source)["memory_gib_used"] > 0.1)
    assert machine(source)["processes"] == 1.0


def test_processor_use_is_counted_between_looks(
    cluster: LocalCluster, source: LocalSignals, clock: ManualClock
) -> None:
    cluster.executor.start(cluster.order("while True: pass"))
    wait_for(lambda: machine(source)["processes"] == 1.0)

    def used() -> bool:
        clock.advance(1.0)
        return machine(source)["cpu_cores_used"] > 0

    wait_for(used)


def test_the_cluster_is_looked_at_once_a_window(source: LocalSignals, clock: ManualClock) -> None:
    _, position = source.read("")
    assert source.read(position)[0] == []
    clock.advance(1.0)
    assert len(source.read(position)[0]) == 4


def test_signals_get_the_executors_labels(cluster: LocalCluster, source: LocalSignals) -> None:
    cluster.run(cluster.order(WRITES))
    says(cluster, json.dumps({**SIGNAL, "labels": {"task": "mine"}}) + "\n")
    found = next(each for each in source.read("")[0] if each.name == "rows")
    assert found.labels == {
        "pipeline": "heart",
        "task": "mine",
        "cluster": "here",
        "pool": "nodes",
        "provider": "on-premises",
        "region": "here",
    }


def test_each_signal_is_read_once(cluster: LocalCluster, source: LocalSignals) -> None:
    cluster.run(cluster.order(WRITES))
    says(cluster, json.dumps(SIGNAL) + "\n")
    first, position = source.read("")
    says(cluster, json.dumps({**SIGNAL, "at": 6.0}) + "\n")
    second, _ = source.read(position)
    assert [each.at for each in first if each.name == "rows"] == [5.0]
    assert [each.at for each in second] == [6.0]


def test_half_a_line_waits_for_the_rest(cluster: LocalCluster, source: LocalSignals) -> None:
    cluster.run(cluster.order(WRITES))
    text = json.dumps(SIGNAL) + "\n"
    says(cluster, text[:20])
    signals, position = source.read("")
    assert not [each for each in signals if each.name == "rows"]
    says(cluster, text[20:])
    assert [each.name for each in source.read(position)[0]] == ["rows"]


def test_a_line_without_an_end_keeps_nothing_back(
    cluster: LocalCluster, source: LocalSignals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements, "_READ_BYTES_MAX", 1_000)
    cluster.run(cluster.order(WRITES))
    says(cluster, "x" * 2_500 + "\n" + json.dumps(SIGNAL) + "\n")
    found, position = [], ""
    for _ in range(4):
        signals, position = source.read(position)
        found += [each.name for each in signals]
    assert "rows" in found


def test_a_pipe_in_the_place_of_an_order_holds_nobody_up(
    cluster: LocalCluster, source: LocalSignals
) -> None:
    cluster.run(cluster.order(WRITES))
    order = cluster.folder() / files.ORDER
    order.unlink()
    os.mkfifo(order)
    assert machine(source)["processes"] == 0.0


def test_a_line_that_is_no_signal_is_logged(
    cluster: LocalCluster, source: LocalSignals, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.run(cluster.order(WRITES))
    says(cluster, "rubbish\n" + json.dumps(SIGNAL) + "\n")
    assert [each.name for each in source.read("")[0] if each.layer == "etl"] == ["rows"]
    assert "no signal" in caplog.text


@pytest.mark.parametrize("position", ["{", "[]", '{"offsets": 3}'])
def test_a_damaged_position_starts_anew(
    source: LocalSignals, position: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(source.read(position)[0]) == 4
    assert "damaged" in caplog.text


def test_what_a_service_uses_is_measured(
    cluster: LocalCluster, source: LocalSignals, clock: ManualClock
) -> None:
    order = replace(cluster.order("held = bytearray(100 << 20); " + LASTS), kind=TaskKind.SERVE)
    cluster.executor.start(order)

    def measured() -> dict[str, float]:
        clock.advance(1.0)
        signals, _ = source.read("")
        return {s.name: s.value for s in signals if s.subject == "service:heart/task"}

    wait_for(lambda: measured().get("service_memory_gib", 0.0) > 0.1)
    assert measured().keys() == {"service_cpu_cores", "service_memory_gib"}
