"""Alerts as other systems send them, read as firings.

Read are the webhook of Alertmanager (version 4), the list that Prometheus and Alertmanager post to
`/api/v2/alerts`, and CloudEvents 1.0 (structured, one or a batch). Formats:
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config,
https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml,
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from alarms.intake import labels as known_labels
from engine.model import documents
from engine.model.alarms import Alarm
from engine.model.errors import Fault, InvalidInputError
from engine.model.intake import FOREIGN_TEST, Firing, FiringState

ALERTS_MOST = 10_000
"""Alerts of one request; more are refused as a whole."""
FAULTS_MOST = 20
KEPT_SECONDS = 86_400.0
"""How long a firing counts as going on whose sender named no end and says nothing more."""
_UNTOLD = "0001-01-01"
"""How Go writes that a time is not set."""
_FRACTION = re.compile(r"\.(\d{6})\d*")
_LEFT_OUT_MOST = 1_000_000
"""What a sender says beyond that is no count: thousands of digits could not be added up."""
_MESSAGE_CHARACTERS_MOST = 500
_WEBHOOK_VERSION = "4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One alert as it was sent, its labels in full.

    is_resolved: as its status says; None where it has none, and its end decides.
    """

    labels: Mapping[str, object]
    annotations: Mapping[str, object]
    starts_at: float | None
    ends_at: float | None
    is_resolved: bool | None = None


def from_webhook(content: object) -> list[Told]:
    """Return the alerts of Alertmanager's webhook.

    Raises:
        InvalidInputError: with the faults of the body.
    """
    if not isinstance(content, Mapping):
        raise _wrong("the webhook", "must be a JSON object")
    body = cast("Mapping[str, Any]", content)
    if str(body.get("version", _WEBHOOK_VERSION)) != _WEBHOOK_VERSION:
        message = f"version {body['version']!r} is not known; version 4 is"
        raise _wrong("the webhook", message, path="version")
    return from_list(body.get("alerts"), "alerts")


def left_out(content: object) -> int:
    """Return how many alerts a sender says it left out of a webhook (`max_alerts`)."""
    count = content.get("truncatedAlerts", 0) if isinstance(content, Mapping) else 0
    return min(max(0, count), _LEFT_OUT_MOST) if isinstance(count, int) else 0


def from_list(content: object, path: str = "") -> list[Told]:
    """Return the alerts of a list in the shape of `/api/v2/alerts`.

    Raises:
        InvalidInputError: with the faults of the list, the first `FAULTS_MOST` of them.
    """
    where = "the alerts"
    if not isinstance(content, Sequence) or isinstance(content, str | bytes):
        raise _wrong(where, "must be a list of alerts", path=path)
    items = cast("Sequence[object]", content)
    if len(items) > ALERTS_MOST:
        message = f"{len(items):,} alerts in one request; at most {ALERTS_MOST:,}"
        raise _wrong(where, message, path=path, fix="send several smaller requests")
    faults: list[Fault] = []
    found: list[Told] = []
    for index, item in enumerate(items):
        told = _told(item, f"{path}[{index}]", faults)
        if told is not None:
            found.append(told)
    if faults:
        raise InvalidInputError(where, faults[:FAULTS_MOST])
    return found


def from_cloud_events(content: object) -> list[Told]:
    """Return the alerts of one CloudEvent or of a batch.

    An event whose `data` has `labels` is read as an alert of Alertmanager's shape; any other
    becomes one whose labels are its type, source, subject and the plain members of its data. One
    that says its `status` goes on until one with the same labels says `resolved`; numbers are then
    what it measured, and no labels.

    Raises:
        InvalidInputError: with the faults of the events.
    """
    events = content if isinstance(content, list) else [content]
    return from_list([_of_event(event, i) for i, event in enumerate(events[: ALERTS_MOST + 1])])


def _of_event(event: object, index: int) -> Mapping[str, object]:
    where = f"event {index}"
    if not isinstance(event, Mapping):
        raise _wrong(where, "must be a JSON object")
    known = cast("Mapping[str, Any]", event)
    missing = [name for name in ("specversion", "id", "source", "type") if not known.get(name)]
    if missing:
        raise _wrong(where, f"`{missing[0]}` is missing; CloudEvents need it", path=missing[0])
    data = known.get("data")
    inner: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
    if isinstance(inner.get("labels"), Mapping):
        return {"startsAt": known.get("time"), **inner}
    return _as_alert(known, inner)


def _as_alert(known: Mapping[str, Any], inner: Mapping[str, Any]) -> Mapping[str, object]:
    """Return an event that is no alert as one, from its own members and the plain ones within."""
    plain = {
        str(name): value
        for name, value in inner.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    status = str(plain.pop("status", ""))
    annotations: dict[str, object] = {}
    if status:
        # Its end has another time, and most often other numbers: it must find its begin.
        annotations = {name: plain.pop(name) for name in _numbers(plain)}
    labels = {**plain, "alertname": known["type"], "event_source": known["source"]}
    if known.get("subject"):
        labels["subject" if ":" in str(known["subject"]) else "instance"] = known["subject"]
    return {
        "labels": labels,
        "annotations": annotations,
        "startsAt": None if status else known.get("time"),
        "status": status or "firing",
    }


def _numbers(members: Mapping[str, object]) -> list[str]:
    return [name for name, value in members.items() if not isinstance(value, str)]


def _told(item: object, path: str, faults: list[Fault]) -> Told | None:
    """Return one alert, or None after a fault."""
    if not isinstance(item, Mapping):
        faults.append(Fault(code="S004", message="must be a JSON object", path=path))
        return None
    alert = cast("Mapping[str, Any]", item)
    labels, annotations = alert.get("labels"), alert.get("annotations") or {}
    if not isinstance(labels, Mapping) or not labels:
        message = "needs `labels`, at least one"
        faults.append(Fault(code="S003", message=message, path=f"{path}.labels"))
        return None
    if not isinstance(annotations, Mapping):
        message = "must be a JSON object"
        faults.append(Fault(code="S004", message=message, path=f"{path}.annotations"))
        return None
    times: list[float | None] = []
    for name in ("startsAt", "endsAt"):
        try:
            times.append(instant(alert.get(name)))
        except ValueError:
            message = f"{str(alert.get(name))[:40]!r} is no time; write it as RFC 3339"
            faults.append(Fault(code="S006", message=message, path=f"{path}.{name}"))
            return None
    return Told(
        labels=cast("Mapping[str, object]", labels),
        annotations=cast("Mapping[str, object]", annotations),
        starts_at=times[0],
        ends_at=times[1],
        is_resolved=_resolved(alert.get("status")),
    )


def instant(value: object) -> float | None:
    """Return an RFC 3339 time as seconds since 1970; None where it is not set.

    Raises:
        ValueError: when it is none.
    """
    if value is None or value == "":
        return None
    text = str(value)
    if text.startswith(_UNTOLD):
        return None
    moment = datetime.fromisoformat(_FRACTION.sub(r".\1", text))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _resolved(status: object) -> bool | None:
    """Return what a status says; Alertmanager's own API has an object there, which says nothing."""
    return {"firing": False, "resolved": True}.get(status) if isinstance(status, str) else None


def firing_of(told: Told, sender: str, now: float) -> Firing:
    """Return an alert as a firing of a sender that was received now.

    Its alarm carries the sender's start; what is further from the engine's clock than is
    believed is set to the time of arrival when it becomes an alarm.
    """
    labels = known_labels.bounded({**_kept(told.annotations), **told.labels})
    mark = known_labels.fingerprint(told.labels)
    name = labels.get("alertname") or "alert"
    subject, _ = known_labels.subject_of(labels, sender)
    # Without a start there is one firing at a time, from its first to its last.
    firing_id = f"{sender}/{mark}" + ("" if told.starts_at is None else f"@{told.starts_at!r}")
    starts_at = now if told.starts_at is None else told.starts_at
    value = _value(told.annotations)
    alarm = Alarm(
        alarm_id="A-" + documents.letters(f"{firing_id}@{starts_at!r}", 12),
        series=f"{subject}|{name}#{mark[:6]}",
        subject=subject,
        signal=name,
        layer=known_labels.layer_of(labels),
        at=starts_at,
        value=value,
        unit="",
        test=FOREIGN_TEST + sender,
        statistic=0.0,
        p_value=0.0,
        expected_low=value,
        expected_high=value,
        severity=known_labels.severity_of(labels),
        labels=labels,
        message=_message(told.annotations, name),
    )
    is_over = told.ends_at is not None and told.ends_at <= now
    if told.is_resolved is not None:
        is_over = told.is_resolved
    ends_at = told.ends_at if told.ends_at is not None and told.ends_at > now else math.inf
    return Firing(
        firing_id=firing_id,
        sender=sender,
        alarm=alarm,
        state=FiringState.WAITING,
        starts_at=starts_at,
        received_at=now,
        expires_at=min(ends_at, now + KEPT_SECONDS),
        said_ends_at=told.ends_at if told.is_resolved is None else None,
        ended_at=now if is_over else None,
    )


def _kept(annotations: Mapping[str, object]) -> dict[str, object]:
    """Return the annotations that people need later: where the runbook stands."""
    return {key: annotations[key] for key in ("runbook_url", "owner") if annotations.get(key)}


def _message(annotations: Mapping[str, object], name: str) -> str:
    for key in ("summary", "description", "message"):
        text = str(annotations.get(key) or "").strip()
        if text:
            return text[:_MESSAGE_CHARACTERS_MOST]
    return name


def _value(annotations: Mapping[str, object]) -> float:
    """Return the value that an annotation tells; 1 (it fires) where none does."""
    try:
        value = float(str(annotations.get("value", "1")))
    except ValueError:
        return 1.0
    return value if math.isfinite(value) else 1.0


def _wrong(where: str, message: str, *, path: str = "", fix: str = "") -> InvalidInputError:
    return InvalidInputError(where, [Fault(code="S004", message=message, path=path, fix=fix)])
