"""How far forecasts of hourly GPU demand are off, and whether their quantiles cover.

Data: `forecasting/gpu-demand-hourly-*.csv*`: a column `hour`, then a series a column; of a file
with a column `gpus_active_requested` that one only (it also holds counts and capacity). The first
48 hours of each file are dropped; series are held against one another by the hour. Each midnight
of the last 45 % of the days is an origin, from which 24 and 168 hours are forecast by
`forecasting.series`; trees are learned anew every 14 nights, nothing behind an origin is looked
at, and 40 nights before the first scored one are walked so that weights and errors are known.
Anchors are refitted at every origin; their quantiles are those of their own errors at the last 30
origins. MASE divides by the mean error of the last day again in all hours before the origin;
figures are means over series, coverage is pooled. Series by series it is the worst.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks import frame
from benchmarks.forecasting import _series as scores
from engine.capacity import read_demand
from engine.model.capacity import DemandSeries
from forecasting.series import classical, panel, replay
from forecasting.series.panel import HOUR_SECONDS

PATTERN = "forecasting/gpu-demand-hourly-*.csv*"
TOTAL = "gpus_active_requested"
DAY = 24
DROPPED_HOURS = 48
SCORED_SHARE = 0.45
WALKED_BEFORE = 40
LEARNED_EVERY = 14
HORIZONS = {24: 0.86, 168: 0.92}
PINBALL = {24: 0.95}
LEVELS = (0.05, 0.10, 0.50, 0.80, 0.90, 0.95, 0.99)
BANDS = {0.90: (0.88, 0.92), 0.95: (0.93, 0.97)}
EACH = (0.84, 0.96)
SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Nights:
    """Origins with the truth behind them: actual (o, n, h), scales (o, n), scored origins."""

    series: panel.Panel
    origins: list[int]
    actual: scores.Vector
    scales: scores.Vector
    scored: slice


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds whether the slow anchors are fitted."""
    group.add_argument(
        "--no-classical", action="store_true", help="leave out Holt-Winters and MSTL (6 minutes)"
    )


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures, one horizon after the other."""
    series = read(context)
    fitted = not (context.quick or context.options.get("no_classical"))
    longest = max(HORIZONS)
    points = anchors(nights(series, longest), longest, fitted=fitted)
    for hours, bar in HORIZONS.items():
        known = nights(series, hours)
        stated = engine_quantiles(known, hours)
        yield from figures(known, stated, points, hours, bar)


def read(context: frame.Context) -> panel.Panel:
    """Returns the series of all files; of equal names the first counts."""
    named: dict[str, DemandSeries] = {}
    for path in context.files(PATTERN):
        found = read_demand(context.text(path), path.name)
        total = [series for series in found if series.pool == TOTAL]
        for series in total or found:
            named.setdefault(series.pool, series)
    ends = max(end_of(series) for series in named.values())
    ordered = []
    for name, series in sorted(named.items()):
        unknown = [np.nan] * round((ends - end_of(series)) / HOUR_SECONDS)
        ordered.append((name, [*series.values[DROPPED_HOURS:], *unknown]))
    return panel.panel(ordered)


def end_of(series: DemandSeries) -> float:
    """Returns the instant after the last hour of a series."""
    return series.starts_at + len(series.values) * HOUR_SECONDS


def nights(series: panel.Panel, hours: int) -> Nights:
    """Returns the nightly origins with their truth."""
    known = series.values.shape[1]
    days = known // DAY
    first = days - int(days * SCORED_SHARE)
    begin = max(first - WALKED_BEFORE, days // 5)
    origins = [day * DAY for day in range(begin, days)]
    actual = np.full((len(origins), len(series.names), hours), np.nan)
    for place, origin in enumerate(origins):
        there = series.values[:, origin : origin + hours]
        actual[place, :, : there.shape[1]] = there
    last = sum(origin + hours <= known for origin in origins)
    scales = np.stack([scores.daily_change(series.values, origin) for origin in origins])
    return Nights(
        series=series,
        origins=origins,
        actual=actual,
        scales=scales,
        scored=slice(first - begin, last),
    )


def engine_quantiles(known: Nights, hours: int) -> scores.Vector:
    """Returns (o, n, h, levels) of `forecasting.series`."""
    blocks = [
        known.origins[start : start + LEARNED_EVERY]
        for start in range(0, len(known.origins), LEARNED_EVERY)
    ]
    parts = replay.replay(known.series, blocks, hours=hours, seed=SEED, levels=LEVELS)
    return replay.joined(parts).quantiles


def anchors(known: Nights, hours: int, *, fitted: bool) -> dict[str, scores.Vector]:
    """Returns (o, n, h) point forecasts of the anchors at every origin."""
    values = panel.filled(known.series.values)
    ahead = np.arange(hours)
    points = {
        "seasonal naive": np.stack([values[:, o - DAY : o][:, ahead % DAY] for o in known.origins]),
        "VPA histogram": np.stack(
            [np.repeat(histogram(values[:, :o])[:, None], hours, axis=1) for o in known.origins]
        ),
    }
    if fitted:
        for name, method in (
            ("Holt-Winters", classical.holt_winters_afresh),
            ("MSTL", classical.decomposition),
        ):
            points[name] = np.stack(
                [np.stack([method(row[:o], hours) for row in values]) for o in known.origins]
            )
    return points


def histogram(values: scores.Vector, level: float = 0.5, half_life: float = 24.0) -> scores.Vector:
    """Returns (n,) the quantile of decaying past values, as VPA's recommender takes it."""
    worth = 0.5 ** (np.arange(values.shape[1])[::-1] / half_life)
    order = np.argsort(values, axis=1)
    reached = np.cumsum(worth[order], axis=1)
    place = (reached < level * reached[:, -1:]).sum(axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    return np.asarray(ordered[np.arange(len(values)), place], dtype=np.float64)


def figures(
    known: Nights,
    stated: scores.Vector,
    points: dict[str, scores.Vector],
    hours: int,
    bar: float,
) -> Iterator[frame.Figure]:
    """Yields the figures of one horizon."""
    kept = known.scored
    actual, scales = known.actual[kept], known.scales[kept]
    by_level = {level: stated[kept][..., place] for place, level in enumerate(LEVELS)}
    own = float(scores.mase(actual, by_level[0.5], scales).mean())
    own_pinball = scores.weighted_pinball(actual, by_level[0.9], 0.9)
    errors: dict[str, float] = {}
    pinballs: dict[str, float] = {}
    for name, said in points.items():
        cut = said[:, :, :hours]
        errors[name] = float(scores.mase(actual, cut[kept], scales).mean())
        quantile = scores.conformal(known.actual, cut, 0.9)[kept]
        pinballs[name] = scores.weighted_pinball(actual, quantile, 0.9)
    compared = [name for name in ("Holt-Winters", "seasonal naive") if name in points]
    best = min(errors[name] for name in compared)
    told = ", ".join(f"{name} {error:.3f}" for name, error in errors.items())
    yield frame.informs(f"{hours} h: MASE of {len(actual)} nights", own, anchor=told)
    yield frame.at_most(
        f"{hours} h: MASE against the better of {' and '.join(compared)}", own / best, bar
    )
    best_pinball = min(pinballs[name] for name in compared)
    told = ", ".join(f"{name} {loss:.4f}" for name, loss in pinballs.items())
    yield frame.informs(f"{hours} h: weighted pinball .90", own_pinball, anchor=told)
    name = f"{hours} h: weighted pinball .90 against the better"
    if hours in PINBALL:
        yield frame.at_most(name, own_pinball / best_pinball, PINBALL[hours])
    else:
        yield frame.informs(name, own_pinball / best_pinball)
    yield from coverage(actual, by_level, hours)


def coverage(
    actual: scores.Vector, by_level: dict[float, scores.Vector], hours: int
) -> Iterator[frame.Figure]:
    """Yields pooled coverage, and the least and most of a series."""
    for level, (low, high) in BANDS.items():
        covered = actual <= by_level[level]
        share = float(covered.mean())
        yield frame.Figure(
            name=f"{hours} h: share at or under P{level * 100:.0f}",
            value=share,
            bar=f"{low:g} to {high:g}",
            holds=low <= share <= high,
        )
        each = covered.mean(axis=(0, 2))
        if level == min(BANDS):
            for which, value in (("least", each.min()), ("most", each.max())):
                yield frame.Figure(
                    name=f"{hours} h: the {which} of a series at P{level * 100:.0f}",
                    value=float(value),
                    bar=f"{EACH[0]:g} to {EACH[1]:g}",
                    holds=EACH[0] <= float(value) <= EACH[1],
                )
        else:
            told = f"least {each.min():.3f}, most {each.max():.3f} of a series"
            yield frame.informs(
                f"{hours} h: series at P{level * 100:.0f}, least", float(each.min()), anchor=told
            )
