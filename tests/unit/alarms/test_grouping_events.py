"""What seldom fires is an event of its own; what follows it is told from everyday alarms."""

from __future__ import annotations

import random

from alarms.grouping.aftermath import AFTERMATH_SECONDS
from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Change, Reason, Step
from alarms.grouping.recurrence import GAPS_MOST
from alarms.grouping.streaming import StreamGrouper, StreamSettings
from tests.support.alert_streams import firing, groups, partition

GAP_SECONDS = 5.0
STRETCH_SECONDS = 300.0
EVERY_SECONDS = 60.0
SETTINGS = StreamSettings(gap_seconds=GAP_SECONDS, stretch_seconds=STRETCH_SECONDS)
LEARNED_AT = 126_000.0
STEP_SECONDS = 1_800


def learned() -> StreamGrouper:
    """Return a grouper that knows two everyday alarms, with nothing open."""
    grouper = StreamGrouper(SETTINGS)
    for at in range(0, int(LEARNED_AT), STEP_SECONDS):
        grouper.extend([firing("noise", at, "mail"), firing("hum", at, "web")])
    grouper.advance(LEARNED_AT)
    assert not grouper.open
    return grouper


def later(minute: float) -> float:
    """Return a time after all was learned."""
    return LEARNED_AT + minute * EVERY_SECONDS


def noise(first: int, last: int) -> list[Alert]:
    """Return everyday firings, once a minute."""
    return [firing("noise", later(minute), "mail") for minute in range(first, last)]


def hum(seconds: float) -> Alert:
    """Return an everyday firing."""
    return firing("noise", later(0) + seconds, "mail")


def attack(minute: float, name: str = "attack") -> list[Alert]:
    """Return firings of two alarms that never fired before: a turning point."""
    return [firing(f"{name}{suffix}", later(minute), "shop") for suffix in ("", " again")]


def lone(minute: float, name: str = "lone") -> Alert:
    """Return the firing of one alarm that never fired before, elsewhere."""
    return firing(name, later(minute), "desk")


def sizes(changes: list[Change]) -> list[int]:
    """Return the sizes of groups."""
    return sorted(map(len, partition(changes)))


def closed(changes: list[Change]) -> list[Reason]:
    """Return why groups were closed."""
    return [change.reason for change in changes if change.step is Step.CLOSED]


def test_everyday_alarms_are_stretches_that_pauses_end() -> None:
    assert EVERY_SECONDS > GAPS_MOST * GAP_SECONDS
    assert sizes(learned().extend(noise(0, 4))) == [1, 1, 1, 1]
    assert sizes(learned().extend(hum(number * 20.0) for number in range(4))) == [4]


def test_without_the_setting_all_alarms_are_judged_alike() -> None:
    grouper = StreamGrouper(StreamSettings(gap_seconds=GAP_SECONDS))
    assert sizes(grouper.extend([*attack(0), hum(4.0), *attack(0.1, "other")])) == [5]


def test_after_a_turning_point_what_fires_is_one_stretch() -> None:
    assert sizes(learned().extend([*attack(0), *noise(1, 5)])) == [2, 4]


def test_a_lone_rare_alarm_has_no_aftermath() -> None:
    assert sizes(learned().extend([lone(0), *noise(1, 4)])) == [1, 1, 1, 1]


def test_the_aftermath_of_a_turning_point_ends() -> None:
    minutes = int(AFTERMATH_SECONDS / EVERY_SECONDS)
    changes = learned().extend([*attack(0), *noise(1, minutes + 4)])
    assert sizes(changes) == [1, 1, 1, 2, minutes]


def test_a_stretch_ends_with_its_aftermath_though_nothing_pauses() -> None:
    count = int(AFTERMATH_SECONDS / 4.0)
    changes = learned().extend([*attack(0), *(hum(4.0 * n) for n in range(1, count + 11))])
    assert sizes(changes) == [3, 10, count - 1]
    assert closed(changes) == [Reason.OVER, Reason.ELAPSED]


def test_a_long_pause_ends_a_stretch() -> None:
    changes = learned().extend([*attack(0), *noise(1, 3), *noise(9, 11)])
    assert sizes(changes) == [2, 2, 2]
    assert set(closed(changes)) == {Reason.SILENCE}


def test_another_turning_point_ends_the_stretch() -> None:
    second = attack(3.5, "other")
    changes = learned().extend([*attack(0), *noise(1, 4), *second, *noise(4, 6)])
    assert sizes(changes) == [2, 2, 2, 3]
    assert Reason.UNUSUAL in closed(changes)
    opened = next(each for each in changes if each.alert_ids == (second[-1].alert_id,))
    assert (opened.step, opened.reason) == (Step.OPENED, Reason.UNUSUAL)


def test_after_a_lone_rare_alarm_the_same_stretch_goes_on() -> None:
    changes = learned().extend([*attack(0), *noise(1, 4), lone(3.5), *noise(4, 6)])
    assert sizes(changes) == [1, 2, 5]


def test_a_lone_rare_alarm_where_a_turning_point_struck_is_one() -> None:
    one = firing("other", later(3.5), "shop")
    changes = learned().extend([*attack(0), *noise(1, 4), one, *noise(4, 6)])
    assert sizes(changes) == [1, 2, 2, 3]


def test_outside_an_aftermath_a_lone_rare_alarm_ends_a_stretch() -> None:
    alerts = [hum(0.0), hum(20.0), hum(40.0), lone(0.8), hum(60.0), hum(80.0)]
    assert sizes(learned().extend(alerts)) == [1, 2, 3]


def test_a_stretch_that_is_interrupted_for_too_long_is_over() -> None:
    changes = learned().extend([*attack(0), *noise(1, 4), lone(4), *noise(10, 12)])
    assert sizes(changes) == [1, 2, 2, 3]


def test_an_event_that_turns_out_to_be_a_turning_point_ends_the_stretch_for_good() -> None:
    alerts = [*attack(0), *noise(1, 4), lone(3.5), lone(3.55, "other"), *noise(4, 6)]
    grouper = learned()
    assert sizes(grouper.extend(alerts)) == [2, 2, 2, 3]
    assert [episode.alerts for episode in grouper.open] == [2]


def test_a_second_lone_alarm_leaves_the_stretch_where_it_rests() -> None:
    grouper = learned()
    alerts = [*attack(0), *noise(1, 4), lone(3.5), lone(3.8, "strange")]
    changes = grouper.extend(alerts)
    assert sizes(changes) == [1, 1, 2, 3]
    assert sorted(episode.alerts for episode in grouper.open) == [1, 3]
    changes += grouper.extend(noise(4, 5))
    assert sizes(changes) == [1, 1, 2, 4]


def test_everyday_alarms_fall_into_an_event_but_never_prolong_it() -> None:
    first, *follow = [hum(4.0), hum(8.0), hum(11.0)]
    changes = learned().extend([*attack(0), first, *follow])
    found = groups(changes)
    assert found[first.alert_id] == found[attack(0)[0].alert_id]
    assert {found[each.alert_id] for each in follow} != {found[first.alert_id]}
    assert sizes(changes) == [2, 3]
    assert closed(changes) == [Reason.OVER]


def test_its_own_alarms_prolong_an_event() -> None:
    again = firing("attack", later(0) + 4.0, "shop")
    assert sizes(learned().extend([*attack(0), again, hum(8.0)])) == [4]


def test_a_quiet_event_waits_for_its_own_alarms() -> None:
    at = later(0) + GAPS_MOST * GAP_SECONDS
    again = firing("attack", at, "shop")
    other = firing("other", at, "shop")
    assert sizes(learned().extend([*attack(0), again])) == [3]
    assert sizes(learned().extend([*attack(0), other])) == [1, 2]
    assert sizes(learned().extend([*attack(0), again, other])) == [4]
    assert sizes(learned().extend([*attack(0), firing("attack", at + 1.0, "shop")])) == [1, 2]
    assert sizes(learned().extend([lone(0), firing("lone", at, "desk")])) == [2]


def test_a_loud_event_is_over_soon() -> None:
    loud = [firing("attack", later(0) + number / 200, "shop") for number in range(1, 200)]
    again = firing("attack", later(0) + 10.0, "shop")
    assert sizes(learned().extend([*attack(0), *loud, again])) == [1, 201]


def test_an_event_goes_on_with_its_own_alarms_whatever_was_opened_meanwhile() -> None:
    again = firing("attack", later(0) + 12.0, "shop")
    alerts = [*attack(0), hum(8.0), firing("other", later(0) + 10.0, "shop"), again, hum(14.0)]
    grouper = learned()
    changes = grouper.extend(alerts)
    assert sizes(changes) == [6]
    assert len(grouper.open) == 1
    first = groups(changes)[attack(0)[0].alert_id]
    resumed = [change for change in changes if change.step in {Step.RESUMED, Step.MERGED}]
    assert [change.step for change in resumed] == [Step.RESUMED, Step.MERGED, Step.MERGED]
    assert {(change.group_id, change.reason) for change in resumed} == {(first, Reason.RECURRENCE)}


def test_an_event_goes_on_though_what_was_opened_meanwhile_is_over() -> None:
    brief = StreamGrouper(StreamSettings(gap_seconds=GAP_SECONDS, stretch_seconds=GAP_SECONDS))
    brief.extend(firing("noise", at, "mail") for at in range(0, int(LEARNED_AT), STEP_SECONDS))
    changes = brief.extend([*attack(0), hum(8.0), firing("attack", later(0) + 20.0, "shop")])
    assert sizes(changes) == [4]
    assert len(brief.open) == 1


def test_an_event_that_goes_on_ends_the_stretch_of_what_became_one_part_with_it() -> None:
    grouper = learned()
    attacks = [
        firing("attack", later(0), "shop", "host-1"),
        firing("attack again", later(0), "shop", "host-1"),
    ]
    again = firing("attack", later(0) + 12.0, "shop", "host-1")
    everyday = [
        firing("noise", later(0) - 4.0, "mail", "host-2"),
        firing("noise", later(0) + 8.0, "shop", "host-1"),
        firing("noise", later(0) + 8.0, "mail", "host-2"),
        firing("noise", later(0) + 9.0, "shop", "host-1", "host-2"),
    ]
    changes = grouper.extend([*attacks, *everyday, again])
    found = groups(changes)
    assert found[again.alert_id] == found[attacks[0].alert_id]
    assert len({found[each.alert_id] for each in everyday}) == 1
    assert sizes(changes) == [3, 4]
    assert Reason.UNUSUAL in closed(changes)
    assert len(grouper.open) == 1


def test_a_lone_alarm_that_fires_again_takes_nothing_with_it() -> None:
    again = firing("lone", later(0) + 12.0, "desk")
    assert sizes(learned().extend([lone(0), hum(8.0), again])) == [1, 2]


def test_an_event_that_somebody_closed_does_not_go_on() -> None:
    grouper = learned()
    changes = grouper.extend(attack(0))
    grouper.close(groups(changes)[attack(0)[0].alert_id])
    changes += grouper.extend([firing("attack", later(0) + 12.0, "shop")])
    assert sizes(changes) == [1, 2]


def test_the_order_within_an_instant_does_not_matter() -> None:
    together = [
        *noise(0, 3),
        *attack(2),
        firing("noise", later(2), "mail", number=1),
        firing("other", later(2), "vpn"),
    ]
    first = partition(learned().extend(together))
    assert sorted(map(len, first)) == [1, 1, 5]
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
    changes = grouper.extend([*attack(0), *noise(1, 4), lone(3.5)])
    event = groups(changes)[lone(3.5).alert_id]
    grouper.close(event)
    assert [episode.alerts for episode in grouper.open] == [3]
    changes += grouper.extend(noise(4, 5))
    assert sizes(changes) == [1, 2, 4]


def test_a_stretch_that_rests_may_be_closed() -> None:
    grouper = learned()
    changes = grouper.extend([*attack(0), *noise(1, 4), lone(3.5)])
    grouper.close(groups(changes)[noise(1, 2)[0].alert_id])
    assert [episode.alerts for episode in grouper.open] == [1]
    changes += grouper.extend(noise(4, 5))
    assert sizes(changes) == [1, 1, 2, 3]


def test_silence_ends_an_event_and_the_stretch_that_rested() -> None:
    grouper = learned()
    grouper.extend([*attack(0), *noise(1, 4), lone(3.5)])
    assert closed(grouper.advance(later(20))) == [Reason.SILENCE, Reason.SILENCE]
    assert not grouper.open


def test_what_was_opened_elsewhere_is_an_event() -> None:
    grouper = learned()
    grouper.adopt("SA-1", [lone(0)])
    changes = grouper.extend([hum(4.0), *noise(1, 3)])
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
    grouper.advance(LEARNED_AT)
    changes: list[Change] = []
    for name, minute in (("attack", 0.0), ("attack again", 0.0), ("noise", 1.0)):
        both = [firing(name, later(minute), host, f"host-{host}") for host in hosts]
        changes += grouper.extend(both)
    both = [firing("lone", later(1.5), f"desk-{host}", f"host-{host}") for host in hosts]
    changes += grouper.extend(both)
    assert sizes(changes) == [1, 1, 1, 1, 2, 2]
    changes += grouper.extend([firing("noise", later(1.5) + 1.0, "a", "host-b")])
    assert sizes(changes) == [1, 1, 2, 2, 3]
    assert sorted(episode.alerts for episode in grouper.open) == [1, 1, 3]
    changes += grouper.extend([firing("noise", later(3), "a", "host-a")])
    assert sizes(changes) == [1, 2, 2, 2, 3]
    grouper.advance(later(30))
    assert not grouper.open


def test_only_parts_with_a_turning_point_lately_have_an_aftermath() -> None:
    grouper = learned()
    hour = int(AFTERMATH_SECONDS / EVERY_SECONDS)
    first = [firing(name, later(0), "shop", "host-1") for name in ("attack", "attack again")]
    second = [firing(name, later(hour + 1), "desk", "host-2") for name in ("attack", "other")]
    tail = [firing("attack", later(hour + minute), "shop", "host-1") for minute in (6, 7, 8)]
    changes = grouper.extend([*first, *second, *tail])
    assert len(partition(changes)) >= 3
    assert len({groups(changes)[each.alert_id] for each in tail}) > 1
