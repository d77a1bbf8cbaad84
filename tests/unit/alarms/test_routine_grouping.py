"""Everyday alarms are one stretch; what else fires is an event of its own."""

from __future__ import annotations

import random

import pytest

from alarms.grouping import routine
from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Change, Reason, Step
from alarms.grouping.routine import BURSTS_LEAST, Routines
from alarms.grouping.streaming import StreamGrouper, StreamSettings
from tests.support.alert_streams import firing, groups, partition

GAP_SECONDS = 10.0
STRETCH_SECONDS = 100.0
EVERY_SECONDS = 60.0
SETTINGS = StreamSettings(gap_seconds=GAP_SECONDS, stretch_seconds=STRETCH_SECONDS)
LEARNED_AT = BURSTS_LEAST * EVERY_SECONDS
"""From then on `noise` is routine."""


def noise(first: int, last: int, *related: str, entity: str = "mail") -> list[Alert]:
    """Return firings of an everyday alarm, once a minute."""
    return [firing("noise", n * EVERY_SECONDS, entity, *related) for n in range(first, last)]


def learned(settings: StreamSettings = SETTINGS) -> StreamGrouper:
    """Return a grouper that knows the everyday alarm, with nothing open."""
    grouper = StreamGrouper(settings)
    grouper.extend(noise(0, BURSTS_LEAST))
    grouper.advance(LEARNED_AT - EVERY_SECONDS + STRETCH_SECONDS + 1.0)
    assert not grouper.open
    return grouper


def later(number: int) -> float:
    """Return the time of a firing after all was learned."""
    return LEARNED_AT + (number + 10) * EVERY_SECONDS


def stretch(first: int, last: int) -> list[Alert]:
    """Return everyday firings after all was learned."""
    return [firing("noise", later(number), "mail") for number in range(first, last)]


def test_an_alarm_is_routine_after_many_bursts() -> None:
    changes = StreamGrouper(SETTINGS).extend(noise(0, BURSTS_LEAST + 5))
    assert sorted(map(len, partition(changes))) == [1] * (BURSTS_LEAST) + [5]


def test_without_the_setting_all_alarms_are_judged_alike() -> None:
    grouper = StreamGrouper(StreamSettings(gap_seconds=GAP_SECONDS))
    assert len(partition(grouper.extend(noise(0, BURSTS_LEAST + 5)))) == BURSTS_LEAST + 5


def test_a_longer_pause_ends_a_stretch() -> None:
    changes = learned().extend([*stretch(0, 3), *stretch(6, 8)])
    assert sorted(map(len, partition(changes))) == [2, 3]
    assert [change.reason for change in changes if change.step is Step.CLOSED] == [Reason.SILENCE]


def test_an_event_takes_its_burst_along_and_ends_the_stretch() -> None:
    attack = firing("attack", later(2) + 5.0, "shop")
    changes = learned().extend([*stretch(0, 3), attack, *stretch(3, 5)])
    found = groups(changes)
    ids = [alert.alert_id for alert in stretch(0, 5)]
    assert found[ids[2]] == found[attack.alert_id]
    assert [found[ids[0]], found[ids[3]]] == [found[ids[1]], found[ids[4]]]
    assert len(set(found.values())) == 3
    split = next(change for change in changes if change.step is Step.SPLIT)
    assert (split.reason, split.other_id) == (Reason.UNUSUAL, found[ids[0]])


def test_an_event_after_a_pause_is_its_own() -> None:
    attack = firing("attack", later(2) + 30.0, "shop")
    changes = learned().extend([*stretch(0, 3), attack, *stretch(3, 5)])
    assert sorted(map(len, partition(changes))) == [1, 2, 3]


def test_a_stretch_that_begins_with_an_event_is_that_event() -> None:
    attack = firing("attack", later(0) + 1.0, "shop")
    changes = learned().extend([*stretch(0, 1), attack, *stretch(1, 3)])
    assert sorted(map(len, partition(changes))) == [2, 2]
    assert not [change for change in changes if change.step is Step.SPLIT]


def test_what_follows_in_a_burst_belongs_to_the_event() -> None:
    attack = firing("attack", later(2) + 5.0, "shop")
    more = firing("noise", later(2) + 9.0, "mail")
    grouper = learned()
    found = groups(grouper.extend([*stretch(0, 3), attack, more]))
    assert found[more.alert_id] == found[attack.alert_id]
    assert [episode.alerts for episode in grouper.open] == [3]


def test_the_order_within_an_instant_does_not_matter() -> None:
    together = [
        *stretch(0, 3),
        firing("attack", later(2), "shop"),
        firing("noise", later(2), "mail", number=1),
        firing("other", later(2), "vpn"),
    ]
    first = partition(learned().extend(together))
    for seed in range(5):
        mixed = random.Random(seed).sample(together, len(together))
        assert partition(learned().extend(mixed)) == first


def test_routine_alarms_that_repeat_begin_nothing() -> None:
    names = [f"noise {n}" for n in range(6)]
    many = [firing(name, n * EVERY_SECONDS) for n in range(60) for name in names]
    changes = StreamGrouper(SETTINGS).extend(many)
    assert {change.reason for change in changes if change.step is Step.SPLIT} == set()
    assert max(map(len, partition(changes))) == 6 * (60 - BURSTS_LEAST)


def test_stretches_that_turn_out_to_be_of_one_part_become_one() -> None:
    grouper = StreamGrouper(SETTINGS)
    for host in ("a", "b"):
        grouper.extend(noise(0, BURSTS_LEAST, f"host-{host}", entity=host))
    at = later(0)
    both = [firing("noise", at, "a", "host-a"), firing("noise", at, "b", "host-b")]
    changes = grouper.extend(both)
    assert len(partition(changes)) == 2
    bridge = firing("noise", at + 1.0, "a", "host-a", "host-b")
    changes += grouper.extend([bridge])
    # The alarm that names both is new, so that what all three are is an event.
    assert len(partition(changes)) == 1
    assert [episode.is_stretch for episode in grouper.open] == [False]


def test_a_long_burst_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routine, "BURST_MOST", 3)
    flood = [firing("noise", later(0) + number, "mail") for number in range(7)]
    attack = firing("attack", later(0) + 7.0, "shop")
    changes = learned().extend([*flood, attack])
    assert sorted(map(len, partition(changes))) == [2, 6]


def test_alarms_that_fired_longest_ago_are_forgotten() -> None:
    routines = Routines(gap_seconds=1.0, stretch_seconds=9.0, alarms_most=2)
    grouper = StreamGrouper(SETTINGS)
    grouper.extend([firing("x", 0.0)])
    (episode,) = grouper.open
    for number in range(BURSTS_LEAST):
        routines.note(episode, firing("often", 10.0 * number), 10.0 * number)
    episode.is_stretch, episode.is_interrupted = True, False
    for number, name in enumerate(("often", "one", "two", "often")):
        at = 1_000.0 + number
        routines.note(episode, firing(name, at), at)
        if name == "often" and number == 0:
            assert not episode.is_interrupted
            episode.is_interrupted = False
    assert episode.is_interrupted


def test_every_step_says_why() -> None:
    attack = firing("attack", later(2) + 5.0, "shop")
    changes: list[Change] = learned().extend([*stretch(0, 3), attack])
    assert [(change.step, change.reason) for change in changes[-2:]] == [
        (Step.SPLIT, Reason.UNUSUAL),
        (Step.CLOSED, Reason.UNUSUAL),
    ]
