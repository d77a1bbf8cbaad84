"""What callers were promised, by which slow answers are weighed. Pure but for the look-up."""

from __future__ import annotations

from dataclasses import replace

from engine.model.alarms import Alarm, Severity
from engine.model.records import PIPELINES
from engine.ports import Ledger

LATENCY = "latency_ms_p99"
HARMLESS_SHARE = 0.5
"""Answers that take no more of the promised time are unusual at most: they harm nobody."""


def weighed(ledger: Ledger, alarm: Alarm) -> Alarm:
    """Return an alarm about slow answers as information where the promise is far from broken.

    It opens no super-alarm then, and stays evidence in others. What an expert rule said stands.
    """
    if alarm.signal != LATENCY or alarm.rule:
        return alarm
    promised = _promised_ms(ledger, alarm.labels.get("pipeline", ""))
    if promised is None or alarm.value > HARMLESS_SHARE * promised:
        return alarm
    message = f"{alarm.message}; {promised:g} ms are promised"
    return replace(alarm, severity=Severity.INFO, message=message)


def _promised_ms(ledger: Ledger, pipeline: str) -> float | None:
    """Return the shortest latency that a pipeline's services promise; None without a promise."""
    known = ledger.get(PIPELINES, pipeline) if pipeline else None
    if known is None:
        return None
    serving = [task.serving for task in known.value.tasks if task.serving is not None]
    promised = [each.latency_ms_p99 for each in serving if each.latency_ms_p99 is not None]
    return min(promised, default=None)
