"""What detection may be told: window sizes, levels, and what each kind of signal means."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from engine.model.alarms import Severity
from engine.model.signals import Layer, Signal


class Worse(StrEnum):
    """In which direction a signal is bad; the other direction raises nothing."""

    HIGHER = "higher"
    LOWER = "lower"
    EITHER = "either"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """How one kind of signal is read.

    worse: the direction that harms.
    severity: of its alarms, unless a rule changes it.
    effect: smallest change worth an alarm, whatever its p-value: a share of the usual level
        for gauges and counts, points (0.1 is ten percentage points) for shares.
    normal: the only value that is normal, for declared states; None for everything else.
    heartbeat: whether its silence is itself a signal.
    tested: whether values are tested at all; False for series that differ by design.
    least: values needed before the first test; None for the setting's `values_least`.
    at_once: whether one value outside is enough: values of single runs, a day apart, need not come
        again.
    idle: the value when nothing runs, which is neither tested nor learned: how it is to run says
        nothing of standing idle, nor the other way round. None for everything that always runs.
    is_course: whether its values are the course of one run, held against the best of that run.
    """

    worse: Worse = Worse.EITHER
    severity: Severity = Severity.WARNING
    effect: float = 0.5
    normal: float | None = None
    heartbeat: bool = False
    tested: bool = True
    least: int | None = None
    idle: float | None = None
    at_once: bool = False
    is_course: bool = False


_HIGHER, _LOWER = Worse.HIGHER, Worse.LOWER
_INFO, _CRITICAL = Severity.INFO, Severity.CRITICAL

_CONDITIONS = (
    "node_not_ready",
    "node_memory_pressure",
    "node_disk_pressure",
    "node_pid_pressure",
    "node_network_unavailable",
    "node_kernel_deadlock",
    "node_disk_readonly",
)
_RATES = (
    "disk_read_mib_per_second",
    "disk_written_mib_per_second",
    "network_received_mbps",
    "network_sent_mbps",
    "network_faults",
)

MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {
        "reachable": Meaning(worse=_LOWER, severity=_CRITICAL, normal=1.0, heartbeat=True),
        "exit_killed": Meaning(worse=_HIGHER, normal=0.0),
        "requests": Meaning(effect=0.5, heartbeat=True),
        "errors_share": Meaning(worse=_HIGHER, severity=_CRITICAL, effect=0.03),
        "latency_ms_p99": Meaning(worse=_HIGHER, effect=1.0),
        "quality": Meaning(worse=_LOWER, severity=_CRITICAL, effect=0.08),
        # One run in a hundred takes longer than all before: worth knowing beside other alarms.
        "deadline_at_risk": Meaning(worse=_HIGHER, normal=0.0),
        "profile_exceeded": Meaning(worse=_HIGHER, severity=_INFO, normal=0.0),
        "run_failed": Meaning(worse=_HIGHER, normal=0.0),
        # Values of single runs: the tests know how little one earlier run says.
        "nulls_share": Meaning(worse=_HIGHER, effect=0.02, least=1),
        "rows": Meaning(effect=0.3, least=1),
        "rejected_rows": Meaning(worse=_HIGHER, effect=0.5, least=1),
        "columns": Meaning(),
        "newest_record_age_seconds": Meaning(worse=_HIGHER, effect=1.0, at_once=True),
        "source_age_seconds": Meaning(worse=_HIGHER, effect=1.0, at_once=True),
        "output_age_seconds": Meaning(worse=_HIGHER, effect=0.5),
        # Who measures: without them nothing would be abnormal any more.
        "sender_silent_seconds": Meaning(worse=_HIGHER, effect=1.0),
        "source_reachable": Meaning(worse=_LOWER, normal=1.0),
        # Conditions that nodes tell, and that the engine finds on its own machine.
        **dict.fromkeys(_CONDITIONS, Meaning(worse=_HIGHER, normal=0.0)),
        # A training that diverges climbs by powers; how fast it goes depends on its neighbours.
        "training_loss": Meaning(worse=_HIGHER, effect=1.0),
        "gradient_norm": Meaning(worse=_HIGHER, effect=4.0),
        "diverged": Meaning(worse=_HIGHER, normal=0.0),
        "samples_per_second": Meaning(worse=_LOWER, severity=_INFO, effect=0.5),
        # Rates of a busy machine vary by powers of ten: context, never a symptom by themselves.
        **dict.fromkeys(_RATES, Meaning(severity=_INFO, effect=9.0)),
        "gpu_memory_errors": Meaning(worse=_HIGHER, normal=0.0),
        # Usage follows what was placed there, precision and loss follow the configuration that
        # is tried: context, not symptoms.
        "precision": Meaning(worse=_LOWER, severity=_INFO, effect=0.15),
        "cpu_cores_used": Meaning(severity=_INFO, idle=0.0),
        "memory_gib_used": Meaning(severity=_INFO, idle=0.0),
        "processes": Meaning(severity=_INFO, idle=0.0),
        "loss": Meaning(severity=_INFO, tested=False),
    }
)
"""Signals that Berth itself measures, by name."""

COURSES: Mapping[str, Meaning] = MappingProxyType(
    {"precision": Meaning(worse=_LOWER, effect=0.1, is_course=True)}
)
"""What a training measures by batch: not of the trials of a search, which are many trainings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionSettings:
    """Settings of the statistical detector. Times are seconds.

    season_seconds, season_slots: length of a season (a day) and its slots (hours); a value is
        compared with the same slot of earlier seasons.
    seasons_least: earlier seasons needed before a slot is trusted; else the recent window is.
    slot_values: values remembered per slot, `season_values` of them of one season;
        window_values: of the recent window.
    values_least: values needed before a level is tested.
    level: probability of one false alarm in a step over all series; it is divided by the
        number of series, so that ten times the series do not give ten times the false alarms.
    persistence: gauges alarm when so many values in a row are outside.
    confirm_level: p-value by the whole past that a value outside the recent band must have.
    pool_values: newest values pooled for features and shares, so that small windows add up.
    feature_effect: smallest shift of a feature worth an alarm, in standard deviations of its
        reference; resampled windows of 20 rows rarely reach it together with the level.
    median_effect: the same for medians: that of a feature with few values jumps by a whole step
        although nothing happened, and only larger shifts tell.
    large_effect: a shift of so many standard deviations alarms at once; a smaller one when it
        has lasted for `pool_values` values.
    refractory_seconds: after an alarm the series raises another one within this time only when
        its statistic is larger than anything since.
    recovery_values: normal values in a row after which a series is normal again.
    adopt_values: abnormal values in a row after which a level without a reference is the norm.
    silence_values: missing values in a row after which a heartbeat is silent;
        silence_seconds: and at least so long.
    forget_seconds: after which an abnormal series that says nothing more is let go.
    """

    season_seconds: float = 86_400.0
    season_slots: int = 24
    seasons_least: int = 2
    slot_values: int = 64
    season_values: int = 8
    window_values: int = 60
    values_least: int = 12
    level: float = 1e-4
    persistence: int = 2
    confirm_level: float = 0.01
    pool_values: int = 5
    feature_effect: float = 0.5
    median_effect: float = 2.5
    large_effect: float = 1.5
    refractory_seconds: float = 300.0
    recovery_values: int = 5
    adopt_values: int = 240
    silence_values: int = 5
    silence_seconds: float = 3.0
    forget_seconds: float = 6_000.0
    meanings: Mapping[str, Meaning] = field(default_factory=lambda: MEANINGS)

    def scaled(self, factor: float) -> DetectionSettings:
        """Return settings for a clock that is `factor` times as fast (a day in 86400/factor s)."""
        return dataclasses.replace(
            self,
            season_seconds=self.season_seconds / factor,
            refractory_seconds=self.refractory_seconds / factor,
            forget_seconds=self.forget_seconds / factor,
        )

    def meaning(self, signal: Signal) -> Meaning:
        """Return how a signal is read: by its name, else by its layer."""
        if signal.name in COURSES and "run" in signal.labels and "trial" not in signal.labels:
            return COURSES[signal.name]
        known = self.meanings.get(signal.name)
        if known is not None:
            return known
        return Meaning(severity=_INFO) if signal.layer is Layer.MACHINE else Meaning()
