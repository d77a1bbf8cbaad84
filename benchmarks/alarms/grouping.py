"""Pair-F1 of super-alarms against injected faults, alone and with two systems interleaved.

Reads every system below `alarms/*/label.csv`. Metric and trace alerts are replayed as one stream
through the streaming grouper, without a topology, with default settings. An alert counts for
the group in which it stood five minutes after it fired. Interleaved: the second half of the
faults is moved so that it starts 300 s after the first, and the names of entities get a prefix
by half. Below, without a bar: with topology, with logs, without the test for onsets, and with
alarms that fire again at random, because each alarm of this data fires once a fault.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Step
from alarms.grouping.streaming import StreamGrouper, StreamSettings
from benchmarks import frame
from benchmarks.alarms import _faults
from benchmarks.alarms._faults import Firing, System

AFTER_SECONDS = 300.0
GROUPS_PER_FAULT = 1.2
APART_SECONDS = 300.0
Edges = Sequence[tuple[str, str]]


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Score every system."""
    for system in _faults.systems(context):
        stream = [firing for firing in system.firings if firing.source != "log"]
        yield from _alone(system, stream)
        yield from _interleaved(system, stream)
        if not context.quick:
            yield from _without_bars(system, stream)


def _alone(system: System, stream: Sequence[Firing]) -> Iterator[frame.Figure]:
    groups = standing(stream, StreamGrouper())
    labels = [firing.fault for firing in stream]
    faults = len(set(labels))
    gap = pair_f1(time_gap(stream, 30.0), labels)
    yield frame.at_least(
        f"{system.name}: pair-F1",
        pair_f1(groups, labels),
        0.97,
        anchor=f"time gap of 30 s {gap:.3f}; Alertmanager .095",
    )
    yield frame.at_most(
        f"{system.name}: groups for {faults} faults",
        len(set(groups)),
        GROUPS_PER_FAULT * faults,
        anchor=f"{len(stream)} alerts",
    )


def _interleaved(system: System, stream: Sequence[Firing]) -> Iterator[frame.Figure]:
    mixed, _ = interleaved(system, stream)
    labels = [firing.fault for firing in mixed]
    gap = pair_f1(time_gap(mixed, 30.0), labels)
    yield frame.at_least(
        f"{system.name}: pair-F1, two halves interleaved",
        pair_f1(standing(mixed, StreamGrouper()), labels),
        0.85,
        anchor=f"time gap of 30 s {gap:.3f}",
    )


def _without_bars(system: System, stream: Sequence[Firing]) -> Iterator[frame.Figure]:
    labels = [firing.fault for firing in stream]
    mixed, edges = interleaved(system, stream)
    mixed_labels = [firing.fault for firing in mixed]
    known = [(one, other) for one, other, _ in system.edges]
    no_onsets = StreamSettings(decide_seconds=-1.0)
    again = fired_again(stream, share=0.1)

    def figure(what: str, found: Sequence[str], truth: Sequence[str]) -> frame.Figure:
        return frame.informs(
            f"{system.name}: pair-F1, {what}",
            pair_f1(found, truth),
            anchor=f"{len(set(found))} groups",
        )

    yield figure("with topology", standing(stream, StreamGrouper(topology=known)), labels)
    yield figure(
        "interleaved, with topology", standing(mixed, StreamGrouper(topology=edges)), mixed_labels
    )
    yield figure(
        "with logs",
        standing(system.firings, StreamGrouper()),
        [firing.fault for firing in system.firings],
    )
    yield figure("without the test for onsets", standing(stream, StreamGrouper(no_onsets)), labels)
    yield figure(
        "each alarm fires again with probability .1",
        standing(again, StreamGrouper()),
        [firing.fault for firing in again],
    )


def standing(stream: Sequence[Firing], grouper: StreamGrouper) -> list[str]:
    """Return the group in which each alert of a stream stood five minutes after it fired."""
    group_of: dict[str, str] = {}
    members: dict[str, set[str]] = {}
    final: list[str] = []
    for firing in stream:
        while len(final) < len(stream) and stream[len(final)].alert.at + AFTER_SECONDS < (
            firing.alert.at
        ):
            final.append(group_of[stream[len(final)].alert.alert_id])
        for change in grouper.extend([firing.alert]):
            moved: Iterable[str] = change.alert_ids
            if change.step is Step.MERGED:
                moved = members.pop(change.other_id, set())
            for alert_id in moved:
                members.get(group_of.get(alert_id, ""), set()).discard(alert_id)
                group_of[alert_id] = change.group_id
                members.setdefault(change.group_id, set()).add(alert_id)
    final += [group_of[firing.alert.alert_id] for firing in stream[len(final) :]]
    return final


def interleaved(system: System, stream: Sequence[Firing]) -> tuple[list[Firing], Edges]:
    """Return both halves of the faults as one stream, with their topologies."""
    faults = sorted(system.faults, key=lambda fault: fault.started_at)
    middle = len(faults) // 2
    later = {fault.number for fault in faults[middle:]}
    shift = faults[middle].started_at - faults[0].started_at - APART_SECONDS
    mixed = [
        _renamed(firing, "b-", shift) if firing.fault in later else _renamed(firing, "a-", 0.0)
        for firing in stream
    ]
    mixed.sort(key=lambda firing: (firing.alert.at, firing.alert.alert_id))
    edges = [(half + one, half + other) for half in ("a-", "b-") for one, other, _ in system.edges]
    return mixed, edges


def _renamed(firing: Firing, prefix: str, shift: float) -> Firing:
    alert = dataclasses.replace(
        firing.alert,
        at=firing.alert.at - shift,
        entity=prefix + firing.alert.entity,
        related=tuple(prefix + name for name in firing.alert.related),
    )
    return dataclasses.replace(firing, alert=alert)


def fired_again(stream: Sequence[Firing], *, share: float) -> list[Firing]:
    """Return a stream in which alarms fire a second time within the two minutes after."""
    rng = random.Random(0)
    more = list(stream)
    for firing in stream:
        if rng.random() < share:
            again: Alert = dataclasses.replace(
                firing.alert,
                alert_id=f"{firing.alert.alert_id}/again",
                at=firing.alert.at + rng.uniform(1.0, 120.0),
            )
            more.append(dataclasses.replace(firing, alert=again))
    return sorted(more, key=lambda firing: (firing.alert.at, firing.alert.alert_id))


def time_gap(stream: Sequence[Firing], seconds: float) -> list[str]:
    """Return groups by pauses alone."""
    found: list[str] = []
    number, before = 0, float("-inf")
    for firing in stream:
        number += firing.alert.at - before > seconds
        before = firing.alert.at
        found.append(str(number))
    return found


def pair_f1(found: Sequence[str], labels: Sequence[str]) -> float:
    """Return F1 over pairs of alerts: in one group against of one fault."""

    def pairs(counts: Counter[object]) -> int:
        return sum(count * (count - 1) // 2 for count in counts.values())

    both = pairs(Counter(zip(found, labels, strict=True)))
    total = pairs(Counter(found)) + pairs(Counter(labels))
    return 2.0 * both / total if total else 1.0
