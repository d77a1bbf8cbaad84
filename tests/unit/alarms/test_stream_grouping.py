"""Alerts of any system are grouped as they come, each step with its reason."""

from __future__ import annotations

import dataclasses
import math

import pytest

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import AlarmTable, Reason, Step
from alarms.grouping.kinship import Kinship
from alarms.grouping.naming import alert_of
from alarms.grouping.onsets import RepeatRates
from alarms.grouping.streaming import StreamGrouper, StreamSettings
from engine.model.errors import InvalidInputError
from engine.model.signals import Layer
from engine.testing.watch_suites import alarm
from tests.support.alert_streams import firing, groups, partition


def burst(at: float, entity: str = "a", count: int = 6, spread: float = 1.0) -> list[Alert]:
    return [firing(f"alarm {n}", at + n * spread, entity, "host") for n in range(count)]


def test_what_comes_within_the_gap_is_one() -> None:
    changes = StreamGrouper().extend([firing("x", 0.0), firing("y", 80.0, "b")])
    assert [change.step for change in changes] == [Step.OPENED, Step.JOINED]
    assert len(partition(changes)) == 1


def test_a_group_closes_after_the_gap() -> None:
    grouper = StreamGrouper(StreamSettings(gap_seconds=10.0))
    changes = grouper.extend([firing("x", 0.0), firing("x", 11.0)])
    assert [change.step for change in changes] == [Step.OPENED, Step.CLOSED, Step.OPENED]
    assert grouper.advance(30.0)[0].reason is Reason.SILENCE
    assert not grouper.open


def test_parts_known_to_be_unrelated_stay_apart() -> None:
    alerts = [firing("x", 0.0, "a", "host-1"), firing("x", 1.0, "b", "host-2")]
    assert len(partition(StreamGrouper().extend(alerts))) == 2


def test_a_topology_relates_what_alerts_do_not_name() -> None:
    alerts = [firing("x", 0.0, "a", "host-1"), firing("x", 1.0, "b", "host-2")]
    grouper = StreamGrouper(topology=[("host-1", "host-2")])
    changes = grouper.extend(alerts)
    assert changes[1].reason is Reason.RELATED


def test_a_bridge_merges_into_the_older() -> None:
    grouper = StreamGrouper()
    changes = grouper.extend(
        [
            firing("x", 0.0, "a", "host-1"),
            firing("x", 1.0, "b", "host-2"),
            firing("y", 2.0, "a", "b"),
        ]
    )
    merge = next(change for change in changes if change.step is Step.MERGED)
    assert (merge.group_id, merge.other_id) == (changes[0].group_id, changes[1].group_id)
    assert len(set(groups(changes).values())) == 1
    assert [episode.alerts for episode in grouper.open] == [3]


def test_alarms_that_begin_to_repeat_are_a_new_event() -> None:
    changes = StreamGrouper().extend([*burst(0.0), *burst(60.0)])
    split = next(change for change in changes if change.step is Step.SPLIT)
    assert split.other_id == changes[0].group_id
    assert {len(found) for found in partition(changes)} == {6}


def test_two_alarms_that_repeat_are_no_new_event() -> None:
    changes = StreamGrouper().extend([*burst(0.0), *burst(60.0, count=2)])
    assert [change.step for change in changes].count(Step.FOLDED) == 2
    assert len(partition(changes)) == 1


def test_alarms_that_always_chatter_split_nothing() -> None:
    alerts = [firing(f"alarm {n % 3}", float(n), "a", "host") for n in range(400)]
    changes = StreamGrouper().extend(alerts)
    late = [change for change in changes[200:] if change.step is Step.SPLIT]
    assert late == []


def test_an_undecided_run_is_dropped_in_time() -> None:
    grouper = StreamGrouper(StreamSettings(decide_seconds=5.0))
    alerts = [*burst(0.0), *burst(60.0, count=6, spread=6.0)]
    assert len(partition(grouper.extend(alerts))) == 1


def test_a_firing_that_is_sent_again_counts_once() -> None:
    grouper = StreamGrouper()
    grouper.extend([firing("x", 0.0)])
    (change,) = grouper.extend([firing("x", 0.0)])
    assert change.reason is Reason.SENT_AGAIN
    assert [episode.alerts for episode in grouper.open] == [1]


def test_an_unknown_entity_is_known_by_its_company() -> None:
    grouper = StreamGrouper(StreamSettings(gap_seconds=10.0))
    for number in range(5):
        at = 100.0 * number
        grouper.extend([firing("x", at, "a", "host-1"), firing("y", at + 1, "stranger")])
    mixed = [firing("x", 900.0, "a", "host-1"), firing("x", 901.0, "b", "host-2")]
    changes = grouper.extend([*mixed, firing("y", 902.0, "stranger")])
    assert changes[-1].reason is Reason.COMPANY
    alone = grouper.extend([firing("x", 990.0, "b", "host-2"), firing("y", 991.0, "stranger")])
    assert alone[-1].step is Step.OPENED


def test_an_unknown_entity_stays_where_it_was() -> None:
    grouper = StreamGrouper()
    grouper.extend([firing("x", 0.0, "a", "host-1"), firing("y", 1.0, "stranger")])
    changes = grouper.extend([firing("x", 2.0, "b", "host-2"), firing("z", 3.0, "stranger")])
    assert changes[-1].reason is Reason.ENTITY


def test_an_event_that_began_unknown_takes_its_part() -> None:
    changes = StreamGrouper().extend([firing("y", 0.0, "s"), firing("x", 1.0, "a", "host-1")])
    assert changes[-1].reason is Reason.TIME
    assert len(partition(changes)) == 1


def test_wrong_clocks_are_taken_at_arrival() -> None:
    grouper = StreamGrouper()
    grouper.extend([firing("x", 7_200.0 + 5.0, "a")], now=0.0)
    grouper.extend([firing("y", -7_200.0, "b")], now=1.0)
    assert [episode.newest_at for episode in grouper.open] == [1.0]


@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_none_is_refused(at: float) -> None:
    with pytest.raises(InvalidInputError, match="which is no time"):
        StreamGrouper().extend([firing("x", at)])


def test_alerts_that_are_late_join_what_is_open() -> None:
    grouper = StreamGrouper()
    grouper.extend([firing("x", 50.0, "a", "host")])
    (change,) = grouper.extend([firing("y", 20.0, "a", "host")])
    assert change.step is Step.JOINED
    assert grouper.open[0].opened_at == 20.0


def test_fingerprints_tell_alarms_apart() -> None:
    one = firing("x", 0.0, region="north")
    assert one.fingerprint == dataclasses.replace(one, at=9.0, alert_id="z").fingerprint
    assert one.fingerprint != dataclasses.replace(one, labels={"region": "south"}).fingerprint


def test_entities_past_the_limit_share_a_number() -> None:
    kinship = Kinship(entities_most=2)
    assert [kinship.number(name) for name in "abc"] == [0, 1, 0]


def test_names_past_the_limit_have_the_rate_of_all() -> None:
    rates = RepeatRates(names_most=1)
    for _ in range(50):
        rates.learn("known", is_repeat=True)
        rates.learn("other", is_repeat=False)
    assert rates.rate("known") > 0.8
    assert rates.rate("other") == pytest.approx(51 / 120)
    assert rates.evidence("known", is_repeat=True) == 0.0


def test_old_alarms_are_forgotten() -> None:
    table = AlarmTable()
    table.note(1, 7, 10.0)
    table.note(2, 8, 20.0)
    table.note(1, 9, 30.0)
    table.forget(25.0)
    assert (len(table), table.episode(1), table.episode(2)) == (1, 9, -1)


def test_a_full_table_forgets() -> None:
    grouper = StreamGrouper(StreamSettings(alarms_most=10, remember_seconds=5.0))
    grouper.extend([firing(f"x{n}", float(n)) for n in range(40)])
    assert grouper.alarms <= 11


@pytest.mark.parametrize(
    ("layer", "labels", "related"),
    [
        (Layer.MACHINE, {"cluster": "c", "pipeline": "p"}, ("cluster:c",)),
        (Layer.FEATURES, {"cluster": "c", "pipeline": "p"}, ("pipeline:p",)),
        (Layer.MACHINE, {"pipeline": "p"}, ("pipeline:p",)),
        (Layer.SERVING, {}, ()),
    ],
)
def test_own_alarms_name_what_they_depend_on(
    layer: Layer, labels: dict[str, str], related: tuple[str, ...]
) -> None:
    made = dataclasses.replace(alarm("a", 1.0, **labels), layer=layer, subject="thing")
    assert alert_of(made).related == related
    assert alert_of(made).name == "errors_share high"
