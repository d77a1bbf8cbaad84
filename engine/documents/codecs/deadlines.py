"""Deadlines and retrain triggers: the two places where people write half a sentence."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from dataclasses import dataclass

from engine.documents.codecs.base import Codec, Schema, alike
from engine.documents.codecs.quantities import EVERY, QUALITY, WITHIN
from engine.documents.sources import Node, trouble
from engine.model.specs import Deadline, RetrainTrigger

_DAILY = re.compile(r"daily\s+(\d{1,2}):(\d{2})(?:\s+(\S+))?")
_IN = re.compile(r"in\s+(.+)")
_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}\S*)(?:\s+([A-Za-z]\S*))?")
_FORMS = "`daily 06:00 Europe/Paris`, `in 30 min` or `2026-12-01T06:00:00+01:00`"


@dataclass(frozen=True)
class DeadlineCodec(Codec[Deadline]):
    """`daily HH:MM ZONE`, `in DURATION` or an ISO instant with its zone."""

    def read(self, node: Node) -> Deadline:
        """Return the deadline; whether it has passed is checked where the time is known."""
        text = node.shown().strip()
        if match := _DAILY.fullmatch(text):
            return _daily(node, int(match[1]), int(match[2]), match[3])
        if match := _IN.fullmatch(text):
            offset = node.shown().index(match[1])
            inner = Node(node.path, match[1], node.place.within(offset, len(match[1])))
            return Deadline(within_seconds=WITHIN.read(inner))
        if match := _INSTANT.fullmatch(text):
            return _instant(node, match[1], match[2])
        raise trouble("S006", node, f"{text!r} is no deadline", fix=f"write {_FORMS}")

    def write(self, value: Deadline) -> object:
        """Return the form in which it was meant."""
        if value.daily_at is not None:
            return f"daily {value.daily_at} {value.zone}"
        if value.within_seconds is not None:
            return f"in {WITHIN.write(value.within_seconds)}"
        instant = datetime.datetime.fromtimestamp(value.at_seconds or 0.0, datetime.UTC)
        return instant.isoformat().replace("+00:00", "Z")

    def schema(self) -> Schema:
        """Accept the three forms."""
        pattern = r"^\s*(daily\s+\d{1,2}:\d{2}|in\s+\S|\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2})"
        examples = ["daily 06:00 Europe/Paris", "in 30 min", "2026-12-01T06:00:00Z"]
        return {"type": "string", "pattern": pattern, "examples": examples}


def _daily(node: Node, hour: int, minute: int, zone: str | None) -> Deadline:
    try:
        datetime.time(hour, minute)
    except ValueError as error:
        raise trouble(
            "S007", node, f"{hour:02d}:{minute:02d} is no time of day", fix=f"write {_FORMS}"
        ) from error
    if zone is not None:
        _check_zone(node, zone)
    return Deadline(daily_at=f"{hour:02d}:{minute:02d}", zone=zone or "UTC")


def _instant(node: Node, text: str, zone: str | None) -> Deadline:
    try:
        instant = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise trouble("S006", node, f"{text!r} is no instant: {error}") from error
    if zone is not None and instant.tzinfo is not None:
        message = f"{node.shown()!r} has an offset and a zone"
        raise trouble("S019", node, message, fix="keep one of the two")
    if zone is not None:
        instant = instant.replace(tzinfo=_check_zone(node, zone))
    if instant.tzinfo is None:
        fix = f"write `{text}Z` for UTC or `{text} Europe/Paris`"
        raise trouble("S006", node, f"{text!r} has no time zone", fix=fix)
    return Deadline(at_seconds=instant.timestamp())


def _check_zone(node: Node, zone: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = alike(zone, sorted(zoneinfo.available_timezones()))
        offset = node.shown().rindex(zone)
        raise trouble(
            "S005",
            node,
            f"{zone!r} is no time zone",
            at=node.place.within(offset, len(zone)),
            candidates=near,
            fix=f"write `{near[0]}`" if near else "use an IANA name such as `Europe/Paris`",
        ) from error


Trigger = tuple[RetrainTrigger, float | None]
"""What starts a retraining, with its bound: a quality, a number of seconds, or nothing."""


@dataclass(frozen=True)
class TriggerCodec(Codec[Trigger]):
    """`drift`, `quality below 0.91` or `every 7 d`."""

    def read(self, node: Node) -> Trigger:
        """Return the trigger."""
        text = node.shown().strip()
        if text == "drift":
            return RetrainTrigger.DRIFT, None
        for head, trigger, codec in (
            ("quality below ", RetrainTrigger.QUALITY, QUALITY),
            ("every ", RetrainTrigger.SCHEDULE, EVERY),
        ):
            if text.startswith(head):
                rest = text.removeprefix(head).strip()
                at = node.place.within(len(node.shown()) - len(rest), len(rest))
                return trigger, codec.read(Node(node.path, rest, at))
        forms = ("drift", "quality below 0.91", "every 7 d")
        near = alike(text, forms)
        raise trouble(
            "S005",
            node,
            f"{text!r} starts no retraining",
            candidates=near,
            fix="write `drift`, `quality below 0.91` or `every 7 d`",
        )

    def write(self, value: Trigger) -> object:
        """Return the trigger as it is said."""
        trigger, bound = value
        if trigger is RetrainTrigger.QUALITY:
            return f"quality below {bound!r}"
        if trigger is RetrainTrigger.SCHEDULE:
            return f"every {EVERY.write(bound or 0.0)}"
        return trigger.value

    def schema(self) -> Schema:
        """Accept the three forms."""
        return {"type": "string", "pattern": r"^\s*(drift|quality below\s+\S+|every\s+\S+.*)\s*$"}
