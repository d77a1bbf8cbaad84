"""Where a super-alarm would fall into two, if it is two: a suggestion for people, never applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.messages.context import SplitHint
from engine.model.alarms import Alarm, SuperAlarm
from engine.model.feedback import Matcher

SILHOUETTE_LEAST = 0.5
_ALARMS_MOST = 60
_CANDIDATES_MOST = 40
_TIME_SECONDS = 300.0
_NOT_SPLIT_BY = frozenset({"alertname", "severity", "runbook_url", "number"})


def hint(group: SuperAlarm) -> SplitHint | None:
    """Return the matcher by which a group falls apart most clearly; None when none does.

    Judged by the mean silhouette (Rousseeuw 1987) of both parts, where two alarms are the further
    apart the less labels they share and the more time lies between them.
    """
    alarms = _sample(group.alarms)
    apart = [[_distance(one, other) for other in alarms] for one in alarms]
    best: SplitHint | None = None
    for matcher in _candidates(alarms):
        leaving = [index for index, alarm in enumerate(alarms) if matcher.matches(alarm)]
        staying = [index for index in range(len(alarms)) if index not in set(leaving)]
        if not leaving or not staying:
            continue
        found = _silhouette(apart, leaving, staying)
        if found >= SILHOUETTE_LEAST and (best is None or found > best.silhouette):
            count = sum(matcher.matches(alarm) for alarm in group.alarms)
            best = SplitHint(
                matcher=str(matcher),
                leaving=count,
                staying=len(group.alarms) - count,
                silhouette=round(found, 3),
            )
    return best


def _sample(alarms: Sequence[Alarm]) -> list[Alarm]:
    step = -(-len(alarms) // _ALARMS_MOST) or 1
    return list(alarms[::step])


def _candidates(alarms: Sequence[Alarm]) -> list[Matcher]:
    """Return matchers on one label or on the subject, the most frequent first."""
    counts: dict[tuple[str, str], int] = {}
    for alarm in alarms:
        for name, value in _facts(alarm).items():
            counts[(name, value)] = counts.get((name, value), 0) + 1
    ordered = sorted(counts, key=lambda key: (-counts[key], key))[:_CANDIDATES_MOST]
    return [Matcher(name=name, value=value) for name, value in ordered]


def _facts(alarm: Alarm) -> Mapping[str, str]:
    labels = {name: value for name, value in alarm.labels.items() if name not in _NOT_SPLIT_BY}
    return {**labels, "subject": alarm.subject}


def _distance(one: Alarm, other: Alarm) -> float:
    here, there = set(_facts(one).items()), set(_facts(other).items())
    shared = len(here & there) / len(here | there)
    return (1 - shared + min(1.0, abs(one.at - other.at) / _TIME_SECONDS)) / 2


def _silhouette(
    apart: Sequence[Sequence[float]], leaving: Sequence[int], staying: Sequence[int]
) -> float:
    """Return the mean silhouette of two parts; an alarm that is alone counts as 0."""
    total = 0.0
    for mine, others in ((leaving, staying), (staying, leaving)):
        for index in mine:
            if len(mine) == 1:
                continue
            within = sum(apart[index][k] for k in mine) / (len(mine) - 1)
            between = sum(apart[index][k] for k in others) / len(others)
            largest = max(within, between)
            total += (between - within) / largest if largest else 0.0
    return total / (len(leaving) + len(staying))
