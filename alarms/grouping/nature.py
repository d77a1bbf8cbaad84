"""What sort of trouble an alarm speaks of, which decides what it may be grouped by.

A machine takes down whatever runs on it, whoever owns it; wrong data harm whoever reads them,
wherever it runs. So machine alarms are grouped by cluster and data alarms by pipeline, and what
both may cause (latency, errors, quality) joins the nearer one.
"""

from __future__ import annotations

from enum import StrEnum

from engine.model.alarms import Alarm
from engine.model.signals import Layer


class Nature(StrEnum):
    """What sort of trouble an alarm speaks of."""

    MACHINE = "machine"
    DATA = "data"
    SERVICE = "service"


_MACHINE_SIGNALS = frozenset({"reachable", "exit_killed"})


def nature(alarm: Alarm) -> Nature:
    """Return the nature of an alarm."""
    if alarm.layer is Layer.MACHINE or alarm.signal in _MACHINE_SIGNALS:
        return Nature.MACHINE
    if alarm.layer in {Layer.ETL, Layer.FEATURES} or alarm.signal.startswith("feature_"):
        return Nature.DATA
    return Nature.MACHINE if alarm.test == "silence" else Nature.SERVICE


def pipeline_of(alarm: Alarm) -> str:
    """Return the pipeline an alarm is about, or "" when it is about none."""
    labelled = alarm.labels.get("pipeline", "")
    if labelled:
        return labelled
    kind, _, name = alarm.subject.partition(":")
    return name.partition("/")[0] if kind in {"task", "feature", "model"} else ""


def cluster_of(alarm: Alarm) -> str:
    """Return the cluster an alarm comes from, or "" when it is not known."""
    kind, _, name = alarm.subject.partition(":")
    return name if kind == "cluster" else alarm.labels.get("cluster", "")
