"""Hypotheses about what changed just before: a deployment, or a change of configuration.

How telling a change is follows from how seldom one comes: at one a day, a change in the minute
before the first alarm is there by chance once in 1,440 times; one in the hour before, once in 24.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from alarms.grouping.nature import Nature, nature
from alarms.rootcause.facts import Evidence, Facts, Hypothesis
from alarms.rootcause.memory import wholes
from engine.model import differing, remedied
from engine.model.alarms import CauseKind, Event, Remedy
from engine.model.checks import Check, CheckKind, Verdict

CODE = frozenset({"deployment", "code", "release", "rollout"})
CONFIGURATION = frozenset({"plan", "schema", "person", "configuration", "config", "flag", "quota"})
PRIOR = -1.5
RISEN = 1.5
"""Requests that rose so far explain what is slow."""
WEIGHT_MOST = 4.5
OWN = 2.0
"""A change of the very task that fails is no chance."""
KNOWN_AFTER_SECONDS = 2.0
"""A server serves another model a moment before that is told."""
PART = 0.7
"""Part of the logarithm of the chance that counts: people change things when things go wrong."""
TELLING = 2.3
"""Weight from which a change is hardly there by chance: one within 25 minutes at one a day."""
_NAMES = ("pipeline", "model", "service", "deployment", "pod", "node", "cluster", "namespace")


def closest(facts: Facts, day_seconds: float) -> Event | None:
    """Return the change nearest to the begin of the trouble that is hardly there by chance."""
    event = _nearest(facts, [e for e in _touching(facts) if not _is_cleared(facts, e)], day_seconds)
    if event is None or weight_of(facts, event, day_seconds) < TELLING:
        return None
    return event


def _is_cleared(facts: Facts, event: Event) -> bool:
    """Return whether a deployment was undone and it went on: then it explains nothing."""
    key = remedied.check_of(CauseKind.CODE, event.subject) if event.kind in CODE else None
    return any(
        (one.kind, one.subject) == key and one.verdict is Verdict.DENIES
        for one in facts.group.checks
    )


def hypotheses(facts: Facts, day_seconds: float) -> list[Hypothesis]:
    """Return the changes before the first alarm that touch what alarms, a deployment first.

    A deployment can be undone, which tells whether it was the cause. Of each kind it is the one
    nearest to the begin of the trouble: what alarms late may have been set back by then.
    day_seconds: within which one change of a thing is usual.
    """
    touching = _touching(facts)
    every_seconds = day_seconds / max(1, len(touching) - 1)
    nearest = (
        _nearest(facts, [e for e in touching if (e.kind in CODE) is is_code], every_seconds)
        for is_code in (True, False)
    )
    return [_change(facts, event, every_seconds) for event in nearest if event is not None]


def _nearest(facts: Facts, events: Sequence[Event], every_seconds: float) -> Event | None:
    """Return the event nearest to the begin of the trouble, of equally near ones the newest."""
    if not events:
        return None
    return max(events, key=lambda each: (weight_of(facts, each, every_seconds), each.at))


def _touching(facts: Facts) -> list[Event]:
    """Return changes before the first alarm that touch what alarms, oldest first."""
    until = facts.started_at
    found = [
        event
        for event in facts.events
        if is_change(event)
        and event.at <= (until + KNOWN_AFTER_SECONDS if event.kind in CODE else until)
    ]
    return [event for event in found if touches(event, facts)]


def is_change(event: Event) -> bool:
    """Return whether an event may break something; runs start all the time."""
    return event.kind in CODE | CONFIGURATION


def weight_of(facts: Facts, event: Event, every_seconds: float) -> float:
    """Return how much its closeness to the begin of the trouble speaks for a change.

    A change that is closer than values are apart is no closer than others within that time.
    """
    lag = max(abs(facts.began_at() - event.at), facts.apart_seconds())
    chance = -math.expm1(-max(lag, 1e-3 * every_seconds) / every_seconds)
    return min(WEIGHT_MOST, -PART * math.log(chance))


def _change(facts: Facts, event: Event, every_seconds: float) -> Hypothesis:
    evidence = Evidence(PRIOR)
    evidence.supports(
        weight_of(facts, event, every_seconds), f"{event.message} ({facts.when(event.at)})"
    )
    moved = {alarm.subject for alarm in facts.alarms if nature(alarm) is Nature.DATA}
    if moved:
        evidence.opposes(2.5, f"{len(moved)} inputs moved before the model saw them")
    refused = [alarm for alarm in facts.alarms_of("reachable") if alarm.test != "silence"]
    if refused:
        evidence.opposes(3.5, f"{refused[0].subject} does not answer at all")
    if _is_demand(facts):
        evidence.opposes(3.0, "callers send more than usual, which no change of ours does")
    for task in sorted(_failing(facts) & _changed_tasks(event)):
        evidence.supports(OWN, f"it changed parameters of {task}, which is what goes wrong")
    is_code = event.kind in CODE
    return Hypothesis(
        kind=CauseKind.CODE if is_code else CauseKind.CONFIGURATION,
        subject=event.subject,
        title=f"{'a deployment' if is_code else 'a change'} just before: {event.message}",
        weight=evidence.weight,
        evidence_for=tuple(evidence.pro),
        evidence_against=tuple(evidence.contra),
        settle=_settle(event, is_code=is_code),
        remedy=None if is_code else _set_back(event),
        check=_check(facts, event, is_code=is_code),
    )


def own_parameters(facts: Facts, task: str) -> bool:
    """Return whether a change before the first alarm was of parameters of a task."""
    return any(task in _changed_tasks(event) for event in _touching(facts))


def _failing(facts: Facts) -> set[str]:
    """Return the tasks that failed or lose precision."""
    alarms = facts.alarms_of("run_failed", "precision")
    return {alarm.labels["task"] for alarm in alarms if "task" in alarm.labels}


def _changed_tasks(event: Event) -> set[str]:
    return {one.name.partition(".")[0] for one in differing.read(event.labels)}


def _set_back(event: Event) -> Remedy | None:
    """Return the parameters of the last good run, where an event says what they were."""
    found = [one for one in differing.read(event.labels) if one.was is not None]
    if not found:
        return None
    told = ", ".join(f"{one.name} to {one.was}" for one in found)
    parameters = {one.name: one.was for one in found if one.was is not None}
    return Remedy(description=f"set back {told}", parameters=parameters)


def _check(facts: Facts, event: Event, *, is_code: bool) -> Check | None:
    """Return the look that Berth can take at a change of its own things."""
    pipeline = event.labels.get("pipeline", "")
    if not pipeline:
        return None
    if is_code:
        kind = CheckKind.QUALITY if facts.alarms_of("quality") else CheckKind.GOLDEN
        return Check(kind=kind, subject=f"model:{pipeline}", since=event.at)
    if event.kind != "schema":
        return None
    return Check(kind=CheckKind.CONFIGURATION, subject=f"pipeline:{pipeline}", since=event.at)


def _is_demand(facts: Facts) -> bool:
    """Return whether callers send more, which explains what is slow or fails, not what is wrong."""
    if facts.alarms_of("quality"):
        return False
    if any(a.test != "silence" and a.statistic > 0 for a in facts.alarms_of("requests")):
        return True
    first = min(facts.alarms, key=lambda alarm: (alarm.at, alarm.alarm_id))
    ratio = facts.ratio(f"{first.subject}|requests", facts.onset(first))
    return ratio is not None and ratio >= RISEN


def _settle(event: Event, *, is_code: bool) -> str:
    if is_code:
        return (
            f"send a part of the requests of {event.subject} to what served before, and compare; "
            "else roll it back"
        )
    return f"set {event.subject} back as it was before, for one run or replica, and compare"


def touches(event: Event, facts: Facts) -> bool:
    """Return whether a change is about something that alarms, or that it belongs to."""
    named = {event.subject, event.subject.partition(":")[2]}
    named |= {event.labels[name] for name in _NAMES if event.labels.get(name)}
    alarmed = {str(name) for name in facts.group.pipelines}
    for alarm in facts.alarms:
        alarmed |= {alarm.subject, alarm.subject.partition(":")[2], *wholes(alarm.labels)}
        alarmed |= {alarm.labels[name] for name in _NAMES if alarm.labels.get(name)}
    return bool((named & alarmed) - {""})
