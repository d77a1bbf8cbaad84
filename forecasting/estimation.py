"""One quantity of one task from past runs: many methods, the one that costs least on held-out runs.

Each method of `forecasting.methods` forecasts every test run as if it were to come. The one with
the least loss is taken. The loss is what an error costs: pinball loss of the stated quantiles for
times and rates, memory wasted (with the failed try, when too little was held) for memory. Unless a
method states quantiles of its own, its errors on the tests give them (split conformal), at levels
that follow what they really covered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.model.profiles import QUANTILE_LEVELS, Grounds, Method, Quantiles
from forecasting import conformal, networks
from forecasting.learning.learned import Oracle
from forecasting.methods import pooled, simple, sized
from forecasting.methods.question import MEMORY, OWN_TESTS, Answer, Question
from forecasting.presets import Quantity
from forecasting.runs import Vector

_FEWEST_TESTS = 2
_CLEARLY = 0.98
"""A method displaces one that is trusted more when its loss is below this share of the other's."""
_RETRY_FACTOR = 1.5
"""What the next attempt holds after it ran out of memory."""
_LEAST_HELD = 0.01
"""Bounds how often a try is repeated with more."""
_HELD = QUANTILE_LEVELS.index(0.99)
"""Plans hold memory at this level."""
_P95 = QUANTILE_LEVELS.index(0.95)
_MOST_LOG = 60.0
_PRIOR_SPREAD = {
    Method.OWN_RUNS: 0.15,
    Method.RECENT_RUNS: 0.15,
    Method.OWN_TREND: 0.15,
}
_UNSEEN = frozenset({Method.PRESET, Method.ANALYTIC})
_OTHER_SPREAD = 0.35
_PRESET_SPREAD = 0.5
"""Standard deviations of the log ratio before there is evidence, in order of trust."""
_SPREAD_SHARE = {Quantity.CPU: 0.2, Quantity.MEMORY: 0.4, Quantity.GPU_MEMORY: 0.4}
"""What varies less than time gets so much of the spread above."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Quantiles of one quantity with how well its method did on held-out runs.

    error: mean absolute percentage error of the median; coverage: share at or under P95; both
        None without runs to test on.
    """

    quantiles: Quantiles
    grounds: Grounds

    @property
    def method(self) -> Method:
        """The method that was taken."""
        return self.grounds.method

    @property
    def error(self) -> float | None:
        """Mean absolute percentage error of the median on held-out runs."""
        return self.grounds.error

    @property
    def coverage(self) -> float | None:
        """Share of held-out runs at or under P95."""
        return self.grounds.coverage.get(f"{QUANTILE_LEVELS[_P95]:.2f}")


@dataclass(frozen=True, slots=True)
class _Test:
    """An answer's loss, error and coverage on t tests that it could forecast."""

    answer: Answer
    residuals: Vector
    loss: float
    error: float
    coverage: Vector


def estimate(asked: Question, oracle: Oracle | None = None) -> Estimate:
    """Return the quantiles of the quantity that is asked about, with their grounds.

    oracle: learned models, which are asked beside the other methods.
    """
    answers = _answers(asked, oracle)
    tests = [test for answer in answers if (test := _back_test(asked, answer)) is not None]
    best = _best(tests)
    answer = answers[0] if best is None else best.answer
    residuals = np.empty(0) if best is None else best.residuals
    offsets = answer.offsets
    if offsets is None:
        spread = _spread(answer, asked.quantity)
        levels = conformal.followed(residuals.tolist(), spread)
        offsets = conformal.offsets(residuals.tolist(), spread, levels=levels)
    logs = [min(asked.base + answer.ratio + offset, _MOST_LOG) for offset in offsets]
    grounds = _grounds(asked, answer.method, best, tests)
    return Estimate(conformal.rising([math.exp(log) for log in logs]), grounds)


def _answers(asked: Question, oracle: Oracle | None) -> list[Answer]:
    """Return what every method says that can speak for the task, in order of trust."""
    found: list[Answer | None] = []
    if asked.past.own.any():
        found += [simple.own_runs(asked), simple.recent_runs(asked), simple.own_trend(asked)]
        found.append(sized.sized(asked))
    if len(asked.past.records):
        found += [simple.like_runs(asked), pooled.pooled(asked), simple.regression(asked)]
    found += [] if oracle is None else oracle.answers(asked)
    found.append(simple.presets(asked))
    return [answer for answer in found if answer is not None and math.isfinite(answer.ratio)]


def _spread(answer: Answer, quantity: Quantity) -> float:
    """Return the standard deviation of a quantity's log ratio before there is evidence."""
    if answer.spread is not None:
        return answer.spread
    general = _PRESET_SPREAD if answer.method in _UNSEEN else _OTHER_SPREAD
    return _PRIOR_SPREAD.get(answer.method, general) * _SPREAD_SHARE.get(quantity, 1.0)


def _best(tests: Sequence[_Test]) -> _Test | None:
    """Return the test with the least loss; one that is trusted more wins where they are close."""
    best: _Test | None = None
    for test in tests:
        if best is None or test.loss < _CLEARLY * best.loss:
            best = test
    return best


def _back_test(asked: Question, answer: Answer) -> _Test | None:
    """Forecast each test's quantiles, from the other tests where the method has none of its own.

    None where the method has no forecast for half of the tests, or for less than two.
    """
    known = np.flatnonzero(np.isfinite(answer.left_out))
    if len(known) < max(_FEWEST_TESTS, (len(asked.tested) + 1) // 2):
        return None
    known = known[np.argsort(asked.ended[asked.tested[known]], kind="stable")]
    residuals = asked.ratios[asked.tested[known]] - answer.left_out[known]
    told = _told(asked, answer, residuals) if answer.told is None else answer.told[known]
    # All is relative to the actual value, so that short runs count as much as long ones.
    shares = np.exp(np.clip(told - residuals[:, None], -_MOST_LOG, _MOST_LOG))
    if asked.quantity in MEMORY:
        loss = float(np.mean([_waste(float(share)) for share in shares[:, _HELD]]))
    else:
        loss = _pinball(shares)
    return _Test(
        answer=answer,
        residuals=residuals,
        loss=loss,
        error=float(np.abs(shares[:, 0] - 1.0).mean()),
        coverage=(shares >= 1.0).mean(axis=0),
    )


def _told(asked: Question, answer: Answer, residuals: Vector) -> Vector:
    """Return (t, levels) offsets of each residual from all the others."""
    spread = _spread(answer, asked.quantity)
    return np.array(
        [
            conformal.offsets(np.delete(residuals, place).tolist(), spread)
            for place in range(len(residuals))
        ]
    )


def _pinball(shares: Vector) -> float:
    """Return the mean pinball loss of quantiles given as shares of the actual value."""
    levels = np.asarray(QUANTILE_LEVELS)
    short = 1.0 - shares
    return float(np.maximum(levels * short, (levels - 1.0) * short).mean())


def _waste(share: float) -> float:
    """Return memory wasted as a share of what was needed, when `share` of it was held.

    Too little held is lost as a whole, as often as it takes; so is what is held above the need.
    """
    wasted = 0.0
    held = max(share, _LEAST_HELD)
    while held < 1.0:
        wasted += held
        held *= _RETRY_FACTOR
    return wasted + held - 1.0


def _grounds(
    asked: Question, method: Method, best: _Test | None, tests: Sequence[_Test]
) -> Grounds:
    """Return why the method was taken."""
    name = asked.quantity.label
    if best is None:
        runs = len(asked.past.records)
        why = "no run is like it" if not runs else f"{runs} past runs are too few for a test"
        if method is Method.ANALYTIC:
            why = f"{networks.told(asked.past.attributes)}; {why}"
        return Grounds(quantity=name, method=method, why=why)
    ranked = sorted(tests, key=lambda test: test.loss)
    losses = tuple((test.answer.method.value, round(test.loss, 6)) for test in ranked)
    return Grounds(
        quantity=name,
        method=best.answer.method,
        why=_why(asked, best, tests),
        tested=len(best.residuals),
        error=best.error,
        coverage={
            f"{level:.2f}": float(share)
            for level, share in zip(QUANTILE_LEVELS, best.coverage, strict=True)
        },
        losses=losses,
    )


def _why(asked: Question, best: _Test, tests: Sequence[_Test]) -> str:
    """Return the choice in words: on which runs, by which loss, against what."""
    own = int(asked.past.own.sum())
    whose = "own" if own >= OWN_TESTS else "like"
    loss = "waste" if asked.quantity in MEMORY else "pinball loss"
    count = len(best.residuals)
    said = f"{loss} {best.loss:.3f} on {count} held-out {whose} runs"
    if own < OWN_TESTS:
        said += f", each told as if its task had {own or 'no'} {'run' if own == 1 else 'runs'}"
    others = sorted((t for t in tests if t is not best), key=lambda test: test.loss)
    if others:
        rival = others[0]
        said += f"; {rival.answer.method.value} had {rival.loss:.3f}"
    return said
