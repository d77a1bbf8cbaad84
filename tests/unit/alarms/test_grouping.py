"""Alarms of one event are one group, and those of two events are two."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from alarms import GroupingSettings, SuperAlarmGrouper, topology
from alarms.grouping.nature import Nature, nature, pipeline_of
from engine.model.alarms import Alarm, Severity, SuperAlarm, SuperAlarmState
from engine.model.identifiers import TaskName
from engine.model.signals import Layer
from engine.model.specs import TaskKind, TaskSpec
from engine.testing import samples
from engine.testing.watch_suites import alarm


def machine(cluster: str, at: float, subject: str = "", **labels: str) -> Alarm:
    subject = subject or f"cluster:{cluster}"
    return dataclasses.replace(
        alarm(f"{subject}@{at}", at, cluster=cluster, **labels),
        series=f"{subject}|reachable",
        subject=subject,
        signal="reachable",
        layer=Layer.MACHINE,
    )


def data(pipeline: str, name: str, at: float, **labels: str) -> Alarm:
    subject = f"feature:{pipeline}/{name}"
    return dataclasses.replace(
        alarm(f"{subject}@{at}", at, pipeline=pipeline, feature=name, **labels),
        series=f"{subject}|feature_mean",
        subject=subject,
        signal="feature_mean",
    )


def grouped(*alarms: Alarm, links: Sequence[tuple[str, str]] = ()) -> list[SuperAlarm]:
    return list(SuperAlarmGrouper(topology=links).group([], alarms, 10.0))


def test_a_cluster_takes_its_tasks_along() -> None:
    task = machine("c", 2.0, "task:heart/serve", pipeline="heart")
    (group,) = grouped(machine("c", 1.0), task)
    assert "all share the cluster c" in group.because
    assert group.pipelines == ("heart",)


def test_two_clusters_are_two_events() -> None:
    assert len(grouped(machine("c", 1.0), machine("d", 1.0))) == 2


def test_two_clusters_of_one_region_are_one_event() -> None:
    links = topology(samples.fleet("c", "d"))
    assert links == [("cluster:c", "cluster:d")]
    assert len(grouped(machine("c", 1.0), machine("d", 1.0), links=links)) == 1


def test_wrong_data_and_a_lost_cluster_are_two_events() -> None:
    found = grouped(machine("c", 1.0), data("heart", "chol", 1.0, cluster="c"))
    assert len(found) == 2


def test_quality_joins_the_data_it_depends_on() -> None:
    quality = alarm("q", 2.0, pipeline="heart", cluster="c")
    groups = grouped(machine("c", 1.0), data("heart", "chol", 1.0, cluster="c"), quality)
    (joined,) = [group for group in groups if len(group.alarms) == 2]
    assert {a.signal for a in joined.alarms} == {"feature_mean", "errors_share"}


def test_a_machine_without_a_cluster_joins_by_pipeline() -> None:
    lost = machine("", 1.0, "task:heart/etl", pipeline="heart")
    assert len(grouped(lost, alarm("q", 2.0, pipeline="heart"))) == 1
    assert len(grouped(lost, alarm("q", 2.0, pipeline="other"))) == 2


def test_one_feature_is_one_event() -> None:
    one = data("heart", "chol", 1.0)
    other = dataclasses.replace(one, alarm_id="x", subject="task:heart/etl", series="s")
    (group,) = grouped(one, other)
    assert group.because == ("all speak of the feature chol",)


def test_a_pipeline_that_reads_the_others_data_joins() -> None:
    writes = TaskSpec(name=TaskName("out"), kind=TaskKind.ETL, writes="warehouse.a")
    reads = TaskSpec(name=TaskName("in"), kind=TaskKind.ETL, reads="warehouse.a")
    pipelines = [samples.pipeline(writes, name="a"), samples.pipeline(reads, name="b")]
    links = topology(pipelines=pipelines)
    assert len(grouped(data("a", "x", 1.0), data("b", "y", 1.0), links=links)) == 1
    assert len(grouped(data("a", "x", 1.0), data("b", "y", 1.0))) == 2


def test_slow_services_of_one_cluster_are_one_event() -> None:
    services = [alarm(name, 1.0, pipeline=name, cluster="c") for name in "ab"]
    assert len(grouped(*services)) == 1


def foreign(name: str, at: float, signal: str = "Slow", **labels: str) -> Alarm:
    """Return an alert of another system."""
    return dataclasses.replace(
        alarm(f"{name}@{at}|{signal}", at, **labels),
        series=f"{name}|{signal}",
        subject=name,
        signal=signal,
        test="alert of prometheus",
        statistic=0.0,
        p_value=0.0,
    )


def test_an_event_of_ours_lasts_until_it_is_closed() -> None:
    grouper = SuperAlarmGrouper()
    (first,) = grouper.group([], [alarm("a", 1.0, pipeline="p")], 1.0)
    (grown,) = grouper.group([first], [alarm("b", 900.0, pipeline="p")], 900.0)
    assert grown.super_alarm_id == first.super_alarm_id
    (other,) = grouper.group([], [alarm("c", 901.0, pipeline="p")], 901.0)
    assert other.super_alarm_id != first.super_alarm_id


def test_an_alert_joins_what_it_names_for_as_long_as_that_stands() -> None:
    grouper = SuperAlarmGrouper()
    node = foreign("node:n7", 1.0, "DiskSlow", cluster="eu", node="n7")
    (first,) = grouper.group([], [node], 1.0)
    pod = foreign("pod:shop/a", 400.0, cluster="eu", node="n7")
    (grown,) = grouper.group([first], [pod], 400.0)
    assert grown.super_alarm_id == first.super_alarm_id
    (other,) = grouper.group([], [dataclasses.replace(pod, alarm_id="b", at=999.0)], 999.0)
    assert other.super_alarm_id != first.super_alarm_id


def test_what_shares_only_the_cluster_is_over_by_silence() -> None:
    grouper = SuperAlarmGrouper()
    (first,) = grouper.group([], [foreign("pod:shop/a", 1.0, cluster="eu", node="n1")], 1.0)
    (other,) = grouper.group([first], [foreign("pod:b/b", 200.0, cluster="eu", node="n2")], 200.0)
    assert other.super_alarm_id != first.super_alarm_id


def test_alerts_of_one_cluster_are_one_event() -> None:
    alerts = [
        foreign("pod:shop/cart-1", 1.0, cluster="eu", service="cart"),
        foreign("node:n7", 3.0, "DiskSlow", cluster="eu", node="n7"),
        foreign("pod:shop/pay-1", 9.0, cluster="us", service="pay"),
    ]
    assert sorted(len(group.alarms) for group in grouped(*alerts)) == [1, 2]


def test_an_alert_of_a_machine_joins_ours_of_its_cluster() -> None:
    node = dataclasses.replace(
        foreign("node:n7", 3.0, "NodeDown", cluster="c", node="n7"), layer=Layer.MACHINE
    )
    assert len(grouped(machine("c", 1.0), node)) == 1


def test_a_service_with_a_lost_cluster_is_one_event_in_either_order() -> None:
    served = alarm("q", 2.0, pipeline="heart", cluster="c")
    assert len(grouped(machine("c", 1.0), served)) == 1
    assert len(grouped(machine("c", 3.0), served)) == 1


def test_a_lasting_alarm_that_fires_again_begins_no_new_event() -> None:
    series = [alarm(name, 1.0, pipeline="p") for name in "abcdef"]
    again = [dataclasses.replace(one, alarm_id=f"{one.alarm_id}2", at=60.0) for one in series]
    assert len(grouped(*series, *again)) == 1


def test_alerts_that_repeat_together_are_a_new_event() -> None:
    names = [f"service:shop/{letter}" for letter in "abcdef"]
    first = [foreign(name, 1.0, namespace="shop") for name in names]
    again = [foreign(name, 60.0, namespace="shop") for name in names]
    groups = grouped(*first, *again)
    assert [len(group.alarms) for group in groups] == [6, 6]
    assert any("a new event" in text for text in groups[1].because)


def test_a_restart_goes_on_with_the_stored_groups() -> None:
    alarms = [alarm(name, 1.0, pipeline="p") for name in "ab"]
    opened = SuperAlarmGrouper().group([], alarms, 2.0)
    (grown,) = SuperAlarmGrouper().group(opened, [alarm("c", 300.0, pipeline="p")], 300.0)
    assert grown.super_alarm_id == opened[0].super_alarm_id
    assert len(grown.alarms) == 3


def test_what_belongs_together_is_learned_from_the_past() -> None:
    bridge = foreign("service:a", 1.0, peer="b")
    apart = [
        foreign("service:a", 500.0, namespace="one"),
        foreign("service:b", 500.0, namespace="two"),
    ]
    past = grouped(bridge)
    grouper = SuperAlarmGrouper()
    assert len(grouper.group([], apart, 501.0)) == 2
    learned = SuperAlarmGrouper()
    learned.learn(past, {})
    assert len(learned.group([], apart, 501.0)) == 1


def test_info_joins_but_opens_nothing() -> None:
    mild = dataclasses.replace(alarm("m", 1.0, pipeline="p"), severity=Severity.INFO)
    assert grouped(mild) == []
    (group,) = grouped(mild, alarm("a", 2.0, pipeline="p"))
    assert len(group.alarms) == 2


def test_groups_that_turn_out_to_be_one_merge_into_the_older() -> None:
    grouper = SuperAlarmGrouper()
    (older,) = grouper.group([], [alarm("a", 1.0, pipeline="p")], 1.0)
    (newer,) = grouper.group([], [alarm("b", 2.0, pipeline="q")], 2.0)
    bridge = dataclasses.replace(alarm("b", 3.0, pipeline="p"), alarm_id="b2")
    found = grouper.group([newer, older], [bridge], 4.0)
    kept = [group for group in found if group.state is SuperAlarmState.OPEN]
    gone = [group for group in found if group.state is SuperAlarmState.RESOLVED]
    assert [group.super_alarm_id for group in kept] == [older.super_alarm_id]
    assert kept[0].aliases == (newer.super_alarm_id,)
    assert gone[0].note == f"merged into {older.super_alarm_id}"


def test_a_group_keeps_its_first_and_its_newest_alarms() -> None:
    settings = GroupingSettings(alarms_kept=4)
    alarms = [
        dataclasses.replace(alarm("a", at, pipeline="p"), alarm_id=str(at)) for at in range(9)
    ]
    (group,) = SuperAlarmGrouper(settings).group([], alarms, 10.0)
    assert [a.at for a in group.alarms] == [0, 1, 7, 8]


def test_a_faster_clock_has_shorter_gaps() -> None:
    assert GroupingSettings().scaled(60.0).gap_seconds == 1.5


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (machine("c", 1.0), Nature.MACHINE),
        (data("p", "x", 1.0), Nature.DATA),
        (dataclasses.replace(data("p", "x", 1.0), test="silence"), Nature.DATA),
        (dataclasses.replace(alarm("a", 1.0), test="silence"), Nature.MACHINE),
        (alarm("a", 1.0), Nature.SERVICE),
    ],
)
def test_alarms_have_a_nature(found: Alarm, expected: Nature) -> None:
    assert nature(found) is expected


def test_subjects_name_their_pipeline() -> None:
    assert pipeline_of(dataclasses.replace(alarm("a", 1.0), subject="task:heart/etl")) == "heart"
    assert pipeline_of(machine("c", 1.0)) == ""


def test_titles_say_what_and_where() -> None:
    silent = dataclasses.replace(alarm("a", 1.0, pipeline="p"), test="silence")
    (group,) = grouped(silent)
    assert group.title == "failed requests of model a: no values any more"
