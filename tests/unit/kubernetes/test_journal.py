"""What pods measured: kept, put together over the pods of a server, read once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.model.errors import DamagedError
from engine.model.fleet import Fleet
from engine.ports import SignalSource
from engine.testing import samples
from engine.testing.clocks import ManualClock
from engine.testing.watch_suites import SignalSourceSuite
from executors.kubernetes.journal import Journal, Sender
from executors.kubernetes.pod_signals import PodSignals

HOUR = 3_600.0
SENDER = Sender(pipeline="heart", task="serve", cluster="there", pool="nodes")


def line(name: str = "requests", at: float = 10.0, value: float = 1.0, **more: object) -> bytes:
    document = {"name": name, "layer": "serving", "subject": "model:heart", "at": at}
    return json.dumps({**document, "value": value, **more}).encode() + b"\n"


class World:
    """A journal that an endpoint appends to, and the source that reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock(100.0)
        self.journal = Journal(folder, self.clock)
        fleet = samples.FixedFleet(Fleet(clusters=samples.fleet("there").clusters))
        self.source = PodSignals(self.journal, fleet, self.clock)

    def values(self, position: str = "") -> dict[str, float]:
        return {each.name: each.value for each in self.source.read(position)[0]}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "signals")


class TestPodSignals(SignalSourceSuite):
    """The contract of the port."""

    @pytest.fixture
    def source(self, world: World) -> SignalSource:
        world.journal.append(SENDER, line(at=20.0) + line(at=10.0))
        return world.source


def test_the_sender_and_its_cluster_label_what_is_told(world: World) -> None:
    world.journal.append(SENDER, line(labels={"model": "heart", "cluster": "elsewhere"}))
    ((signal,), _) = world.source.read("")
    here = samples.fleet("there").clusters[0]
    assert dict(signal.labels) == {
        **SENDER.labels,
        "model": "heart",
        "provider": here.provider.value,
        "region": here.region,
    }


def test_pods_of_a_server_are_told_as_one(world: World) -> None:
    one = (
        line("requests", value=30, shape="count")
        + line("errors_share", value=0.1, shape="share", weight=30)
        + line("latency_ms_p99", value=8.0, weight=30)
        + line("feature_mean", value=100.0, weight=30)
    )
    other = (
        line("requests", value=10, shape="count")
        + line("errors_share", value=0.5, shape="share", weight=10)
        + line("latency_ms_p99", value=12.0, weight=10)
        + line("feature_mean", value=200.0, weight=10)
    )
    for content in (one, other):
        world.journal.append(SENDER, content)
    assert world.values() == pytest.approx(
        {"requests": 40.0, "errors_share": 0.2, "latency_ms_p99": 12.0, "feature_mean": 125.0}
    )


def test_a_window_that_has_just_ended_is_waited_for(world: World) -> None:
    world.journal.append(SENDER, line(at=90.0))
    world.journal.append(SENDER, line(at=99.5, value=3.0, shape="count"))
    first, position = world.source.read("")
    assert [each.at for each in first] == [90.0]
    world.journal.append(SENDER, line(at=99.5, value=4.0, shape="count"))
    world.clock.advance(1.0)
    ((window,), _) = world.source.read(position)
    assert (window.at, window.value) == (99.5, 7.0)


def test_a_clock_that_is_ahead_holds_up_nobody(world: World) -> None:
    world.journal.append(SENDER, line(at=100.0 + HOUR))
    world.clock.advance(2.0)
    ((signal,), _) = world.source.read("")
    assert signal.at == 100.0


@pytest.mark.parametrize("wrong", [b"{}\n", b"requests 3\n", line(subject="model:reports")])
def test_what_is_no_signal_of_the_sender_is_refused_whole(world: World, wrong: bytes) -> None:
    with pytest.raises(DamagedError):
        world.journal.append(SENDER, line() + wrong)
    assert world.values() == {}


def test_files_that_were_read_are_removed_an_hour_later(world: World) -> None:
    world.journal.append(SENDER, line())
    _, position = world.source.read("")
    (file,) = world.folder.iterdir()
    world.clock.advance(2 * HOUR)
    assert world.source.read("")[0], "nobody has stored yet that it was read"
    assert file.exists()
    assert world.source.read(position) == ((), "{}")
    assert not file.exists()


def test_engines_that_share_a_folder_do_not_mix_their_lines(world: World) -> None:
    Journal(world.folder, world.clock, "second").append(SENDER, line(value=2.0, shape="count"))
    world.journal.append(SENDER, line(value=3.0, shape="count"))
    assert len(list(world.folder.iterdir())) == 2
    assert world.values() == {"requests": 5.0}


@pytest.mark.parametrize("position", ["{", "[1]", '{"a": "b"}'])
def test_a_damaged_position_begins_anew(world: World, position: str) -> None:
    world.journal.append(SENDER, line())
    assert world.values(position) == {"requests": 1.0}


def test_a_damaged_line_is_passed_over(world: World) -> None:
    world.journal.append(SENDER, line())
    (file,) = world.folder.iterdir()
    file.write_bytes(b"{\n" + file.read_bytes() + b'{"half')
    signals, position = world.source.read("")
    assert len(signals) == 1
    assert json.loads(position)[file.name] == file.stat().st_size - len(b'{"half')
