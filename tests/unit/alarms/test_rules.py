"""Rules of people: read with all faults at once, applied with who and why."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from alarms import Detection, DetectionSettings, RuleDetector, load_rules
from engine.model.alarms import Alarm, Severity
from engine.model.errors import Fault, InvalidInputError
from engine.model.signals import Signal
from engine.testing.watch_suites import gauge, reachable

ROOT = Path(__file__).parents[3]
FLOOR = """
rules:
  - {name: floor, raise: critical, when: signal.value < 0.5, by: board, because: a coin is better}
"""
ON_ALARMS = """
rules:
  - {name: r, VERB, when: 'alarm.signal == "reachable"', by: ann, because: she knows}
"""


def faults(text: str) -> list[Fault]:
    with pytest.raises(InvalidInputError) as caught:
        load_rules(text, "rules.yaml")
    return list(caught.value.faults)


def detected(verb: str) -> list[Alarm]:
    rules = load_rules(ON_ALARMS.replace("VERB", verb), "r")
    return list(Detection(rules=rules).observe([reachable(1.0, 0.0)]))


def test_the_example_is_good() -> None:
    text = (ROOT / "examples/rules.yaml").read_text(encoding="utf-8")
    rules = load_rules(text, "rules.yaml")
    assert [rule.verb.value for rule in rules.rules] == ["raise", "confirm", "lower", "veto"]
    assert rules.conversions[0].names == ("ferritin",)


def test_a_rule_raises_an_alarm_with_who_and_why() -> None:
    detector = RuleDetector(load_rules(FLOOR, "r"))
    (alarm,) = detector.observe([gauge(1.0, 0.9), gauge(2.0, 0.4), gauge(3.0, 0.4)])
    assert (alarm.severity, alarm.rule) == (Severity.CRITICAL, "floor")
    assert alarm.message.endswith("rule floor of board: a coin is better")
    assert detector.abnormal() == {"model:p|latency_ms_p99": 2.0}


def test_a_rule_that_no_longer_holds_is_normal() -> None:
    detector = Detection(rules=load_rules(FLOOR, "r"))
    detector.observe([gauge(2.0, 0.4)])
    assert detector.abnormal()
    detector.observe([gauge(3.0, 0.9)])
    assert detector.abnormal() == {}


def test_a_rule_is_repeated_after_a_while() -> None:
    detector = RuleDetector(load_rules(FLOOR, "r"), refractory_seconds=10.0)
    assert len(detector.observe([gauge(float(at), 0.4) for at in range(25)])) == 3


def test_a_rule_that_cannot_be_evaluated_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    broken = FLOOR.replace("signal.value < 0.5", "signal.value + 1.0")
    assert RuleDetector(load_rules(broken, "r")).observe([gauge(1.0, 0.1)]) == []
    assert "rule floor is left out" in caplog.text


def test_a_veto_says_who_and_why_and_its_series_is_normal() -> None:
    rules = load_rules(ON_ALARMS.replace("VERB", "veto: true"), "r")
    detection = Detection(DetectionSettings(), rules)
    (alarm,) = detection.observe([reachable(1.0, 0.0)])
    assert (alarm.rule, alarm.vetoed) == ("r", "vetoed by rule r of ann: she knows")
    assert detection.abnormal() == {}


@pytest.mark.parametrize(
    ("verb", "severity"),
    [
        ("lower: info", Severity.INFO),
        ("lower: critical", Severity.CRITICAL),
        ("confirm: warning", Severity.CRITICAL),
    ],
)
def test_rules_change_the_severity(verb: str, severity: Severity) -> None:
    (alarm,) = detected(verb)
    assert alarm.severity is severity
    assert "by rule r of ann: she knows" in alarm.message


def test_all_faults_come_at_once_with_their_places() -> None:
    text = """
rules:
  - {name: a, rais: critical, when: signal.value < 1.0, by: x, because: y}
  - {name: a, raise: critcal, when: 'signal.value <', by: x, because: y}
  - {name: c, raise: info, when: signal.valeu < 1.0, by: x}
units:
  - {quantity: q, arrives in: a, wanted: b, factor: much}
"""
    found = faults(text)
    assert {fault.code for fault in found} >= {
        "S002",
        "S003",
        "S005",
        "S006",
        "S008",
        "S013",
        "S015",
        "S019",
    }
    assert all(fault.line for fault in found)
    misspelt = next(fault for fault in found if fault.code == "S015")
    assert (misspelt.column, misspelt.length) == (34, len("signal.valeu"))
    assert "signal.value" in misspelt.fix


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: 5", "expected a list"),
        ("[]", "expected a mapping"),
        ("rules: [5]", "expected a mapping"),
        ("rules: [{name: a, veto: maybe, when: 'true', by: x, because: y}]", "must be true"),
        ("rules: [{name: 7, veto: true, when: 'true', by: x, because: y}]", "must be a text"),
        ("rules: [{name: a, raise: info, lower: info, when: 'true', by: x, because: y}]", "one of"),
        ("units: [{quantity: q, arrives in: a, wanted: b, factor: 0}]", "makes all values equal"),
        ("units: [{quantity: q, arrives in: a, wanted: b}]", "`factor` is missing"),
        ("colour: blue", "unknown key `colour`"),
    ],
)
def test_faults_say_what_is_wrong(text: str, message: str) -> None:
    assert any(message in fault.message for fault in faults(text))


def test_an_alarm_rule_cannot_read_the_signal() -> None:
    text = ON_ALARMS.replace("VERB", "veto: true").replace("alarm.signal", "signal.name")
    assert "reads `alarm`" in faults(text)[0].message


def test_a_unit_with_an_offset_is_read() -> None:
    text = (
        "units: [{quantity: t, columns: [T], arrives in: F, wanted: C, factor: 0.5, offset: -18}]"
    )
    (unit,) = load_rules(text, "r").conversions
    assert (unit.offset, unit.names) == (-18.0, ("t",))


def test_observing_again_raises_nothing() -> None:
    detector = RuleDetector(load_rules(FLOOR, "r"))
    signal: Signal = dataclasses.replace(gauge(1.0, 0.1))
    detector.observe([signal])
    assert detector.observe([signal]) == []
