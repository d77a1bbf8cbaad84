"""What people who call a model feel of a super-alarm, and how much of it is over. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.model.alarms import Alarm, SuperAlarm, SuperAlarmState
from engine.model.signals import Signal

SENTENCES_MOST = 4
SILENCE = "silence"


def feels(group: SuperAlarm, newest: Mapping[str, Signal]) -> tuple[str, ...]:
    """Return what users feel, the worst first; nothing where no alarm is about what they get.

    newest: the newest value of each series; what is normal again is felt no more. Of a super-alarm
    that is over it is what they felt.
    """
    over = group.state is SuperAlarmState.RESOLVED
    last = [
        alarm
        for series, alarm in _last(group).items()
        if over or not _is_back(alarm, newest.get(series))
    ]
    ordered = sorted(last, key=lambda each: (-each.severity.rank, each.at))
    found = (_felt(alarm) for alarm in ordered)
    return tuple(dict.fromkeys(text for text in found if text))[:SENTENCES_MOST]


def _felt(alarm: Alarm) -> str:
    """Return what one alarm means to those who call, "" where it is not about them."""
    name = alarm.subject.partition(":")[2]
    if alarm.signal == "errors_share":
        return f"{100 * alarm.value:.0f} % of requests to {name} fail"
    if alarm.signal == "latency_ms_p99":
        usual = f" (usual are at most {alarm.expected_high:.0f})"
        return f"one answer in 100 of {name} takes over {alarm.value:.0f} ms{usual}"
    if alarm.signal == "quality":
        usual = f" (usual are at least {100 * alarm.expected_low:.0f} %)"
        return f"{100 * alarm.value:.0f} % of the answers of {name} are right{usual}"
    if alarm.signal == "requests" and alarm.test == SILENCE:
        return f"{name} has answered nobody for {alarm.value:.0f} s"
    if alarm.signal == "run_failed":
        run = alarm.labels.get("run", "")
        return f"{name} has no new model: run {run} failed"
    return ""


def back_to_normal(group: SuperAlarm, newest: Mapping[str, Signal]) -> tuple[int, int]:
    """Return how many series of a group are within their band again, and of how many."""
    last = _last(group)
    back = sum(_is_back(alarm, newest.get(series)) for series, alarm in last.items())
    return back, len(last)


def _last(group: SuperAlarm) -> dict[str, Alarm]:
    """Return the newest alarm of each series."""
    ordered = sorted(group.alarms, key=lambda each: (each.at, each.alarm_id))
    return {alarm.series: alarm for alarm in ordered}


def _is_back(alarm: Alarm, signal: Signal | None) -> bool:
    if signal is None or signal.at <= alarm.at:
        return False
    if alarm.test == SILENCE:
        return True
    return alarm.expected_low <= signal.value <= alarm.expected_high


def newest_of(signals: Iterable[Signal]) -> dict[str, Signal]:
    """Return the newest signal of each series."""
    found: dict[str, Signal] = {}
    for signal in signals:
        known = found.get(signal.series)
        if known is None or signal.at > known.at:
            found[signal.series] = signal
    return found
