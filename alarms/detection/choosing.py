"""Which tracker a series needs."""

from __future__ import annotations

from collections.abc import Mapping

from alarms.detection import ages, curves, schemas
from alarms.detection.ages import AgeTracker
from alarms.detection.courses import CourseTracker
from alarms.detection.curves import CurveTracker
from alarms.detection.schemas import SchemaTracker
from alarms.detection.settings import DetectionSettings
from alarms.detection.trackers import (
    FEATURES,
    FeatureTracker,
    LevelTracker,
    ShareTracker,
    StateTracker,
    Tracker,
)
from engine.model.signals import Shape, Signal


def tracker_for(
    signal: Signal, settings: DetectionSettings, references: Mapping[str, Mapping[str, Signal]]
) -> Tracker:
    """Return the tracker that a series needs, by its first signal."""
    meaning = settings.meaning(signal)
    if meaning.is_course:
        return CourseTracker()
    if meaning.normal is not None:
        return StateTracker(meaning.normal)
    if signal.name == schemas.NAME:
        return SchemaTracker()
    if signal.name in ages.AGES:
        return AgeTracker(settings, meaning)
    if signal.name in curves.CURVES:
        return CurveTracker(settings, meaning)
    if signal.name in FEATURES:
        return FeatureTracker(settings, meaning, references)
    if signal.shape is Shape.SHARE:
        return ShareTracker(settings, meaning)
    return LevelTracker(settings, meaning)
