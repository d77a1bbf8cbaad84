"""What people say about alarms: silences, splits, and which cause was right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.model import checks
from engine.model.alarms import Alarm, CauseKind, coming_id_of
from engine.model.identifiers import SuperAlarmId

FIELDS = ("signal", "subject", "layer", "severity", "rule", "series")
"""What a matcher finds beside labels; a label of the same name is hidden by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One condition on alarms, as in Alertmanager: `NAME=VALUE`, `!=`, `=~`, `!~`.

    name: one of `FIELDS`, or a label; one that an alarm lacks is "".
    value: a text; with `is_pattern` a regular expression that must match all of it.
    """

    name: str
    value: str
    is_equal: bool = True
    is_pattern: bool = False

    def matches(self, alarm: Alarm) -> bool:
        """Return whether an alarm meets the condition."""
        found = value_of(alarm, self.name)
        if self.is_pattern:
            return (re.fullmatch(self.value, found) is not None) is self.is_equal
        return (found == self.value) is self.is_equal

    def __str__(self) -> str:
        if self.is_pattern:
            return f"{self.name}{'=~' if self.is_equal else '!~'}{self.value}"
        return f"{self.name}{'=' if self.is_equal else '!='}{self.value}"


def value_of(alarm: Alarm, name: str) -> str:
    """Return what a matcher of this name reads of an alarm."""
    fields: Mapping[str, str] = {
        "signal": alarm.signal,
        "subject": alarm.subject,
        "layer": alarm.layer.value,
        "severity": alarm.severity.value,
        "rule": alarm.rule,
        "series": alarm.series,
    }
    return fields[name] if name in fields else alarm.labels.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alarms that match every matcher are folded until then: kept, but they page nobody.

    until: it ends by itself then; a person may end it earlier, which moves `until`.
    """

    silence_id: str
    matchers: tuple[Matcher, ...]
    who: str
    because: str
    since: float
    until: float

    def covers(self, alarm: Alarm, now: float) -> bool:
        """Return whether an alarm is folded by it at this instant."""
        return now < self.until and all(matcher.matches(alarm) for matcher in self.matchers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folding:
    """An alarm that stands in no super-alarm, with the reason; None of them is lost.

    silence_id: the silence that folds it; "" for another reason.
    """

    alarm: Alarm
    at: float
    reason: str
    silence_id: str = ""


class Verdict(StrEnum):
    """Whether the first cause of a super-alarm was the right one, or what a check said of one."""

    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a person says about the first cause of a super-alarm, as it stood then.

    kind, subject, belief: of that cause. right_cause: what it was instead, in words.
    signals: what had alarmed, by which later super-alarms are compared.
    times: of which time that it came this is said.
    """

    super_alarm_id: SuperAlarmId
    at: float
    verdict: Verdict
    who: str
    kind: CauseKind
    subject: str
    belief: float
    signals: tuple[str, ...] = ()
    right_cause: str = ""
    times: int = 1

    @property
    def key(self) -> str:
        """Of each time that a super-alarm came the newest word counts."""
        return coming_id_of(self.super_alarm_id, self.times)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFeedback:
    """What a person says about the verdict of a check that Berth ran.

    check, subject: the check. said: its verdict. cause: the kind of the cause that it was about.
    times: of which time that the super-alarm came this is said.
    """

    super_alarm_id: SuperAlarmId
    at: float
    verdict: Verdict
    who: str
    check: checks.CheckKind
    subject: str
    said: checks.Verdict
    cause: CauseKind
    times: int = 1

    @property
    def key(self) -> str:
        """Of each check, every time that a super-alarm came, the newest word counts."""
        coming_id = coming_id_of(self.super_alarm_id, self.times)
        return self.key_of(coming_id, self.check, self.subject)

    @staticmethod
    def key_of(coming_id: str, check: checks.CheckKind, subject: str) -> str:
        """Return the key of what is said about a check of one time that a super-alarm came."""
        return f"{coming_id}/{check.name}/{subject}"
