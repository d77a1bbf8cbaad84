"""One tracker per series: it tests each value against what it remembers, then learns.

Values outside what is normal are not learned, so that a fault does not become its own
reference; a level that stays is adopted after a while, unless it has a measured reference.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from alarms.detection import significance
from alarms.detection.memory import WEEK_SEASONS, Following, Sample, Scatter, Seasons
from alarms.detection.sequences.detector import SequenceDetector, SequenceSettings
from alarms.detection.settings import DetectionSettings, Meaning, Worse
from alarms.detection.significance import Finding, Judgement, Scatters
from engine.model.signals import Season, Shape, Signal

REFERENCES = frozenset({"reference_median", "reference_mad", "reference_mean", "reference_sd"})
"""Signals that describe a feature as it was trained on."""
FEATURES = frozenset({"feature_median", "feature_mean"})
"""Signals that describe a feature as it arrives."""


class Tracker(Protocol):
    """Tests and learns the values of one series, in order."""

    def observe(self, signal: Signal, level: float) -> Judgement | None:
        """Return the judgement of a value, or None while too little is known."""
        ...


def least_of(settings: DetectionSettings, meaning: Meaning) -> int:
    """Return how many values are needed before a signal of a meaning is tested."""
    return settings.values_least if meaning.least is None else meaning.least


class StateTracker:
    """A declared state: one value is normal, every other one is not. No test of chance."""

    def __init__(self, normal: float) -> None:
        self._normal = normal

    def observe(self, signal: Signal, level: float) -> Judgement:
        """Return whether the state is the normal one; the p-value is 0 or 1."""
        del level
        outside = signal.value != self._normal
        finding = Finding(
            test="declared state",
            value=signal.value,
            statistic=signal.value - self._normal,
            p_value=0.0 if outside else 1.0,
            usual=self._normal,
            low=self._normal,
            high=self._normal,
        )
        return Judgement(finding, outside)


class LevelTracker:
    """Gauges and counts, against the same slot of earlier seasons or the recent window.

    A gauge is also judged by all that it did before, once that is enough: then a value outside
    the recent band must be somewhat surprising as well, and a surprising one needs no band.
    """

    def __init__(self, settings: DetectionSettings, meaning: Meaning) -> None:
        self._settings = settings
        self._meaning = meaning
        self._seasons = Seasons(settings)
        self._following = Following()
        self._scatter = Scatter()
        self._ratios = Scatter()
        self._streak = 0
        self._sequence: SequenceDetector | None = None

    def observe(self, signal: Signal, level: float) -> Judgement | None:
        """Test, then learn what is normal. Gauges are outside only after several in a row."""
        if not self._meaning.tested or signal.value == self._meaning.idle:
            return None
        is_count = signal.shape is Shape.COUNT
        surprise = None if is_count else self._surprise(signal, level)
        reference = self._seasons.reference(signal.at)
        if len(reference) < least_of(self._settings, self._meaning):
            self._seasons.add(signal.at, signal.value)
            return None
        finding = self._finding(signal, reference, level)
        outside = self._is_outside(finding, surprise, level)
        if not outside:
            # A fault lasts: its values follow one another, whatever those of the series do.
            self._foretold(signal, finding.usual)
        self._learn(signal, outside=outside)
        lasts = is_count or self._meaning.at_once or self._streak >= self._settings.persistence
        enough = outside and lasts
        told = finding if enough or surprise is None else surprise
        if not told.is_outside(level, self._meaning.worse) or not (enough or told is surprise):
            return Judgement(finding, outside=False)
        return Judgement(self._with_past(told, signal.at), outside=True)

    def remembered(self, series: str) -> list[Season]:
        """Return what is new of its seasons."""
        return self._seasons.remembered(series)

    def recall(self, seasons: Sequence[Season]) -> None:
        """Take its seasons from before a restart."""
        self._seasons.recall(seasons)

    def _is_outside(self, finding: Finding, surprise: Finding | None, level: float) -> bool:
        """Return whether a value leaves its band; the first that does must surprise as well."""
        outside = finding.is_outside(level, Worse.EITHER)
        if outside and self._streak == 0 and surprise is not None:
            return surprise.p_value <= self._settings.confirm_level
        return outside

    def _with_past(self, finding: Finding, at: float) -> Finding:
        """Return a finding that says what the same hour was the day before, and the week before."""
        known = (("the day before", 1), ("the week before", WEEK_SEASONS))
        middles = [(words, self._seasons.ago(at, seasons)) for words, seasons in known]
        said = ", ".join(f"{value:.4g} {words}" for words, value in middles if value is not None)
        return replace(finding, said=f"the same hour was {said}") if said else finding

    def _finding(self, signal: Signal, reference: Sample, level: float) -> Finding:
        """Return the test of a value."""
        effect = self._meaning.effect
        if signal.shape is Shape.COUNT:
            return significance.count(
                signal.value, reference, level=level, effect=effect, known=self._ratios.spread()
            )
        following = self._following.correlation
        known = Scatters(self._scatter.spread(following), self._ratios.spread(following))
        return significance.gauge(
            signal.value, reference, level=level, effect=effect, following=following, known=known
        )

    def _foretold(self, signal: Signal, usual: float) -> None:
        """Learn how well a value was foretold."""
        rest = signal.value - usual
        if signal.shape is Shape.COUNT:
            self._ratios.observe(significance.root(signal.value) - significance.root(usual))
            return
        self._following.observe(rest)
        self._scatter.observe(rest)
        if signal.value > 0 and usual > 0:
            self._ratios.observe(math.log(signal.value / usual))

    def _learn(self, signal: Signal, *, outside: bool) -> None:
        """Take a value for normal, unless it is outside; after many of those begin anew."""
        if not outside:
            self._streak = 0
            self._seasons.add(signal.at, signal.value)
            return
        self._streak += 1
        self._seasons.note(signal.at, signal.value)
        if self._streak >= self._settings.adopt_values:
            self._seasons.restart()
            self._streak = 0

    def _surprise(self, signal: Signal, level: float) -> Finding | None:
        """Return how surprising a value of a gauge is, or None before enough is known."""
        if self._sequence is None:
            self._sequence = SequenceDetector(
                SequenceSettings(season_seconds=self._settings.season_seconds)
            )
        self._sequence.observe(signal.at, signal.value)
        if not self._sequence.is_ready:
            return None
        return self._sequence.look.finding(level=level, effect=self._meaning.effect)


class ShareTracker:
    """Shares of trials, the newest alone and the newest few pooled, against those before.

    Values enter the reference only when they have left the pool.
    """

    def __init__(self, settings: DetectionSettings, meaning: Meaning) -> None:
        self._settings = settings
        self._meaning = meaning
        self._pool: deque[tuple[float, float, bool]] = deque()
        self._past: deque[tuple[float, float]] = deque(maxlen=settings.window_values)
        self._streak = 0

    def observe(self, signal: Signal, level: float) -> Judgement | None:
        """Test alone and pooled, each at half of the level; values without trials say nothing."""
        if signal.weight < 1:
            return None
        hits = signal.value * signal.weight
        least = least_of(self._settings, self._meaning)
        judgement: Judgement | None = None
        if len(self._past) >= least:
            judgement = self._judge(signal.value, signal.weight, level)
        outside = judgement is not None and judgement.outside
        self._streak = self._streak + 1 if outside else 0
        if self._streak >= self._settings.adopt_values:
            self._past.clear()
            self._streak = 0
        self._pool.append((hits, signal.weight, outside))
        # With so few values as one a run there is nothing to pool.
        if len(self._pool) > (self._settings.pool_values - 1 if least > 1 else 0):
            old_hits, trials, was_outside = self._pool.popleft()
            if not was_outside:
                self._past.append((old_hits, trials))
        return judgement

    def _judge(self, value: float, trials: float, level: float) -> Judgement:
        past_hits = sum(hits for hits, _ in self._past)
        past_trials = sum(weight for _, weight in self._past)
        pooled_trials = trials + sum(weight for _, weight, _ in self._pool)
        pooled_hits = value * trials + sum(hits for hits, _, _ in self._pool)
        findings = [
            significance.share(
                pooled,
                weight,
                past_hits,
                past_trials,
                level=level / 2,
                effect=self._meaning.effect,
            )
            for pooled, weight in ((value, trials), (pooled_hits / pooled_trials, pooled_trials))
        ]
        return worst(findings, level / 2, self._meaning.worse)


class FeatureTracker:
    """Mean or median of a feature against its measured reference, alone and pooled.

    The error is that of the theory, or larger where the windows of this series have shown to
    scatter more than that (records that arrive in some order are not a random sample).
    """

    def __init__(
        self,
        settings: DetectionSettings,
        meaning: Meaning,
        references: Mapping[str, Mapping[str, Signal]],
    ) -> None:
        self._settings = settings
        self._references = references
        self._own = LevelTracker(settings, meaning)
        self._pool: deque[tuple[float, float]] = deque(maxlen=settings.pool_values - 1)
        self._scatter = (Sample(settings.window_values), Sample(settings.window_values))
        self._streak = 0

    def observe(self, signal: Signal, level: float) -> Judgement | None:
        """Test against the reference; without one, as a level of its own."""
        if signal.weight < 1:
            return None
        known = self._references.get(signal.subject)
        if known is None:
            return self._own.observe(signal, level)
        reference = read_reference(known, signal.name)
        if reference is None:
            return None
        rows = signal.weight + sum(weight for _, weight in self._pool)
        total = signal.value * signal.weight + sum(v * weight for v, weight in self._pool)
        findings: list[Finding] = []
        for (value, weight), scatter in zip(
            ((signal.value, signal.weight), (total / rows, rows)), self._scatter, strict=True
        ):
            theory = reference.error(weight)
            learned = len(scatter) >= self._settings.values_least
            findings.append(
                significance.shift(
                    value,
                    reference,
                    rows=weight,
                    error=theory * (max(1.0, scatter.deviation()) if learned else 1.0),
                    level=level / 2,
                    effect=self._effect(reference),
                )
            )
        judgement = worst(findings, level / 2, Worse.EITHER)
        self._pool.append((signal.value, signal.weight))
        if judgement.outside:
            self._streak += 1
            judgement = Judgement(judgement.finding, self._lasts(judgement.finding, reference))
        else:
            self._streak = 0
            for finding, scatter, weight in zip(
                findings, self._scatter, (signal.weight, rows), strict=True
            ):
                scatter.add((finding.value - reference.centre) / reference.error(weight))
        return judgement

    def _effect(self, reference: significance.Reference) -> float:
        settings = self._settings
        return settings.median_effect if reference.name == "median" else settings.feature_effect

    def _lasts(self, finding: Finding, reference: significance.Reference) -> bool:
        """A moderate shift must outlast the pool: one odd window stays in it for a while."""
        size = abs(finding.value - reference.centre) / reference.deviation
        return size >= self._settings.large_effect or self._streak >= self._settings.pool_values


def read_reference(known: Mapping[str, Signal], name: str) -> significance.Reference | None:
    """Return the reference of `feature_median` or `feature_mean`, or None without one.

    `reference_mad` is scaled to be a standard deviation. A feature that is mostly one value has
    no spread by its median; its mean is tested.
    """
    kind = name.removeprefix("feature_")
    centre = known.get(f"reference_{kind}")
    spread = known.get("reference_mad" if kind == "median" else "reference_sd")
    if centre is None or spread is None or spread.value <= 0:
        return None
    wide = known.get("reference_sd", spread)
    return significance.Reference(kind, centre.value, max(spread.value, wide.value), centre.weight)


def worst(findings: list[Finding], level: float, worse: Worse) -> Judgement:
    """Return the judgement of the finding that is outside and least likely by chance."""
    outside = [finding for finding in findings if finding.is_outside(level, worse)]
    chosen = min(outside or findings[:1], key=lambda finding: finding.p_value)
    return Judgement(chosen, bool(outside))
