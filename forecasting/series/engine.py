"""The forecast of many hourly series: quantiles for each coming hour, with their evidence.

`forecast` goes through past nights and the present with `forecasting.series.replay`, states the
quantiles of the present, and says of each series what the same method did in those nights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.model.errors import Fault, InvalidInputError
from forecasting.series import boosting
from forecasting.series import replay as replays
from forecasting.series.panel import DAY, HOUR_SECONDS, WEEK, Panel, Vector
from forecasting.series.replay import LEVELS, Apply, Chunk, Replay

MOST_HOURS = 45 * DAY
_NIGHTS_BEYOND = 28
"""Nights of a back-test, beyond those whose targets are not yet known as a whole."""
_MANY_SERIES = 64
_FEW_NIGHTS = 3
"""Of a back-test: other series then tell more about one's widths than its own errors do."""
_FEWEST_TOGETHER = 16
"""Series from which on they do."""
_SPARSE_DAYS = 3
"""Days between the nights of a back-test of many series: they tell enough between them."""
_LEAST_LEARNED = 2 * WEEK
_WORST = 1_000.0
"""Bounds the ratio to a naive forecast that happens to be exact."""
_MEDIAN = 0.5
_NAMED = 0.25
"""A method with at least this weight is named in the evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Which nights are gone through.

    nights: how many; every_days: days from one to the next; afresh: whether trees are learned
    again for the present, or those of the back-test serve it. most_smoothed: series up to which
    classical methods are fitted to each.
    """

    nights: int
    every_days: int = 1
    afresh: bool = True
    most_smoothed: int = replays.MOST_SMOOTHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the method did on a series' past nights.

    method: the candidates that weigh most for the first day; mase: mean error of the median in
    units of the last day's again; coverage: level to the share of values at or under it, empty
    where nothing could be tested; nights: how many were scored.
    """

    method: str
    mase: float
    coverage: Mapping[float, float]
    nights: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelForecast:
    """Quantiles (n, h, levels) of each series in the order given, from `starts_at` on."""

    names: tuple[str, ...]
    starts_at: float
    levels: tuple[float, ...]
    quantiles: Vector
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """The present's quantiles (n, h, levels) of a chunk, and the evidence of each series."""

    quantiles: Vector
    evidence: tuple[Evidence, ...]


def forecast(
    series: Panel,
    *,
    hours: int,
    seed: int,
    levels: Sequence[float] = LEVELS,
    backtest: Backtest | None = None,
    effort: boosting.Effort | None = None,
    apply: Apply = map,
) -> PanelForecast:
    """Return the quantiles of the coming hours. Pure: the same arguments give the same bytes.

    Args:
        series: Series that end now.
        hours: How many hours to forecast, 1 to 45 days.
        seed: Of the trees.
        levels: Rising levels within 0 and 1, the median among them.
        backtest: The nights to go through; chosen by length and number unless said.
        effort: How much is learned; by the number of series unless said.
        apply: Maps in parallel or not; the bytes are the same.

    Raises:
        InvalidInputError: for hours or levels out of range, all of them together.
    """
    _check(hours, levels)
    order = sorted(range(len(series.names)), key=lambda place: series.names[place])
    ordered = dataclasses.replace(
        series,
        names=tuple(series.names[place] for place in order),
        values=series.values[order],
    )
    backtest = backtest or _default(ordered, hours)
    blocks = _blocks(ordered, backtest)
    learned = replays.learn(
        ordered, [block[0] for block in blocks], hours=hours, seed=seed, effort=effort, apply=apply
    )
    parts = replays.chunks(
        ordered,
        blocks,
        learned,
        hours=hours,
        levels=levels,
        smoothed=len(ordered.names) <= backtest.most_smoothed,
        shown=_tells_more_together(len(ordered.names), blocks),
    )
    stated = _state_all(parts, apply)
    places = np.argsort(np.asarray(order))
    evidence = [each for part in stated for each in part.evidence]
    return PanelForecast(
        names=series.names,
        starts_at=series.starts_at + series.values.shape[1] * HOUR_SECONDS,
        levels=tuple(levels),
        quantiles=np.concatenate([part.quantiles for part in stated])[places],
        evidence=tuple(evidence[place] for place in places),
    )


def _check(hours: int, levels: Sequence[float]) -> None:
    """Refuse what cannot be forecast."""
    faults: list[Fault] = []
    if not 1 <= hours <= MOST_HOURS:
        message = f"a horizon of {hours} hours is not within 1 and {MOST_HOURS}"
        faults.append(Fault(code="C007", message=message, fix="ask for fewer hours"))
    rising = all(0.0 < low < high < 1.0 for low, high in pairwise(levels))
    if not rising or _MEDIAN not in levels:
        message = f"levels {tuple(levels)!r} do not rise within 0 and 1 through 0.5"
        faults.append(Fault(code="C007", message=message, fix="sort them, and add 0.5"))
    if faults:
        raise InvalidInputError("forecast", faults)


def _default(series: Panel, hours: int) -> Backtest:
    """Return the back-test for a panel: every night of a few series, every third of many."""
    nights = _NIGHTS_BEYOND + -(-hours // DAY)
    if len(series.names) <= _MANY_SERIES:
        return Backtest(nights=nights)
    return Backtest(nights=-(-nights // _SPARSE_DAYS), every_days=_SPARSE_DAYS)


def _blocks(series: Panel, backtest: Backtest) -> list[list[int]]:
    """Return the origins, the present last, in blocks that share trees."""
    now = int(series.values.shape[1])
    step = backtest.every_days * DAY
    earliest = min(_LEAST_LEARNED, max(now // 2, 1))
    past = [
        origin
        for night in range(backtest.nights, 0, -1)
        if (origin := now - night * step) >= earliest
    ]
    if not past:
        return [[now]]
    return [past, [now]] if backtest.afresh else [[*past, now]]


def _tells_more_together(count: int, blocks: Sequence[Sequence[int]]) -> bool:
    """Return whether the series are enough, and the nights so few, that widths are of all."""
    nights = sum(map(len, blocks)) - 1
    return count >= _FEWEST_TOGETHER and 0 < nights <= _FEW_NIGHTS


def _state_all(parts: Sequence[Chunk], apply: Apply) -> list[_Stated]:
    """Return what is said of the present of all chunks, of each apart or of all together."""
    if not parts[0].shown:
        return list(apply(_state, parts))
    whole = replays.joined(list(apply(replays.judge, parts)))
    levels = parts[0].levels
    return [_stated(replays.widened(whole, levels), levels)]


def _state(chunk: Chunk) -> _Stated:
    """Return what is said of the present of a chunk, and what the nights before it showed."""
    return _stated(replays.judge(chunk), chunk.levels)


def _stated(replayed: Replay, levels: Sequence[float]) -> _Stated:
    """Return the present of a replay, and what the nights before it showed."""
    count = replayed.quantiles.shape[1]
    return _Stated(
        quantiles=replayed.quantiles[-1],
        evidence=tuple(_evidence(replayed, place, levels) for place in range(count)),
    )


def _evidence(replayed: Replay, place: int, levels: Sequence[float]) -> Evidence:
    """Return the evidence of one series; hours without earlier errors do not count."""
    scored = replayed.tested & ~np.isnan(replayed.actual[:, place])
    actual = replayed.actual[:, place][scored]
    stated = replayed.quantiles[:, place][scored]
    median = stated[:, list(levels).index(_MEDIAN)]
    error = float(np.abs(actual - median).sum())
    naive = float(np.abs(actual - replayed.naive[:, place][scored]).sum())
    shares = (actual[:, None] <= stated).mean(axis=0) if len(actual) else []
    heavy = sorted(
        ((float(weight[place]), name) for name, weight in replayed.weights.items()),
        key=lambda each: (-each[0], each[1]),
    )
    named = [name for weight, name in heavy if weight >= _NAMED] or [heavy[0][1]]
    return Evidence(
        method=", ".join(named),
        mase=_ratio(error, naive),
        coverage=dict(zip(levels, map(float, shares), strict=False)),
        nights=int(scored.any(axis=1).sum()),
    )


def _ratio(error: float, naive: float) -> float:
    """Return the error in units of the naive one; 1 when both are nothing."""
    if naive <= 0:
        return 1.0 if error <= 0 else _WORST
    return min(error / naive, _WORST)
