"""When a model has drifted so that retraining is worth it: calibrated, and over all models at once.

A watched value of a model (its error, its loss, its quality) comes in blocks. The first blocks
are its reference: the season, the scatter of block means and how they follow one another are
learned from it, so that a series that wanders or has a season is not taken for one that drifts.
Where they do not show the whole season, hours that they lack are not judged until it has passed.
Means of the newest 4, 8 and 16 blocks are then tested to the bad side; single values count
no more than a few deviations, and the newest blocks must each lie on that side: what has passed
needs no retraining. The p-values of all models go through one control of false discoveries.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from alarms.detection.discoveries import FleetDiscoveries
from alarms.detection.settings import Worse
from alarms.detection.significance import Finding

LONGEST_BLOCKS = 16
SPANS = (4, 8, LONGEST_BLOCKS)
"""Numbers of newest blocks whose mean is tested: what is shorter does not last."""
BLOCK_CLIPPED_AT = 3.0
"""One block counts at most so many deviations of block means: a drift lasts, a fault does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSettings:
    """How drift is tested.

    block_values: values in a block; reference_blocks: blocks after a training that are the norm.
    season_seconds, season_slots: length of a season and its slots.
    rate: share of triggers that may be false, over all models; as many as are worth bearing, since
        each that is spared costs real drifts time.
    effect: smallest drift worth a retraining, in standard deviations of single values.
    clipped_at: single values count at most so many robust deviations.
    persistence: newest blocks that must each lie outside, by `persistent_deviations` of a block,
        and by `newest_deviations` in the mean.
    """

    block_values: int = 48
    reference_blocks: int = 30
    season_seconds: float = 86_400.0
    season_slots: int = 24
    rate: float = 0.05
    effect: float = 0.3
    clipped_at: float = 4.0
    persistence: int = 4
    persistent_deviations: float = 0.5
    newest_deviations: float = 1.5


class DriftTriggers:
    """Says which models to retrain. Memory is bounded per model."""

    def __init__(self, settings: DriftSettings | None = None) -> None:
        self._settings = settings or DriftSettings()
        self._models: dict[str, _Model] = {}
        self._discoveries = FleetDiscoveries(self._settings.rate)
        self._asking: set[str] = set()
        """Models that drifted and are not trained again yet."""

    def observe(
        self, model: str, at: float, value: float, *, worse: Worse = Worse.HIGHER
    ) -> Finding | None:
        """Return the finding that asks for a retraining of a model, once a drift, or None.

        worse: direction of the value that harms.
        """
        if not (math.isfinite(value) and math.isfinite(at)):
            return None
        known = self._models.get(model)
        if known is None:
            known = self._models[model] = _Model(self._settings, worse)
        finding = known.observe(at, value)
        if finding is None:
            return None
        if model in self._asking:
            # One drift is one discovery, however long it lasts; tested again and again it would
            # lend ever more level to others.
            if not known.is_outside:
                self._asking.discard(model)
                known.forget()
            return None
        if not self._discoveries.test(model, finding.p_value):
            return None
        self._asking.add(model)
        return finding

    def retrained(self, model: str) -> None:
        """Forget a model's reference: after a training its values have another norm."""
        self._models.pop(model, None)
        self._asking.discard(model)

    def is_ready(self, model: str) -> bool:
        """Return whether enough of a model is known to judge it."""
        known = self._models.get(model)
        return known is not None and known.is_ready

    def is_outside(self, model: str) -> bool:
        """Return whether the newest blocks of a model each lie on the side that harms."""
        known = self._models.get(model)
        return known is not None and known.is_outside


class _Reference:
    """What the first blocks of a model say: season, scale, scatter of block means."""

    def __init__(self, settings: DriftSettings, slots: list[int], values: list[float]) -> None:
        series = np.array(values)
        places = np.array(slots)
        self.centre = float(np.median(series))
        self._season = np.zeros(settings.season_slots)
        seen = np.bincount(places, minlength=settings.season_slots)
        sums = np.bincount(places, weights=series - self.centre, minlength=settings.season_slots)
        known = seen > 0
        self._season[known] = sums[known] / seen[known]
        self._seen = seen
        self._values = len(values)
        rest = series - self.centre - self._season[places]
        self.deviation = max(float(np.std(rest)), 1e-12 + 1e-9 * abs(self.centre))
        self._limit = settings.clipped_at * self.deviation
        rest = np.clip(rest, -self._limit, self._limit)
        means = rest.reshape(-1, settings.block_values).mean(axis=1)
        self.blocks = len(means)
        self.mean = float(means.mean())
        # Few means seem to follow one another by chance; one standard error is taken off.
        self.following = max(0.0, _following(means) - 1 / math.sqrt(self.blocks))
        # Season slots took degrees of freedom; whichever estimate is larger is on the safe side.
        by_blocks = float(means.std(ddof=1))
        chain = min(0.99, _following(rest) + 4 / len(rest))
        by_values = float(rest.std()) * math.sqrt((1 + chain) / (1 - chain) / settings.block_values)
        self.block_deviation = max(by_blocks, by_values)
        # Each of the two would have to be too small for the larger one to be.
        self.freedom = 2 * (self.blocks - 1)

    @property
    def is_whole(self) -> bool:
        """Whether it saw every slot of the season."""
        return bool((self._seen > 0).all())

    def knows(self, counts: NDArray[np.int64]) -> bool:
        """Return whether it saw every slot in which values lie; counts: of values in each slot."""
        return not bool(counts[self._seen == 0].any())

    def rest(self, slot: int, value: float) -> float:
        """Return what the season does not explain of a value, clipped."""
        return max(-self._limit, min(self._limit, value - self.centre - float(self._season[slot])))

    def error(self, slots: Sequence[NDArray[np.int64]]) -> float:
        """Return the standard error of the mean of some blocks, against the reference.

        slots: of each block, how many of its values lie in each slot of the season. What is known
        of a slot is the mean of the few values that the reference had there: blocks that lie in
        few slots share its error, beyond that of the mean of all.
        """
        blocks = len(slots)
        inflation = (1 + self.following) / (1 - self.following)
        of_newest = 1 + (inflation - 1) * (1 - 1 / blocks)
        counts = np.sum(slots, axis=0)
        shares = counts / counts.sum()
        by_slot = float((shares**2 / np.maximum(self._seen, 1)).sum())
        of_season = max(0.0, by_slot - 1 / self._values)
        per_block = self._values / self.blocks
        return self.block_deviation * math.sqrt(
            of_newest / blocks + inflation / self.blocks + per_block * of_season
        )


def _following(values: NDArray[np.float64]) -> float:
    """Return the correlation of values with their predecessors, between 0 and 0.9."""
    rest = values - values.mean()
    total = float(rest @ rest)
    return 0.0 if total <= 0 else max(0.0, min(0.9, float(rest[1:] @ rest[:-1]) / total))


class _Norm:
    """Learns the reference of a model: of its first blocks, then of its first whole season.

    The first blocks may be a few hours of a day. What is better or worse at others is then no
    drift: a second reference, of what the whole of the first season shows, knows them. Of each slot
    no more values are kept than the first reference has.
    """

    def __init__(self, settings: DriftSettings) -> None:
        self._settings = settings
        self._most = settings.block_values * settings.reference_blocks
        self._began_at: float | None = None
        self._slots: list[int] = []
        self._values: list[float] = []
        self._counts = [0] * settings.season_slots
        self.is_over = False

    def learn(self, at: float, slot: int, value: float) -> _Reference | None:
        """Return the reference that is complete with a value, if one is."""
        settings = self._settings
        if self._began_at is None:
            self._began_at = at
        if at - self._began_at >= settings.season_seconds and len(self._values) > self._most:
            self.is_over = True
            whole = len(self._values) // settings.block_values * settings.block_values
            made = _Reference(settings, self._slots[:whole], self._values[:whole])
            self._slots, self._values = [], []
            return made
        if self._counts[slot] < self._most:
            self._slots.append(slot)
            self._values.append(value)
            self._counts[slot] += 1
            if len(self._values) == self._most:
                made = _Reference(settings, self._slots, self._values)
                self.is_over = made.is_whole
                return made
        return None


class _Model:
    """One watched value of one model."""

    def __init__(self, settings: DriftSettings, worse: Worse) -> None:
        self._settings = settings
        self._worse = worse
        self._norm = _Norm(settings)
        self._reference: _Reference | None = None
        self._is_known = False
        self._block: list[float] = []
        self._block_slots = np.zeros(settings.season_slots, dtype=np.int64)
        self._means: deque[float] = deque(maxlen=LONGEST_BLOCKS)
        self._means_slots: deque[NDArray[np.int64]] = deque(maxlen=LONGEST_BLOCKS)

    def observe(self, at: float, value: float) -> Finding | None:
        """Return the finding of a block that is complete with this value."""
        settings = self._settings
        slot = int(at % settings.season_seconds / settings.season_seconds * settings.season_slots)
        slot = min(slot, settings.season_slots - 1)
        if self._reference is None or not self._norm.is_over:
            made = self._norm.learn(at, slot, value)
            if made is not None:
                self._reference, self._is_known = made, True
                self._begin_block()
                self.forget()
                return None
        if self._reference is None:
            return None
        self._block.append(self._reference.rest(slot, value))
        self._block_slots[slot] += 1
        if len(self._block) < settings.block_values:
            return None
        self._is_known = self._reference.knows(self._block_slots)
        if not self._is_known:
            self._begin_block()
            return None
        self._means.append(sum(self._block) / len(self._block))
        self._means_slots.append(self._block_slots)
        self._begin_block()
        return self._judge(self._reference)

    def _begin_block(self) -> None:
        self._block = []
        self._block_slots = np.zeros(self._settings.season_slots, dtype=np.int64)

    def forget(self) -> None:
        """Forget the newest blocks: a drift in them has passed."""
        self._means.clear()
        self._means_slots.clear()

    @property
    def is_ready(self) -> bool:
        """Whether the reference is complete, and knows the hours of the newest block."""
        return self._reference is not None and self._is_known

    @property
    def is_outside(self) -> bool:
        """Whether each of the newest blocks lies on the side that harms."""
        if self._reference is None or not self._means:
            return False
        change = statistics.median(self._means) - self._reference.mean
        sign = {Worse.HIGHER: 1.0, Worse.LOWER: -1.0}.get(self._worse, math.copysign(1.0, change))
        return self._persists(self._reference, list(self._means), sign)

    def _judge(self, reference: _Reference) -> Finding:
        """Return the most telling span of newest blocks, its p-value corrected for the choice."""
        newest = list(self._means)
        spans = [span for span in SPANS if span <= len(newest)] or [len(newest)]
        freedom = reference.freedom
        errors = {span: reference.error(list(self._means_slots)[-span:]) for span in spans}
        by_span = {span: self._change(reference, newest[-span:]) / errors[span] for span in spans}
        best = max(spans, key=lambda span: abs(by_span[span]))
        statistic = by_span[best]
        level = self._settings.rate / len(SPANS)
        reach = -float(special.stdtrit(freedom, level)) * errors[best]
        usual = reference.centre + reference.mean
        p_value = min(1.0, len(SPANS) * float(special.stdtr(freedom, -abs(statistic))))
        value = reference.centre + statistics.median(newest[-best:])
        return Finding(
            test=f"drift of the mean of {best} blocks",
            value=value,
            statistic=statistic,
            p_value=p_value if self._is_worth_it(reference, newest, value - usual) else 1.0,
            usual=usual,
            low=usual - reach,
            high=usual + reach,
        )

    @staticmethod
    def _change(reference: _Reference, means: list[float]) -> float:
        """Return how far blocks are from the reference in the mean, each counted so far at most."""
        limit = BLOCK_CLIPPED_AT * reference.block_deviation
        changes = (mean - reference.mean for mean in means)
        return sum(max(-limit, min(limit, change)) for change in changes) / len(means)

    def _is_worth_it(self, reference: _Reference, newest: list[float], change: float) -> bool:
        """Return whether the change is to the bad side, large, and in each of the newest blocks."""
        settings = self._settings
        sign = math.copysign(1.0, change)
        if self._worse is not Worse.EITHER and (sign > 0) != (self._worse is Worse.HIGHER):
            return False
        if abs(change) < settings.effect * reference.deviation:
            return False
        return self._persists(reference, newest, sign)

    def _persists(self, reference: _Reference, newest: list[float], sign: float) -> bool:
        """Return whether the newest blocks all lie on one side."""
        settings = self._settings
        last = newest[-settings.persistence :]
        least = settings.persistent_deviations * reference.block_deviation
        changes = [sign * (mean - reference.mean) for mean in last]
        if len(last) < settings.persistence or min(changes) < least:
            return False
        # A fault that passed is in the longer spans for a while: the newest must tell by
        # themselves that it goes on.
        goes_on = settings.newest_deviations * reference.block_deviation
        return statistics.fmean(changes) >= goes_on
