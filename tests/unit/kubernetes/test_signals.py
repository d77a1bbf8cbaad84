"""Whether Kubernetes clusters answer, as the watch is told."""

from __future__ import annotations

from dataclasses import replace

from engine.model.fleet import Fleet
from engine.model.resources import Resources
from engine.testing import samples
from engine.testing.clocks import ManualClock
from executors.kubernetes import KubernetesSignals


def source(*, taken: Resources | None = None) -> samples.FixedFleet:
    here, there = samples.fleet("here", "there").clusters
    pools = tuple(replace(pool, taken=taken) for pool in there.pools)
    return samples.FixedFleet(
        Fleet(clusters=(here, replace(there, executor="kubernetes", pools=pools)))
    )


def test_a_silent_cluster_is_told_and_local_ones_are_left_to_others() -> None:
    fleet, clock = source(), ManualClock(100.0)
    signals = KubernetesSignals(fleet, clock, window_seconds=10.0)
    before, position = signals.read("")
    fleet.down.add("there")
    clock.advance(10.0)
    after, _ = signals.read(position)
    told = [(each.subject, each.name, each.at, each.value) for each in (*before, *after)]
    assert told == [
        ("cluster:there", "reachable", 100.0, 1.0),
        ("cluster:there", "nodes", 100.0, 4.0),
        ("cluster:there", "reachable", 110.0, 0.0),
        ("cluster:there", "nodes", 110.0, 4.0),
    ]


def test_within_a_window_nothing_is_looked_at() -> None:
    clock = ManualClock(100.0)
    signals = KubernetesSignals(source(), clock, window_seconds=10.0)
    _, position = signals.read("")
    clock.advance(9.0)
    assert signals.read(position) == ((), position)


def test_what_others_hold_is_a_signal_where_it_is_known() -> None:
    taken = Resources(cpu_cores=3.0, memory_gib=2.0, gpu_count=1.0)
    found, _ = KubernetesSignals(source(taken=taken), ManualClock()).read("")
    values = {each.name: (each.value, each.unit) for each in found}
    assert values == {
        "reachable": (1.0, ""),
        "cpu_cores_taken": (3.0, "cores"),
        "memory_gib_taken": (2.0, "GiB"),
        "gpus_taken": (1.0, "GPUs"),
        "nodes": (4.0, "nodes"),
    }
