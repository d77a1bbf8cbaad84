"""Where people are told: channels of a file, and which of them a super-alarm goes to, and when."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from engine.model.alarms import Severity, SuperAlarm
from engine.model.errors import Fault, InvalidInputError

CHANNELS_MOST = 16
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_QUIET = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)(?: (\S+))?")
_DIGEST = re.compile(r"([1-9]\d{0,3})([mhd])")
_UNIT_SECONDS = {"m": 60.0, "h": 3_600.0, "d": 86_400.0}
_HOURS, _MINUTES = 24, 60


class ChannelKind(StrEnum):
    """What a channel speaks."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    SLACK = "slack"
    PAGERDUTY = "pagerduty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Hours of a day, in minutes since midnight in a zone; they may pass midnight."""

    begins: int
    ends: int
    zone: str

    def over_at(self, now: float) -> float:
        """Return when the quiet hours that hold now are over; now itself outside of them."""
        local = datetime.fromtimestamp(now, ZoneInfo(self.zone))
        minute = local.hour * _MINUTES + local.minute
        passes_midnight = self.ends <= self.begins
        is_quiet = (
            minute >= self.begins or minute < self.ends
            if passes_midnight
            else self.begins <= minute < self.ends
        )
        if not is_quiet:
            return now
        day = local + timedelta(days=1 if passes_midnight and minute >= self.begins else 0)
        over = day.replace(
            hour=self.ends // _MINUTES, minute=self.ends % _MINUTES, second=0, microsecond=0
        )
        return max(now, over.astimezone(UTC).timestamp())


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel.

    owners: whose super-alarms it gets; without any it gets those that no other channel gets.
    least: severity below which it is told nothing. quiet: when only critical ones are sent.
    digest_seconds: what is for information only waits for the next multiple of so many seconds,
        and is told in one message; 0 tells each at once.
    url, link: of the target, and of Berth's own pages for the link in a message.
    token: read from `token_file`: a Slack token, PagerDuty's routing key, a webhook's bearer
        token, or the password of a mail server. to, sender: addresses, or Slack's channel.
    """

    name: str
    kind: ChannelKind
    url: str = ""
    to: tuple[str, ...] = ()
    sender: str = ""
    user: str = ""
    token: str = ""
    owners: tuple[str, ...] = ()
    least: Severity = Severity.WARNING
    quiet: Quiet | None = None
    digest_seconds: float = 0.0
    link: str = ""

    def digests(self, group: SuperAlarm) -> bool:
        """Return whether a group is told in a digest."""
        return self.digest_seconds > 0 and group.severity is Severity.INFO

    def due_at(self, group: SuperAlarm, now: float) -> float:
        """Return when people may be told: now, after the quiet hours, or in the next digest."""
        if self.digests(group):
            return (math.floor(now / self.digest_seconds) + 1) * self.digest_seconds
        if self.quiet is None or group.severity is Severity.CRITICAL:
            return now
        return self.quiet.over_at(now)


def routed(
    channels: Sequence[Channel], group: SuperAlarm, owners: Sequence[str]
) -> tuple[Channel, ...]:
    """Return the channels that a group goes to: those of its owners, or those of nobody.

    A severity below what a channel wants keeps the group from it.
    """
    known = set(owners)
    special = [channel for channel in channels if known & set(channel.owners)]
    chosen = special or [channel for channel in channels if not channel.owners]
    return tuple(channel for channel in chosen if group.severity.rank >= channel.least.rank)


_KEYS = frozenset(
    {
        "name", "kind", "url", "to", "sender", "user", "token", "token_file", "owners", "least",
        "quiet", "digest", "link",
    }
)  # fmt: skip
_NEEDS: Mapping[ChannelKind, tuple[str, ...]] = {
    ChannelKind.WEBHOOK: ("url",),
    ChannelKind.EMAIL: ("url", "to", "sender"),
    ChannelKind.SLACK: (),
    ChannelKind.PAGERDUTY: ("token",),
}


def load_channels(text: str, name: str, tokens: Mapping[str, str]) -> tuple[Channel, ...]:
    """Return the channels of a TOML text.

    tokens: content of the files that `token_file` names; `token_files` lists them.

    Raises:
        InvalidInputError: with every fault of the text.
    """
    faults: list[Fault] = []
    found = [
        _channel(table, f"channel[{index}]", tokens, faults)
        for index, table in enumerate(_tables(text, name))
    ]
    channels = tuple(channel for channel in found if channel is not None)
    names = [channel.name for channel in channels]
    faults += [
        Fault(code="S008", message=f"channel {twice!r} is there twice")
        for twice in sorted({one for one in names if names.count(one) > 1})
    ]
    if len(found) > CHANNELS_MOST:
        faults.append(Fault(code="S004", message=f"at most {CHANNELS_MOST} channels"))
    if faults:
        raise InvalidInputError(name, faults)
    return channels


def token_files(text: str, name: str) -> tuple[str, ...]:
    """Return the files of tokens that channels name.

    Raises:
        InvalidInputError: when the text is not TOML.
    """
    return tuple(
        str(table["token_file"]) for table in _tables(text, name) if table.get("token_file")
    )


def _tables(text: str, name: str) -> list[Mapping[str, Any]]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = Fault(code="S001", message=f"is not TOML: {error}")
        raise InvalidInputError(name, [fault]) from error
    tables = content.get("channel", [])
    if set(content) - {"channel"} or not isinstance(tables, list):
        message = "only `[[channel]]` tables are known"
        raise InvalidInputError(name, [Fault(code="S002", message=message)])
    if not all(isinstance(table, dict) for table in tables):
        message = "`channel` must be `[[channel]]` tables"
        raise InvalidInputError(name, [Fault(code="S004", message=message)])
    return tables


class _Faults:
    """Gathers the faults of one table."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.found: list[Fault] = []

    def add(self, key: str, message: str, *, code: str = "S004", fix: str = "") -> None:
        """Add a fault of a key."""
        self.found.append(Fault(code=code, message=message, path=f"{self.path}.{key}", fix=fix))


_TEXTS = ("name", "kind", "url", "sender", "user", "token", "least", "quiet", "digest", "link")


def _channel(
    table: Mapping[str, Any], path: str, tokens: Mapping[str, str], faults: list[Fault]
) -> Channel | None:
    """Return one channel, or None after a fault."""
    here = _Faults(path)
    texts = _keys(table, here)
    if not _NAME.fullmatch(texts["name"]):
        here.add("name", f"{texts['name']!r} is no name: small letters, digits and hyphens")
    if texts["kind"] not in set(ChannelKind):
        here.add("kind", f"{texts['kind']!r} is no kind; there are {', '.join(ChannelKind)}")
    least = texts["least"] or Severity.WARNING.value
    if least not in set(Severity):
        here.add("least", f"{least!r} is no severity; there are {', '.join(Severity)}")
    to, owners = (_texts(table.get(key, []), key, here) for key in ("to", "owners"))
    token = tokens.get(str(table.get("token_file", "")), texts["token"]).strip()
    quiet = _quiet(texts["quiet"], here) if texts["quiet"] else None
    digest_seconds = _digest(texts["digest"], texts["kind"], here) if texts["digest"] else 0.0
    if not here.found:
        _needed(ChannelKind(texts["kind"]), {**texts, "to": to, "token": token}, here)
    faults += here.found
    if here.found:
        return None
    return Channel(
        name=texts["name"],
        kind=ChannelKind(texts["kind"]),
        url=texts["url"],
        to=to,
        sender=texts["sender"],
        user=texts["user"],
        token=token,
        owners=owners,
        least=Severity(least),
        quiet=quiet,
        digest_seconds=digest_seconds,
        link=texts["link"].rstrip("/"),
    )


def _keys(table: Mapping[str, Any], here: _Faults) -> dict[str, str]:
    """Return the texts of a table; keys that are unknown and values that are no text are faults."""
    for key in sorted(set(table) - _KEYS):
        near = difflib.get_close_matches(key, sorted(_KEYS), n=1)
        fix = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(_KEYS))}"
        here.add(key, f"unknown key `{key}`", code="S002", fix=fix)
    texts: dict[str, str] = {}
    for key in _TEXTS:
        value = table.get(key, "")
        if not isinstance(value, str):
            here.add(key, f"`{key}` must be a text, found {value!r}")
            value = ""
        texts[key] = value
    return texts


def _needed(kind: ChannelKind, given: Mapping[str, object], here: _Faults) -> None:
    """Find out what a channel of a kind lacks."""
    for key in _NEEDS[kind]:
        if not given[key]:
            here.add(key, f"a channel of kind {kind.value} needs `{key}`", code="S003")
    if kind is ChannelKind.SLACK and not (given["url"] or (given["token"] and given["to"])):
        fix = "give `url` of an incoming webhook, or `token_file` and `to`"
        here.add("url", "a channel of kind slack needs a target", code="S003", fix=fix)


def _texts(value: object, key: str, here: _Faults) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        here.add(key, f"`{key}` must be a list of texts")
        return ()
    return tuple(str(item) for item in items)


def _digest(text: str, kind: str, here: _Faults) -> float:
    """Return the seconds between two digests."""
    found = _DIGEST.fullmatch(text)
    if found is None:
        here.add("digest", f"{text!r} is no time between digests", fix="write `30m`, `4h` or `1d`")
        return 0.0
    if kind == ChannelKind.PAGERDUTY:
        fix = "set `least` to keep what is for information from it"
        here.add("digest", "PagerDuty takes one event an incident, no digests", fix=fix)
    return int(found[1]) * _UNIT_SECONDS[found[2]]


def _quiet(text: str, here: _Faults) -> Quiet | None:
    found = _QUIET.fullmatch(text)
    fix = "write `22:00-07:00 Europe/Paris`"
    if found is None:
        here.add("quiet", f"{text!r} is no time of the day", fix=fix)
        return None
    numbers = [int(found[index]) for index in (1, 2, 3, 4)]
    if max(numbers[0], numbers[2]) >= _HOURS or max(numbers[1], numbers[3]) >= _MINUTES:
        here.add("quiet", f"{text!r} is no time of the day", fix=fix)
        return None
    zone = found[5] or "UTC"
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        here.add("quiet", f"{zone!r} is no time zone", fix=fix)
        return None
    return Quiet(
        begins=numbers[0] * _MINUTES + numbers[1],
        ends=numbers[2] * _MINUTES + numbers[3],
        zone=zone,
    )
