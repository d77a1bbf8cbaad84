"""Alarms of one event are one group, and those of two events are two."""

from __future__ import annotations

import dataclasses

import pytest

from alarms import GroupingSettings, TopologyGrouper, topology
from alarms.grouping.nature import Nature, nature, pipeline_of
from alarms.grouping.topology import Topology
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


def grouped(*alarms: Alarm, links: Topology | None = None) -> list[SuperAlarm]:
    return list(TopologyGrouper(topology=links).group([], alarms, 10.0))


def test_a_cluster_takes_its_tasks_along() -> None:
    task = machine("c", 2.0, "task:heart/serve", pipeline="heart")
    (group,) = grouped(machine("c", 1.0), task)
    assert "all share the cluster c" in group.because
    assert group.pipelines == ("heart",)


def test_two_clusters_are_two_events() -> None:
    assert len(grouped(machine("c", 1.0), machine("d", 1.0))) == 2


def test_two_clusters_of_one_region_are_one_event() -> None:
    links = topology(samples.fleet("c", "d"))
    assert links.distance("cluster:c", "cluster:d") == 1
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


def test_subjects_in_no_topology_have_no_distance() -> None:
    links = Topology([("a", "b"), ("c", "d")])
    assert links.distance("a", "x") is None
    assert links.distance("a", "c") is None


def test_what_comes_later_is_another_event() -> None:
    assert len(grouped(alarm("a", 1.0, pipeline="p"), alarm("b", 100.0, pipeline="p"))) == 2


def test_the_same_series_joins_after_any_time() -> None:
    first = alarm("a", 1.0, pipeline="p")
    again = dataclasses.replace(first, alarm_id="later", at=500.0)
    assert len(grouped(first, again)) == 1


def test_info_joins_but_opens_nothing() -> None:
    mild = dataclasses.replace(alarm("m", 1.0, pipeline="p"), severity=Severity.INFO)
    assert grouped(mild) == []
    (group,) = grouped(mild, alarm("a", 2.0, pipeline="p"))
    assert len(group.alarms) == 2


def test_groups_that_turn_out_to_be_one_merge_into_the_older() -> None:
    grouper = TopologyGrouper()
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
    (group,) = TopologyGrouper(settings).group([], alarms, 10.0)
    assert [a.at for a in group.alarms] == [0, 1, 7, 8]


def test_a_faster_clock_has_shorter_gaps() -> None:
    assert GroupingSettings().scaled(60.0).gap_seconds == 1.0


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
    assert group.title == "errors_share silent: model:a"
