"""What past super-alarms teach: how often each alarm fires anyway, what contains what, and causes.

A cause that a person confirmed or denied is evidence when a super-alarm looks like that one again.
What nobody judged teaches rates only: an engine that believes its own guesses would come to
believe them ever more.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alarms.grouping.naming import alert_of
from alarms.localization.background import AlarmKey, Background, Past
from alarms.localization.precedence import Firing, Precedence, precedences
from engine.model.alarms import Alarm, Cause, SuperAlarm
from engine.model.identifiers import SuperAlarmId

REMEMBERED = 300
"""Past super-alarms that are remembered."""
SUBJECTS_MOST = 20_000
ALIKE_LEAST = 0.5
"""Two super-alarms are alike when so much of what alarmed in either alarmed in both."""
PRECEDENCE_EVENTS = 100
_CONTAINERS = ("service", "deployment", "node", "cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One past super-alarm: what alarmed, and what a person said of its first cause.

    coming_id: tells the times apart that it came.
    """

    super_alarm_id: SuperAlarmId
    coming_id: str
    opened_at: float
    keys: frozenset[AlarmKey]
    names: frozenset[str]
    cause: Cause | None
    is_right: bool | None


def key_of(alarm: Alarm) -> AlarmKey:
    """Return an alarm without its time."""
    return AlarmKey(alarm.subject, alert_of(alarm).name)


class Memory:
    """Learns from super-alarms that are over. Bounded."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._firings: deque[tuple[Firing, ...]] = deque(maxlen=PRECEDENCE_EVENTS)
        self._precedences: list[Precedence] | None = None
        self._labels: dict[str, Mapping[str, str]] = {}

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Labels by subject, of everything that ever alarmed."""
        return self._labels

    def learn(self, past: Sequence[SuperAlarm], verdicts: Mapping[str, bool]) -> None:
        """Take super-alarms that are over, oldest first; each counts once every time it came."""
        for group in past:
            key = group.coming_id
            known = self._seen.get(key)
            self._seen[key] = Seen(
                super_alarm_id=group.super_alarm_id,
                coming_id=key,
                opened_at=group.opened_at,
                keys=frozenset(map(key_of, group.alarms)),
                names=frozenset(key_of(alarm).name for alarm in group.alarms),
                cause=group.likely,
                is_right=verdicts.get(key, None if known is None else known.is_right),
            )
            if known is not None:
                continue
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            self._firings.append(
                tuple(
                    Firing(alarm=f"{key_of(a).name} on {a.subject}", place="system", at=a.at)
                    for a in group.alarms
                )
            )
            self._precedences = None
            for alarm in group.alarms:
                if len(self._labels) < SUBJECTS_MOST:
                    self._labels[alarm.subject] = alarm.labels

    def background(self) -> Background:
        """Return how often each alarm fires in an event, newer ones weighing more."""
        newest = len(self._seen)
        return Background(
            Past(distance=float(newest - index), alarms=seen.keys)
            for index, seen in enumerate(self._seen.values())
        )

    def contains(self, group: SuperAlarm) -> Mapping[str, frozenset[str]]:
        """Return the subjects that each service, node and cluster contains, as labels say."""
        found: dict[str, set[str]] = {}
        known = {**self._labels, **{alarm.subject: alarm.labels for alarm in group.alarms}}
        for subject, labels in known.items():
            for whole in wholes(labels):
                if whole != subject:
                    found.setdefault(whole, set()).add(subject)
        return {whole: frozenset(parts) for whole, parts in found.items()}

    def leads(self) -> Sequence[Precedence]:
        """Return which alarms led to which in the past."""
        if self._precedences is None:
            self._precedences = precedences(f for event in self._firings for f in event)
        return self._precedences

    def alike(self, group: SuperAlarm) -> list[tuple[float, Seen]]:
        """Return past super-alarms that looked like this one, the most alike first.

        By the alarms themselves; of what alarmed elsewhere, by their names at half the weight.
        """
        keys = frozenset(map(key_of, group.alarms))
        names = frozenset(key.name for key in keys)
        found = [
            (max(_overlap(keys, seen.keys), 0.5 * _overlap(names, seen.names)), seen)
            for seen in self._seen.values()
            if seen.coming_id != group.coming_id
        ]
        alike = [item for item in found if item[0] >= ALIKE_LEAST]
        return sorted(alike, key=lambda item: (-item[0], -item[1].opened_at))


def wholes(labels: Mapping[str, str]) -> Iterable[str]:
    """Yield what something belongs to, as its labels say."""
    space = labels.get("namespace", "")
    for name in _CONTAINERS:
        value = labels.get(name, "")
        if value:
            inside = f"{space}/" if space and name in {"service", "deployment"} else ""
            yield f"{name}:{inside}{value}"


def _overlap(one: frozenset[object], other: frozenset[object]) -> float:
    return len(one & other) / max(1, len(one | other))
