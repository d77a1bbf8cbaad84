"""What holds of the streaming grouper for any stream."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Reason, Step
from alarms.grouping.streaming import StreamGrouper, StreamSettings
from tests.support.alert_streams import groups, partition

ENTITIES = ["a", "b", "c", "d", "e"]


@st.composite
def streams(draw: st.DrawFn) -> list[Alert]:
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 60).map(lambda n: n * 10.0),
                st.sampled_from(["x", "y", "z"]),
                st.sampled_from(ENTITIES),
                st.lists(st.sampled_from(ENTITIES), max_size=1),
            ),
            max_size=30,
        )
    )
    return [
        Alert(alert_id=f"{n:03d}", at=at, name=name, entity=entity, related=tuple(related))
        for n, (at, name, entity, related) in enumerate(rows)
    ]


@given(streams(), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_order_given_does_not_matter(stream: list[Alert], rng: random.Random) -> None:
    shuffled = list(stream)
    rng.shuffle(shuffled)
    assert StreamGrouper().extend(stream) == StreamGrouper().extend(shuffled)


@given(streams())
@settings(max_examples=25, deadline=None)
def test_a_replay_gives_the_same_bytes(stream: list[Alert]) -> None:
    ordered = sorted(stream, key=lambda alert: (alert.at, alert.alert_id))
    once = repr(StreamGrouper().extend(ordered))
    assert repr(StreamGrouper().extend(ordered)) == once


@given(streams())
@settings(max_examples=25, deadline=None)
def test_other_names_of_entities_change_only_names(stream: list[Alert]) -> None:
    other = {name: f"renamed-{index}" for index, name in enumerate(reversed(ENTITIES))}
    renamed = [
        dataclasses.replace(
            alert,
            entity=other[alert.entity],
            related=tuple(other[name] for name in alert.related),
        )
        for alert in stream
    ]
    assert StreamGrouper().extend(stream) == StreamGrouper().extend(renamed)


@given(streams())
@settings(max_examples=25, deadline=None)
def test_every_alert_stands_in_one_group_and_none_is_lost(stream: list[Alert]) -> None:
    changes = StreamGrouper().extend(stream)
    assert set(groups(changes)) == {alert.alert_id for alert in stream}
    opened = {change.group_id for change in changes if change.step is Step.OPENED}
    split = {change.group_id for change in changes if change.step is Step.SPLIT}
    assert set(groups(changes).values()) <= opened | split
    assert all(isinstance(change.reason, Reason) for change in changes)


@given(streams())
@settings(max_examples=25, deadline=None)
def test_the_count_of_open_groups_is_that_of_their_alerts(stream: list[Alert]) -> None:
    grouper = StreamGrouper()
    found = partition(grouper.extend(stream))
    sizes = sorted(len(members) for members in found)
    assert all(episode.alerts in sizes for episode in grouper.open)


@pytest.mark.parametrize("stretch_seconds", [0.0, 100.0])
@given(stream=streams())
@settings(max_examples=25, deadline=None)
def test_nothing_grows_that_is_over_or_part_of_another(
    stretch_seconds: float, stream: list[Alert]
) -> None:
    grouper = StreamGrouper(StreamSettings(gap_seconds=15.0, stretch_seconds=stretch_seconds))
    # One of the names is an everyday one, which lets others interrupt events.
    known = [
        Alert(alert_id=f"known {n} {entity}", at=-20_000.0 * n, name="x", entity=entity)
        for n in range(1, 21)
        for entity in ENTITIES
    ]
    over: set[str] = set()
    gone: set[str] = set()
    changes = [*grouper.extend([*known, *stream]), *grouper.advance(1e6)]
    for change in changes:
        assert change.group_id not in gone
        if change.step is Step.RESUMED:
            over.remove(change.group_id)
        assert change.group_id not in over
        if change.step is Step.CLOSED:
            over.add(change.group_id)
        elif change.step is Step.MERGED:
            gone.add(change.other_id)
    assert set(groups(changes)) == {alert.alert_id for alert in [*known, *stream]}
    assert not grouper.open


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_time_itself_does_not_matter(seconds: float) -> None:
    stream = [Alert(alert_id=str(n), at=40.0 * n, name="x", entity="a") for n in range(5)]
    moved = [dataclasses.replace(alert, at=alert.at + seconds) for alert in stream]
    assert StreamGrouper().extend(stream) == StreamGrouper().extend(moved)
