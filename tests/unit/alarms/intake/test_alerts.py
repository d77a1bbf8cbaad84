"""Alerts of other systems are read as they are sent, however odd."""

from __future__ import annotations

import json

import pytest

from alarms.intake import alerts, labels
from engine.model.alarms import Severity
from engine.model.errors import InvalidInputError
from engine.model.intake import FiringState
from engine.model.signals import Layer

NOW = 1_790_000_000.0
ALERT = {
    "labels": {"alertname": "Slow", "service": "cart", "severity": "page", "cluster": "eu-1"},
    "annotations": {"summary": "cart is slow", "value": "7", "runbook_url": "https://r"},
    "startsAt": "2026-09-21T13:59:00.123456789Z",
}
WEBHOOK = {
    "version": "4",
    "groupKey": "{}",
    "status": "firing",
    "alerts": [{**ALERT, "status": "firing", "endsAt": "0001-01-01T00:00:00Z"}],
}


def test_an_alert_becomes_an_alarm_with_its_labels() -> None:
    (told,) = alerts.from_list([ALERT])
    alarm = alerts.firing_of(told, "prom", NOW).alarm
    assert (alarm.subject, alarm.signal, alarm.severity) == ("service:cart", "Slow", "critical")
    assert (alarm.value, alarm.message, alarm.layer) == (7.0, "cart is slow", Layer.SERVING)
    assert alarm.labels["cluster"] == "eu-1"
    assert alarm.labels["runbook_url"] == "https://r"


def test_webhook_and_list_tell_of_the_same_firing() -> None:
    (one,), (two,) = alerts.from_webhook(WEBHOOK), alerts.from_list([ALERT])
    firings = [alerts.firing_of(told, "prom", NOW) for told in (one, two)]
    assert firings[0].firing_id == firings[1].firing_id
    assert firings[0].state is FiringState.WAITING


def test_a_status_counts_before_the_end() -> None:
    behind = {**ALERT, "endsAt": "2026-09-21T10:00:00Z"}
    (bare,), (firing,), (resolved,) = (
        alerts.from_list([{**behind, **more}])
        for more in ({}, {"status": "firing"}, {"status": "resolved"})
    )
    ended = [alerts.firing_of(told, "p", NOW).ended_at for told in (bare, firing, resolved)]
    assert ended == [NOW, None, NOW]


def test_an_end_to_come_is_when_it_expires() -> None:
    (told,) = alerts.from_list([{**ALERT, "endsAt": "2026-09-21T14:15:00Z"}])
    firing = alerts.firing_of(told, "p", NOW)
    assert firing.expires_at - NOW == pytest.approx(100.0)
    (endless,) = alerts.from_list([ALERT])
    assert alerts.firing_of(endless, "p", NOW).expires_at == NOW + alerts.KEPT_SECONDS


def test_cloud_events_are_alerts() -> None:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/ci",
        "type": "deploy.failed",
        "subject": "service:cart",
        "time": "2026-09-21T13:59:00Z",
        "data": {"severity": "critical", "attempt": 3, "nested": {}, "flag": True},
    }
    (told,) = alerts.from_cloud_events(event)
    alarm = alerts.firing_of(told, "ci", NOW).alarm
    assert (alarm.signal, alarm.subject) == ("deploy.failed", "service:cart")
    assert alarm.labels["attempt"] == "3"
    assert alarm.at == alerts.instant("2026-09-21T13:59:00Z")
    assert "nested" not in alarm.labels
    (inner,) = alerts.from_cloud_events([{**event, "data": ALERT}])
    assert inner.labels == ALERT["labels"]


def test_a_cloud_event_that_tells_the_end_finds_its_begin() -> None:
    begin = {
        "specversion": "1.0",
        "id": "1",
        "source": "/probe",
        "type": "disk.full",
        "time": "2026-09-21T13:59:00Z",
        "data": {"status": "firing", "node": "n-1", "value": 97.5},
    }
    end = {**begin, "id": "2", "time": "2026-09-21T14:20:00Z"}
    end["data"] = {"status": "resolved", "node": "n-1", "value": 40}
    told = alerts.from_cloud_events([begin, end])
    first, last = (alerts.firing_of(each, "p", NOW) for each in told)
    assert first.firing_id == last.firing_id
    assert (first.ended_at, last.ended_at) == (None, NOW)
    assert first.alarm.value == 97.5


@pytest.mark.parametrize(
    ("content", "left_out"),
    [
        ({"truncatedAlerts": 10**400}, 1_000_000),
        ({"truncatedAlerts": 3}, 3),
        ({"truncatedAlerts": -3}, 0),
        ({"truncatedAlerts": 10**4_299}, 1_000_000),
        ({"truncatedAlerts": "3"}, 0),
        ({}, 0),
        ([], 0),
    ],
)
def test_alerts_that_alertmanager_left_out_are_counted(content: object, left_out: int) -> None:
    assert alerts.left_out(content) == left_out


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"version": "5", "alerts": []}, "version"),
        ([], ""),
        ({"version": "4", "alerts": {}}, "alerts"),
        ({"alerts": [3]}, "alerts[0]"),
        ({"alerts": [{"labels": {}}]}, "alerts[0].labels"),
        ({"alerts": [{"labels": {"a": "b"}, "annotations": 3}]}, "alerts[0].annotations"),
        ({"alerts": [{"labels": {"a": "b"}, "startsAt": "noon"}]}, "alerts[0].startsAt"),
    ],
)
def test_faults_are_named_with_their_place(content: object, path: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        alerts.from_webhook(content)
    assert caught.value.faults[0].path == path


@pytest.mark.parametrize("event", [3, {"id": "1"}, {"specversion": "1.0", "id": "1"}])
def test_events_that_are_none_are_refused(event: object) -> None:
    with pytest.raises(InvalidInputError):
        alerts.from_cloud_events(event)


def test_too_many_alerts_are_refused_as_a_whole() -> None:
    with pytest.raises(InvalidInputError, match="at most"):
        alerts.from_list([ALERT] * (alerts.ALERTS_MOST + 1))


@pytest.mark.parametrize("value", ["NaN", "+Inf", "many"])
def test_a_value_that_is_no_number_counts_as_one(value: str) -> None:
    (told,) = alerts.from_list([{**ALERT, "annotations": {"value": value}}])
    firing = alerts.firing_of(told, "p", NOW)
    assert firing.alarm.value == 1.0
    assert firing.alarm.message == "Slow"


def test_long_labels_are_cut_and_stay_different() -> None:
    one, two = ("x" * 10_000 + end for end in "ab")
    cut = labels.bounded({"a": one, "b": two, "n": None})
    assert max(len(value) for value in cut.values()) == labels.LABEL_CHARACTERS_MOST
    assert cut["a"] != cut["b"]
    assert labels.fingerprint({"a": one}) != labels.fingerprint({"a": two})
    assert len(labels.bounded({str(n): "v" for n in range(1_000)})) == labels.LABELS_MOST


def test_what_cannot_be_stored_is_left_out_of_labels() -> None:
    cut = labels.bounded({"a": "x\0y", "b": "\ud800"})
    json.dumps(cut).encode("utf-8")
    assert cut["a"] == "xy"


@pytest.mark.parametrize(
    ("given", "subject", "layer"),
    [
        ({"subject": "disk:n7"}, "disk:n7", Layer.SERVING),
        ({"pipeline": "p", "feature": "f"}, "feature:p/f", Layer.FEATURES),
        ({"pipeline": "p", "task": "t"}, "task:p/t", Layer.SERVING),
        ({"namespace": "n", "pod": "x", "node": "n7"}, "pod:n/x", Layer.SERVING),
        ({"node": "n7", "instance": "i"}, "node:n7", Layer.MACHINE),
        ({"instance": "i:1", "job": "j"}, "instance:i:1", Layer.MACHINE),
        ({"job": "j", "layer": "etl"}, "job:j", Layer.ETL),
        ({"x": "y"}, "sender:prom", Layer.SERVING),
    ],
)
def test_labels_say_what_they_are_about(given: dict[str, str], subject: str, layer: Layer) -> None:
    assert labels.subject_of(given, "prom")[0] == subject
    assert labels.layer_of(given) is layer


@pytest.mark.parametrize(
    ("given", "severity"),
    [
        ({"severity": "Critical "}, Severity.CRITICAL),
        ({"priority": "P4"}, Severity.INFO),
        ({"level": "minor"}, Severity.WARNING),
        ({}, Severity.WARNING),
    ],
)
def test_severities_have_many_names(given: dict[str, str], severity: Severity) -> None:
    assert labels.severity_of(given) is severity
