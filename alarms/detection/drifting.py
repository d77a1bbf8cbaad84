"""Drift of models as alarms: the triggers of `drift` beside another detector.

Tests of single windows find what breaks at once; a quality that sinks slowly moves what they take
for normal. The triggers compare with what a model did after its training, over all models under
one bound on false ones. What they find is an alarm like any other, which is grouped and gets its
cause, and it is what a retraining needs (port `DriftWatch`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alarms.detection.detector import alarm_of
from alarms.detection.drift import DriftSettings, DriftTriggers
from alarms.detection.settings import Meaning, Worse
from engine.model.alarms import Alarm, Drift, Severity
from engine.model.identifiers import PipelineName
from engine.model.signals import Season, Signal
from engine.ports import Detector, Remembering

WATCHED: Mapping[str, Worse] = {"quality": Worse.LOWER}
"""Signals that say whether a training would be worth it, with the direction that harms."""
_MEANING = Meaning(worse=Worse.LOWER, severity=Severity.WARNING)


def watch_settings(season_seconds: float = 86_400.0) -> DriftSettings:
    """Return the settings of the watch loop.

    With a value a minute, four hours after a training are its first norm, the first day is its
    second, and a loss of quality that asks for another training has lasted for half an hour. Many
    short blocks tell more of how blocks scatter than few long ones.
    """
    return DriftSettings(block_values=8, reference_blocks=30, season_seconds=season_seconds)


class DriftDetector:
    """Adds alarms of drift to those of another detector. Ports `Detector` and `DriftWatch`."""

    def __init__(self, detector: Detector, settings: DriftSettings | None = None) -> None:
        self._detector = detector
        self._triggers = DriftTriggers(settings or watch_settings())
        self._last: dict[str, float] = {}
        self._pipelines: dict[str, PipelineName] = {}
        self._found: dict[str, Drift] = {}
        self._trained: dict[PipelineName, list[float]] = {}

    def observe(self, signals: Sequence[Signal]) -> Sequence[Alarm]:
        """Return the alarms that these signals raise, those of drift last."""
        alarms = list(self._detector.observe(signals))
        for signal in signals:
            worse = WATCHED.get(signal.name)
            if worse is None or signal.at <= self._last.get(signal.series, float("-inf")):
                continue
            self._last[signal.series] = signal.at
            alarms += self._judged(signal, worse)
        return alarms

    def abnormal(self) -> Mapping[str, float]:
        """Return abnormal series, those that drift among them."""
        found = dict(self._detector.abnormal())
        for series, drift in self._found.items():
            found[series] = min(drift.found_at, found.get(series, drift.found_at))
        return found

    def remembered(self) -> Sequence[Season]:
        """Return what the detector inside remembers, where it does. Port `Remembering`."""
        inside = self._detector
        return inside.remembered() if isinstance(inside, Remembering) else ()

    def recall(self, seasons: Sequence[Season]) -> None:
        """Remind the detector inside, where it remembers. Port `Remembering`."""
        if isinstance(self._detector, Remembering):
            self._detector.recall(seasons)

    def drifts(self, pipeline: PipelineName) -> Drift | None:
        """Return what is known of the drift of a pipeline's model; None when nothing is."""
        series = [each for each, name in self._pipelines.items() if name == pipeline]
        found = [self._found[each] for each in series if each in self._found]
        if found:
            return min(found, key=lambda drift: drift.found_at)
        ready = [each for each in series if self._triggers.is_ready(each)]
        return Drift(is_found=False) if ready else None

    def trained(self, pipeline: PipelineName, at: float) -> None:
        """Take values after a training for another norm; the same training may be told again."""
        known = self._trained.setdefault(pipeline, [])
        if at not in known:
            known.append(at)
            known.sort()

    def _judged(self, signal: Signal, worse: Worse) -> list[Alarm]:
        series = signal.series
        pipeline = PipelineName(
            signal.labels.get("pipeline", signal.subject.partition(":")[2].partition("/")[0])
        )
        self._pipelines[series] = pipeline
        trained = self._trained.get(pipeline, [])
        while trained and trained[0] <= signal.at:
            trained.pop(0)
            self._triggers.retrained(series)
            self._found.pop(series, None)
        finding = self._triggers.observe(series, signal.at, signal.value, worse=worse)
        if finding is None:
            if series in self._found and not self._triggers.is_outside(series):
                del self._found[series]
            return []
        alarm = alarm_of(signal, finding, _MEANING, at=signal.at)
        self._found[series] = Drift(
            is_found=True, found_at=signal.at, p_value=finding.p_value, message=alarm.message
        )
        return [alarm]
