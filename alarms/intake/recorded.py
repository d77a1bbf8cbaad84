"""Recorded signals and alerts, read for a replay.

A file holds JSON lines, each a signal, an alert in Alertmanager's shape, a notification of its
webhook or a CloudEvent; or one JSON document: a list of alerts (`amtool alert -o json`, or
`/api/v2/alerts`) or one notification.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pydantic

from alarms.intake import alerts
from engine.model import documents
from engine.model.errors import Fault, InvalidInputError
from engine.model.signals import Signal

RECORDS_MOST = 1_000_000
FAULTS_MOST = 20
_WEBHOOK_MARK = "alerts"
_EVENT_MARK = "specversion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a file holds, in order of time.

    alerts: each with the time at which it is received. signals: each with its own.
    """

    signals: tuple[Signal, ...] = ()
    alerts: tuple[tuple[float, alerts.Told], ...] = field(default=())

    @property
    def begins_at(self) -> float:
        """The time of the first record; 0 for an empty recording."""
        times = [*(signal.at for signal in self.signals[:1]), *(at for at, _ in self.alerts[:1])]
        return min(times, default=0.0)


def read_recording(text: str, name: str) -> Recording:
    """Return what a text holds.

    Raises:
        InvalidInputError: with the first faults, each with its line.
    """
    faults: list[Fault] = []
    signals: list[Signal] = []
    told: list[tuple[float, alerts.Told]] = []
    for line, record in _records(text, faults):
        try:
            _sort(record, signals, told)
        except InvalidInputError as error:
            faults += [
                Fault(code=fault.code, message=fault.message, path=fault.path, line=line)
                for fault in error.faults
            ]
        if len(faults) >= FAULTS_MOST:
            break
    if not faults and not signals and not told:
        message = "holds no signal and no alert"
        faults.append(Fault(code="S003", message=message, fix="give JSON lines, or alerts"))
    if faults:
        raise InvalidInputError(name, faults[:FAULTS_MOST])
    return Recording(
        signals=tuple(sorted(signals, key=lambda signal: (signal.at, signal.series))),
        alerts=tuple(sorted(told, key=lambda one: one[0])),
    )


def _records(text: str, faults: list[Fault]) -> Iterator[tuple[int, object]]:
    """Yield records with their lines; a text that is one document has its records on line 1."""
    whole = text.strip()
    if whole.startswith("[") or "\n" not in whole:
        found = _parsed(whole, 1, faults) if whole else []
        items = cast("list[object]", found) if isinstance(found, list) else [found]
        for item in items if not faults else ():
            yield 1, item
        return
    try:
        yield 1, json.loads(whole)
    except ValueError:
        pass
    else:
        return
    for number, line in enumerate(text.splitlines(), 1):
        if number > RECORDS_MOST:
            faults.append(Fault(code="S004", message=f"more than {RECORDS_MOST:,} lines"))
            return
        if line.strip():
            before = len(faults)
            record = _parsed(line, number, faults)
            if len(faults) == before:
                yield number, record


def _parsed(text: str, line: int, faults: list[Fault]) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"is not JSON: {str(error)[:120]}"
        faults.append(Fault(code="S001", message=message, line=line))
        return None


def _sort(record: object, signals: list[Signal], told: list[tuple[float, alerts.Told]]) -> None:
    """Add one record to the signals or to the alerts.

    Raises:
        InvalidInputError: when it is neither.
    """
    if not isinstance(record, Mapping):
        fault = Fault(code="S004", message="is neither a signal nor an alert")
        raise InvalidInputError("the record", [fault])
    known = cast("Mapping[str, Any]", record)
    if "labels" in known and "series" not in known and "value" not in known:
        told += _timed(alerts.from_list([known]), known)
    elif _EVENT_MARK in known:
        told += _timed(alerts.from_cloud_events(known), known)
    elif _WEBHOOK_MARK in known:
        told += _timed(alerts.from_webhook(known), known)
    else:
        signals.append(_signal(known))


def _timed(
    found: Sequence[alerts.Told], record: Mapping[str, Any]
) -> Iterator[tuple[float, alerts.Told]]:
    """Yield alerts with the time at which they were received, and once more when they end.

    `received_at` (seconds) or `receivedAt` of the record counts; else it is their start, or
    their end when they are over.
    """
    written = record.get("received_at", record.get("receivedAt"))
    received = _instant(written) if written is not None else None
    for told in found:
        starts_at = received if told.starts_at is None else told.starts_at
        at = received
        if at is None:
            at = told.ends_at if told.is_resolved and told.ends_at else starts_at
        if at is None:
            fault = Fault(code="S003", message="an alert needs `startsAt` to be replayed")
            raise InvalidInputError("the record", [fault])
        if told.is_resolved and received is None and starts_at is not None and starts_at < at:
            fired = alerts.Told(
                labels=told.labels,
                annotations=told.annotations,
                starts_at=told.starts_at,
                ends_at=None,
                is_resolved=False,
            )
            yield starts_at, fired
        yield at, told


def _instant(value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) else alerts.instant(value)
    except ValueError:
        number = None
    if number is None or not math.isfinite(number):
        fault = Fault(code="S006", message=f"{str(value)[:40]!r} is no time")
        raise InvalidInputError("the record", [fault])
    return number


def _signal(record: Mapping[str, Any]) -> Signal:
    try:
        found = documents.adapter(Signal).validate_json(json.dumps(record))
    except pydantic.ValidationError as error:
        item = error.errors()[0]
        path = ".".join(str(part) for part in item["loc"])
        fault = Fault(code="S004", message=f"is no signal: {item['msg']}", path=path)
        raise InvalidInputError("the record", [fault]) from error
    if not math.isfinite(found.at):
        raise InvalidInputError("the record", [Fault(code="S006", message="`at` is no time")])
    return found
