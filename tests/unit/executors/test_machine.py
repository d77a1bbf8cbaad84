"""The machine itself: what passed, what is left, and when that is too little."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.model.signals import Shape
from engine.ports import SignalSource
from engine.testing.clocks import ManualClock
from engine.testing.watch_suites import SignalSourceSuite
from executors.local import MachineSignals
from executors.local.machine import (
    GPU_SECONDS,
    Counters,
    Room,
    read_counters,
    read_gpus,
    read_room,
)

GIB = 2.0**30
ROOM = Room(memory_bytes=4 * GIB, disk_bytes=40 * GIB, disk_bytes_total=200 * GIB)
SMI = """0, Tesla T4, 35, 1024, 51, 28.41, 0
1, NVIDIA GeForce GTX 1080, [N/A], 2048, 60, [N/A], [N/A]
"""


class Machine:
    """A machine whose counters a test moves."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_000.0)
        self.counters = Counters()
        self.room = ROOM
        self.gpus: Sequence[Mapping[str, str]] = ()
        self.source = MachineSignals(
            Path("/"),
            self.clock,
            window_seconds=10.0,
            counters=lambda: self.counters,
            room=lambda _: self.room,
            gpus=lambda: self.gpus,
        )

    def values(self) -> dict[str, float]:
        signals, _ = self.source.read("")
        return {signal.name: signal.value for signal in signals}


class TestContract(SignalSourceSuite):
    @pytest.fixture
    def source(self, tmp_path: Path) -> SignalSource:
        return MachineSignals(tmp_path, ManualClock(5.0))


def test_rates_are_what_passed_between_two_looks() -> None:
    machine = Machine()
    assert "disk_read_mib_per_second" not in machine.values()
    machine.clock.advance(10.0)
    machine.counters = Counters(
        disk_read_bytes=20 * 2**20, network_sent_bytes=5e6, network_faults=7.0
    )
    found = machine.values()
    assert found["disk_read_mib_per_second"] == 2.0
    assert found["network_sent_mbps"] == 4.0
    assert found["network_faults"] == 7.0


def test_counters_that_began_anew_tell_nothing() -> None:
    machine = Machine()
    machine.counters = Counters(disk_read_bytes=1e9, network_faults=9.0)
    machine.values()
    machine.clock.advance(10.0)
    machine.counters = Counters()
    assert not {"disk_read_mib_per_second", "network_faults"} & machine.values().keys()


def test_the_machine_is_looked_at_once_a_window() -> None:
    machine = Machine()
    _, position = machine.source.read("")
    machine.clock.advance(9.0)
    assert machine.source.read(position) == ((), position)


@pytest.mark.parametrize(
    ("room", "memory", "disk"),
    [
        (ROOM, 0.0, 0.0),
        (replace(ROOM, memory_bytes=50 * 2**20), 1.0, 0.0),
        (replace(ROOM, disk_bytes=6 * GIB), 0.0, 0.0),
        (replace(ROOM, disk_bytes=4 * GIB), 0.0, 1.0),
        (replace(ROOM, disk_bytes=4 * GIB, disk_bytes_total=20 * GIB), 0.0, 0.0),
        (replace(ROOM, inodes=40.0, inodes_total=1_000.0), 0.0, 1.0),
        (replace(ROOM, inodes=0.0, inodes_total=0.0), 0.0, 0.0),
    ],
)
def test_pressure_is_told_as_a_kubelet_would(room: Room, memory: float, disk: float) -> None:
    machine = Machine()
    machine.room = room
    found = machine.values()
    assert (found["node_memory_pressure"], found["node_disk_pressure"]) == (memory, disk)


def test_what_is_left_is_that_of_the_disk_below_a_folder(tmp_path: Path) -> None:
    here, there = read_room(tmp_path), read_room(tmp_path / "not" / "yet")
    assert here.disk_bytes_total == there.disk_bytes_total > 0
    assert 0 < here.disk_bytes <= here.disk_bytes_total


def test_what_goes_through_the_loopback_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = {"bytes_sent": 5, "bytes_recv": 7, "errin": 1, "errout": 2, "dropin": 3, "dropout": 4}
    card = SimpleNamespace(**counted)
    cards = {"lo": card, "eth0": card, "eth1": card}
    monkeypatch.setattr("psutil.net_io_counters", lambda **_: cards)
    monkeypatch.setattr("psutil.disk_io_counters", lambda: None)
    assert read_counters() == Counters(
        network_sent_bytes=10, network_received_bytes=14, network_faults=20
    )


def test_faults_of_the_network_are_counted() -> None:
    machine = Machine()
    machine.values()
    machine.clock.advance(10.0)
    signals, _ = machine.source.read("")
    assert {each.name for each in signals if each.shape is Shape.COUNT} == {"network_faults"}


def test_gpus_tell_what_they_can_measure() -> None:
    machine = Machine()
    machine.gpus = read_gpus(lambda _: SMI)
    signals, _ = machine.source.read("")
    found = {
        (each.subject.rpartition("/")[2], each.name): (each.value, each.unit)
        for each in signals
        if each.subject.startswith("gpu:")
    }
    assert found == {
        ("0", "gpu_used_share"): (0.35, ""),
        ("0", "gpu_memory_gib_used"): (1.0, "GiB"),
        ("0", "gpu_temperature_celsius"): (51.0, "°C"),
        ("0", "gpu_power_watts"): (28.41, "W"),
        ("0", "gpu_memory_errors"): (0.0, "errors"),
        ("1", "gpu_memory_gib_used"): (2.0, "GiB"),
        ("1", "gpu_temperature_celsius"): (60.0, "°C"),
    }


def test_gpus_are_asked_seldom() -> None:
    machine = Machine()
    machine.gpus = read_gpus(lambda _: SMI)
    machine.values()
    machine.clock.advance(GPU_SECONDS / 2)
    assert "gpu_memory_gib_used" not in machine.values()
    machine.clock.advance(GPU_SECONDS / 2)
    assert "gpu_memory_gib_used" in machine.values()


def test_gpus_that_do_not_answer_are_left_out() -> None:
    def broken(command: Sequence[str]) -> str:
        raise subprocess.CalledProcessError(9, command)

    assert read_gpus(broken) == []


def test_the_tool_of_the_driver_is_run_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, Tesla T4, 35, 1024, 51, 28.41, 0'\n")
    tool.chmod(0o755)
    (gpu,) = read_gpus()
    assert (gpu["name"], gpu["utilization.gpu"]) == ("Tesla T4", "35")
