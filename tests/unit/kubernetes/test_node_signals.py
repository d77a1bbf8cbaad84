"""Nodes in trouble, as the watch is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from engine.model.fleet import Fleet
from engine.ports import SignalSource
from engine.testing import samples
from engine.testing.clocks import ManualClock
from engine.testing.watch_suites import SignalSourceSuite
from executors.kubernetes import nodes
from executors.kubernetes.api import Document
from executors.kubernetes.node_signals import WINDOWS_AFTER, NodeSignals
from tests.support.kubernetes_documents import node


def troubled(name: str, *conditions: tuple[str, str, str]) -> Document:
    """Return a node with conditions (type, status, reason) beside being ready."""
    made = node(name)
    known = {each["type"]: each for each in made["status"]["conditions"]}
    for kind, status, reason in conditions:
        known[kind] = {"type": kind, "status": status, "reason": reason}
    made["status"]["conditions"] = list(known.values())
    return nodes.keep_node(made)


class Cluster:
    """One cluster whose nodes a test changes."""

    def __init__(self) -> None:
        self.clock = ManualClock(100.0)
        self.found: dict[str, Sequence[Document]] = {"east": [troubled("a"), troubled("b")]}
        (east,) = samples.fleet("east").clusters
        self.fleet = samples.FixedFleet(Fleet(clusters=(replace(east, executor="kubernetes"),)))
        self.source = NodeSignals(self, self.fleet, self.clock, window_seconds=10.0)

    def nodes(self) -> Mapping[str, Sequence[Document]]:
        return self.found

    def told(self) -> list[tuple[str, str, float]]:
        self.clock.advance(10.0)
        signals, _ = self.source.read("")
        return [(each.subject, each.name, each.value) for each in signals]


FULL = ("DiskPressure", "True", "KubeletHasDiskPressure")


class TestContract(SignalSourceSuite):
    @pytest.fixture
    def source(self) -> SignalSource:
        cluster = Cluster()
        cluster.found["east"] = [troubled("a", FULL)]
        return cluster.source


def test_nodes_that_are_well_say_nothing() -> None:
    assert Cluster().told() == []


def test_a_node_in_trouble_is_told_while_it_lasts_and_a_while_after() -> None:
    cluster = Cluster()
    cluster.found["east"] = [troubled("a", FULL), troubled("b")]
    assert cluster.told() == cluster.told() == [("node:east/a", "node_disk_pressure", 1.0)]
    cluster.found["east"] = [troubled("a"), troubled("b")]
    after = [cluster.told() for _ in range(WINDOWS_AFTER)]
    assert after == [[("node:east/a", "node_disk_pressure", 0.0)]] * WINDOWS_AFTER
    assert cluster.told() == []


def test_the_reason_and_the_place_are_labels() -> None:
    cluster = Cluster()
    cluster.found["east"] = [troubled("a", FULL)]
    ((signal,), _) = cluster.source.read("")
    assert signal.labels == {
        "cluster": "east",
        "provider": "on-premises",
        "region": "here",
        "node": "a",
        "reason": "KubeletHasDiskPressure",
    }


def test_within_a_window_nothing_is_looked_at() -> None:
    cluster = Cluster()
    _, position = cluster.source.read("")
    cluster.clock.advance(9.0)
    assert cluster.source.read(position) == ((), position)


def test_a_cluster_that_does_not_answer_tells_nothing_of_its_nodes() -> None:
    cluster = Cluster()
    cluster.found["east"] = [troubled("a", FULL)]
    assert cluster.told()
    cluster.fleet.down.add("east")
    assert cluster.told() == []


@pytest.mark.parametrize(
    ("condition", "trouble"),
    [
        (("Ready", "False", "KubeletNotReady"), {"node_not_ready": "KubeletNotReady"}),
        (("Ready", "Unknown", "NodeStatusUnknown"), {"node_not_ready": "NodeStatusUnknown"}),
        (("MemoryPressure", "True", ""), {"node_memory_pressure": ""}),
        (("MemoryPressure", "Unknown", "NodeStatusUnknown"), {}),
        (("PIDPressure", "True", "x"), {"node_pid_pressure": "x"}),
        (("NetworkUnavailable", "True", "x"), {"node_network_unavailable": "x"}),
        (("ReadonlyFilesystem", "True", "x"), {"node_disk_readonly": "x"}),
        (("KernelDeadlock", "False", "x"), {}),
        (("EtcdIsVoter", "True", "MemberNotLearner"), {}),
    ],
)
def test_conditions_are_read_as_their_authors_mean_them(
    condition: tuple[str, str, str], trouble: dict[str, str]
) -> None:
    assert troubled("a", condition)["trouble"] == trouble
