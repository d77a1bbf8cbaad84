"""What people say of calls and places is read whole or refused whole, and it is used."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from alarms import HypothesisTree, SuperAlarmGrouper
from alarms.grouping.topology_file import Topology, load_topology
from alarms.rootcause.tree import CauseSettings
from api.settings import Settings
from api.wiring.loop_parts import read_topology
from engine.model.alarms import Alarm
from engine.model.errors import InvalidInputError
from engine.model.signals import Layer, Signal
from engine.testing.watch_suites import alarm, group


def test_the_documented_example_is_read() -> None:
    page = (ROOT / "docs/reference/topology.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    found = load_topology(example, "topology.yaml")
    assert found == Topology(
        calls=(
            ("service:frontend", "service:cart"),
            ("service:frontend", "service:checkout"),
            ("service:checkout", "service:payment"),
        ),
        together=(("service:cart", "node:rack-7"),),
    )


def test_circles_are_read_and_repetition_is_not() -> None:
    found = load_topology("calls: {a: [b, b], b: [a]}", "t.yaml")
    assert found.calls == (("service:a", "service:b"), ("service:b", "service:a"))
    assert load_topology("{}", "t.yaml") == Topology()


ROOT = Path(__file__).resolve().parents[3]


def foreign(subject: str, at: float, namespace: str) -> Alarm:
    """Return an alert of another system."""
    return dataclasses.replace(
        alarm(f"{subject}@{at}", at, namespace=namespace),
        series=f"{subject}|Slow",
        subject=subject,
        signal="Slow",
        test="alert of prometheus",
        statistic=0.0,
        p_value=0.0,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("call: {a: [b]}", "unknown key `call`"),
        ("[a, b]", "expected a mapping"),
        ("calls: [a, b]", "`calls` maps a caller to what it calls"),
        ("calls: {a: b}", "expected a list of names"),
        ("calls: {a: [b, 7]}", "expected a name, found 7"),
        ("calls: {a: ['service:a']}", "a calls itself"),
        ("together: {a: [b]}", "`together` is a list of groups"),
        ("together: [[a, a]]", "a group needs two names or more"),
    ],
)
def test_faults_say_what_and_where(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        load_topology(text, "t.yaml")
    (fault,) = caught.value.faults
    assert said in fault.message
    assert fault.line == 1


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InvalidInputError) as caught:
        load_topology("calls: {a: [1], b: [2]}\nrest: 3", "t.yaml")
    assert len(caught.value.faults) == 3


def test_a_file_out_of_hand_is_refused() -> None:
    names = ", ".join(f"s{number}" for number in range(100_002))
    with pytest.raises(InvalidInputError, match="more than 500,000"):
        load_topology(f"calls: {{a: [{names}]}}", "t.yaml")


def test_alarms_of_a_caller_and_what_it_calls_are_one_event() -> None:
    alarms = [foreign("service:front", 9.0, "shop"), foreign("service:db", 9.5, "data")]
    told = load_topology("calls: {front: [db]}", "t.yaml")
    assert len(SuperAlarmGrouper().group([], alarms, 10.0)) == 2
    assert len(SuperAlarmGrouper(topology=told.pairs).group([], alarms, 10.0)) == 1


def test_calls_that_no_label_tells_lead_to_the_service_that_adds_the_time() -> None:
    signals = [
        Signal(name=name, layer=Layer.SERVING, subject=f"service:{service}", at=at, value=value)
        for service, usual in (("front", 0.2), ("db", 0.1))
        for at, slow in ((float(step), 0.5 * (step >= 60)) for step in range(80))
        for name, value in (
            ("requests", 100.0),
            ("latency_seconds", usual + 0.001 * (at % 7) + slow),
        )
    ]
    front = dataclasses.replace(alarm("a", 60.0), subject="service:front", signal="latency_seconds")
    told = load_topology("calls: {front: [db]}", "t.yaml")
    found = HypothesisTree(CauseSettings(calls=told.calls)).causes(group(front), signals, [])
    assert found[0].title == "service:db is slow by itself"
    without = HypothesisTree().causes(group(front), signals, [])
    assert all(cause.subject != "service:db" for cause in without)


def test_an_engine_reads_the_file_of_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_text("calls: {front: [db]}", encoding="ascii")
    assert read_topology(Settings(home=tmp_path)) == Topology()
    found = read_topology(Settings(home=tmp_path, topology=file))
    assert found.pairs == (("service:front", "service:db"),)
