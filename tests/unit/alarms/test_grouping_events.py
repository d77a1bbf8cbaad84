"""What seldom fires is an event of its own; what follows it is told from everyday alarms."""

from __future__ import annotations

import random

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Change, Reason, Step
from alarms.grouping.events import AFTERMATH_SECONDS, GAPS_MOST, IDLE_GAPS
from alarms.grouping.streaming import StreamGrouper, StreamSettings
from tests.support.alert_streams import firing, groups, partition

GAP_SECONDS = 5.0
STRETCH_SECONDS = 300.0
EVERY_SECONDS = 60.0
SETTINGS = StreamSettings(gap_seconds=GAP_SECONDS, stretch_seconds=STRETCH_SECONDS)
ODD_SECONDS = 7 * 3_600.0
"""An alarm that fires so seldom is unusual, but not rare."""
LEARNED_AT = 5 * ODD_SECONDS
STEP_SECONDS = 1_800


def learned() -> StreamGrouper:
    """Return a grouper that knows two everyday alarms and two odd ones, with nothing open."""
    grouper = StreamGrouper(SETTINGS)
    for at in range(0, int(LEARNED_AT), STEP_SECONDS):
        grouper.extend([firing("noise", at, "mail"), firing("hum", at, "web")])
        if at % ODD_SECONDS < STEP_SECONDS <= at:
            grouper.extend([firing(name, at, "shop") for name in ("odd", "strange")])
    grouper.advance(LEARNED_AT)
    assert not grouper.open
    return grouper


def later(minute: float) -> float:
    """Return a time after all was learned."""
    return LEARNED_AT + minute * EVERY_SECONDS


def noise(first: int, last: int) -> list[Alert]:
    """Return everyday firings, once a minute."""
    return [firing("noise", later(minute), "mail") for minute in range(first, last)]


def attack(minute: float, name: str = "attack") -> Alert:
    """Return the firing of an alarm that never fired before."""
    return firing(name, later(minute), "shop")


def odd(minute: float) -> Alert:
    """Return the firing of the unusual alarm."""
    return firing("odd", later(minute), "shop")


def sizes(changes: list[Change]) -> list[int]:
    """Return the sizes of groups."""
    return sorted(map(len, partition(changes)))


def closed(changes: list[Change]) -> list[Reason]:
    """Return why groups were closed."""
    return [change.reason for change in changes if change.step is Step.CLOSED]


def test_everyday_alarms_are_stretches_that_pauses_end() -> None:
    assert EVERY_SECONDS > IDLE_GAPS * GAP_SECONDS
    assert sizes(learned().extend(noise(0, 4))) == [1, 1, 1, 1]
    near = [firing("noise", later(0) + number * 40.0, "mail") for number in range(4)]
    assert sizes(learned().extend(near)) == [4]


def test_without_the_setting_all_alarms_are_judged_alike() -> None:
    grouper = StreamGrouper(StreamSettings(gap_seconds=GAP_SECONDS))
    changes = grouper.extend([attack(0), firing("noise", later(0) + 4.0), attack(0.1, "other")])
    assert sizes(changes) == [3]


def test_after_a_rare_alarm_what_fires_is_one_stretch() -> None:
    changes = learned().extend([attack(0), *noise(1, 5)])
    assert sizes(changes) == [1, 4]


def test_the_aftermath_of_a_rare_alarm_ends() -> None:
    minutes = int(AFTERMATH_SECONDS / EVERY_SECONDS)
    changes = learned().extend([attack(0), *noise(1, minutes + 4)])
    assert sizes(changes) == [1, 1, 1, 1, minutes]


def test_a_long_pause_ends_an_aftermath() -> None:
    changes = learned().extend([attack(0), *noise(1, 3), *noise(9, 11)])
    assert sizes(changes) == [1, 2, 2]
    assert set(closed(changes)) == {Reason.SILENCE}


def test_another_rare_alarm_ends_the_stretch() -> None:
    second = attack(3.5, "other")
    changes = learned().extend([attack(0), *noise(1, 4), second, *noise(4, 6)])
    assert sizes(changes) == [1, 1, 2, 3]
    assert Reason.UNUSUAL in closed(changes)
    opened = next(each for each in changes if each.alert_ids == (second.alert_id,))
    assert (opened.step, opened.reason) == (Step.OPENED, Reason.UNUSUAL)


def test_after_an_unusual_alarm_the_same_stretch_goes_on() -> None:
    changes = learned().extend([attack(0), *noise(1, 4), odd(3.5), *noise(4, 6)])
    assert sizes(changes) == [1, 1, 5]


def test_a_stretch_that_an_unusual_alarm_interrupts_for_too_long_is_over() -> None:
    changes = learned().extend([attack(0), *noise(1, 4), odd(4), *noise(10, 12)])
    assert sizes(changes) == [1, 1, 2, 3]


def test_a_rare_alarm_after_an_unusual_one_ends_the_stretch_for_good() -> None:
    alerts = [attack(0), *noise(1, 4), odd(3.5), attack(3.55, "other"), *noise(4, 6)]
    grouper = learned()
    changes = grouper.extend(alerts)
    assert sizes(changes) == [1, 1, 1, 2, 3]
    assert [episode.alerts for episode in grouper.open] == [2]


def test_a_second_unusual_alarm_leaves_the_stretch_where_it_rests() -> None:
    grouper = learned()
    late = firing("strange", later(3.8), "shop")
    changes = grouper.extend([attack(0), *noise(1, 4), odd(3.5), late])
    assert sizes(changes) == [1, 1, 1, 3]
    assert sorted(episode.alerts for episode in grouper.open) == [1, 3]
    changes += grouper.extend(noise(4, 5))
    assert sizes(changes) == [1, 1, 1, 4]


def test_everyday_alarms_fall_into_an_event_but_never_prolong_it() -> None:
    follow = [firing("noise", later(0) + seconds, "mail") for seconds in (4.0, 8.0, 11.0)]
    changes = learned().extend([attack(0), *follow])
    found = groups(changes)
    assert found[follow[0].alert_id] == found[attack(0).alert_id]
    assert found[follow[1].alert_id] == found[follow[2].alert_id]
    assert len(set(found.values())) == 2
    assert closed(changes) == [Reason.OVER]


def test_its_own_alarms_prolong_an_event() -> None:
    again = firing("attack", later(0) + 4.0, "shop")
    last = firing("noise", later(0) + 8.0, "mail")
    assert sizes(learned().extend([attack(0), again, last])) == [3]


def test_a_quiet_event_waits_for_its_own_alarms() -> None:
    at = later(0) + GAPS_MOST * GAP_SECONDS
    again = firing("attack", at, "shop")
    other = firing("other", at, "shop")
    assert sizes(learned().extend([attack(0), again])) == [2]
    assert sizes(learned().extend([attack(0), other])) == [1, 1]
    assert sizes(learned().extend([attack(0), again, other])) == [3]
    assert sizes(learned().extend([attack(0), odd(at / 60.0 - LEARNED_AT / 60.0)])) == [2]
    assert sizes(learned().extend([attack(0), firing("attack", at + 1.0, "shop")])) == [1, 1]


def test_a_loud_event_is_over_soon() -> None:
    loud = [firing("attack", later(0) + number / 100, "shop") for number in range(100)]
    again = firing("attack", later(0) + 10.0, "shop")
    assert sizes(learned().extend([*loud, again])) == [1, 100]


def test_an_unusual_event_does_not_wait() -> None:
    again = firing("odd", later(0) + GAP_SECONDS + 1.0, "shop")
    assert sizes(learned().extend([odd(0), again])) == [1, 1]


def test_a_rare_alarm_begins_an_event_within_an_unusual_one() -> None:
    assert sizes(learned().extend([odd(0), attack(0.05)])) == [1, 1]


def test_the_order_within_an_instant_does_not_matter() -> None:
    together = [
        *noise(0, 3),
        attack(2),
        firing("noise", later(2), "mail", number=1),
        firing("other", later(2), "vpn"),
    ]
    first = partition(learned().extend(together))
    assert sorted(map(len, first)) == [1, 1, 4]
    for seed in range(5):
        mixed = random.Random(seed).sample(together, len(together))
        assert partition(learned().extend(mixed)) == first


def test_everyday_alarms_that_repeat_begin_nothing() -> None:
    names = [f"noise {number}" for number in range(6)]
    many = [firing(name, at * EVERY_SECONDS) for at in range(50) for name in names]
    changes = StreamGrouper(SETTINGS).extend(many)
    assert Step.SPLIT not in {change.step for change in changes}


def test_a_stretch_goes_on_when_an_event_is_closed() -> None:
    grouper = learned()
    changes = grouper.extend([attack(0), *noise(1, 4), odd(3.5)])
    event = groups(changes)[odd(3.5).alert_id]
    grouper.close(event)
    assert [episode.alerts for episode in grouper.open] == [3]
    changes += grouper.extend(noise(4, 5))
    assert sizes(changes) == [1, 1, 4]


def test_a_stretch_that_rests_may_be_closed() -> None:
    grouper = learned()
    changes = grouper.extend([attack(0), *noise(1, 4), odd(3.5)])
    grouper.close(groups(changes)[noise(1, 2)[0].alert_id])
    assert [episode.alerts for episode in grouper.open] == [1]
    changes += grouper.extend(noise(4, 5))
    assert sizes(changes) == [1, 1, 1, 3]


def test_silence_ends_an_event_and_the_stretch_that_rested() -> None:
    grouper = learned()
    grouper.extend([attack(0), *noise(1, 4), odd(3.5)])
    assert closed(grouper.advance(later(20))) == [Reason.SILENCE, Reason.SILENCE]
    assert not grouper.open


def test_what_was_opened_elsewhere_is_an_event() -> None:
    grouper = learned()
    grouper.adopt("SA-1", [attack(0)])
    changes = grouper.extend([firing("noise", later(0) + 4.0, "mail"), *noise(1, 3)])
    assert sizes(changes) == [1, 1, 1]
    assert changes[0].group_id == "SA-1"


def test_stretches_of_parts_that_become_one_become_one() -> None:
    grouper = StreamGrouper(SETTINGS)
    for at in range(0, 8_000, 400):
        grouper.extend([firing("noise", at, host, f"host-{host}") for host in ("a", "b")])
    both = [firing("noise", 8_000.0, host, f"host-{host}") for host in ("a", "b")]
    changes = grouper.extend(both)
    assert sizes(changes) == [1, 1]
    changes += grouper.extend([firing("noise", 8_001.0, "a", "host-a", "host-b")])
    assert sizes(changes) == [3]
    changes += grouper.extend([firing("attack", 8_002.0, "a"), firing("noise", 8_003.0, "b")])
    assert sizes(changes) == [2, 3]


def test_events_of_parts_that_become_one_become_one() -> None:
    grouper = StreamGrouper(SETTINGS)
    hosts = ("a", "b")
    for at in range(0, int(LEARNED_AT), STEP_SECONDS):
        grouper.extend([firing("noise", at, host, f"host-{host}") for host in hosts])
        if at % ODD_SECONDS < STEP_SECONDS <= at:
            grouper.extend([firing("odd", at, host, f"host-{host}") for host in hosts])
    grouper.advance(LEARNED_AT)
    changes: list[Change] = []
    for name, minute in (("attack", 0.0), ("noise", 1.0), ("odd", 1.5)):
        both = [firing(name, later(minute), host, f"host-{host}") for host in hosts]
        changes += grouper.extend(both)
    assert sizes(changes) == [1] * 6
    changes += grouper.extend([firing("noise", later(1.5) + 1.0, "a", "host-b")])
    assert sizes(changes) == [1, 1, 1, 1, 3]
    assert sorted(episode.alerts for episode in grouper.open) == [1, 1, 3]
    changes += grouper.extend([firing("noise", later(3), "a", "host-a")])
    assert sizes(changes) == [1, 1, 1, 2, 3]
    grouper.advance(later(30))
    assert not grouper.open


def test_only_parts_with_a_rare_alarm_lately_have_an_aftermath() -> None:
    grouper = learned()
    hour = int(AFTERMATH_SECONDS / EVERY_SECONDS)
    first = firing("attack", later(0), "shop", "host-1")
    second = firing("attack", later(hour + 1), "desk", "host-2")
    tail = [firing("attack", later(hour + minute), "shop", "host-1") for minute in (6, 7, 8)]
    changes = grouper.extend([first, second, *tail])
    assert len(partition(changes)) >= 3
    assert len({groups(changes)[each.alert_id] for each in tail}) > 1
