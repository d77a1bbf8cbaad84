"""What people read of a super-alarm: its headline, and why its alarms are one."""

from __future__ import annotations

from collections.abc import Sequence

from alarms.grouping import phrases
from alarms.grouping.episodes import Reason
from alarms.grouping.naming import alert_of, is_foreign
from engine.model.alarms import Alarm

SENTENCES_MOST = 6
_WORDS = {
    Reason.ENTITY: "an alarm of something that is alarmed already joined",
    Reason.RELATED: "alarms joined by what they name together with others",
    Reason.NEAR: "what it runs on is alarmed too",
    Reason.COMPANY: "something joined that has been alarmed together with it before",
    Reason.TIME: "something joined that came at the same time and is not known to be unrelated",
    Reason.ONSET: "alarms of the event before began to fire again together: a new event",
    Reason.BRIDGE: "an alarm names what both of two super-alarms are about",
}


def title_of(alarms: Sequence[Alarm]) -> str:
    """Return a headline: what the worst and earliest alarm says, and what else alarmed."""
    first = min(alarms, key=lambda alarm: (-alarm.severity.rank, alarm.at, alarm.alarm_id))
    said = f"{first.signal}: {first.subject}" if is_foreign(first) else phrases.happened(first)
    return said + phrases.too(first.subject, {alarm.subject for alarm in alarms})


def because(
    alarms: Sequence[Alarm], before: Sequence[str], reason: Reason | None
) -> tuple[str, ...]:
    """Return why alarms are one: what all share, and for which reasons some joined."""
    shared = _shared(alarms)
    told = [text for text in before if text in _WORDS.values()]
    word = "" if reason is None else _WORDS.get(reason, "")
    is_plain = reason in {Reason.ENTITY, Reason.RELATED} and bool(shared)
    if word and not is_plain and word not in told:
        told.append(word)
    return tuple([*shared, *told][:SENTENCES_MOST])


def _shared(alarms: Sequence[Alarm]) -> list[str]:
    """Return what every one of several alarms names."""
    if len(alarms) == 1:
        return []
    subjects = {alarm.subject for alarm in alarms}
    if len(subjects) == 1:
        return [f"all speak of {subjects.pop()}"]
    features = {alarm.labels.get("feature", "") for alarm in alarms}
    if len(features) == 1 and "" not in features:
        return [f"all speak of the feature {features.pop()}"]
    common: set[str] | None = None
    for alarm in alarms:
        alert = alert_of(alarm)
        names = {alert.entity, *alert.related, *alert.near}
        common = names if common is None else common & names
    found = [name.partition(":") for name in sorted(common or ())]
    return [
        f"all share the {kind} {name}" if name else f"all share {kind}" for kind, _, name in found
    ]
