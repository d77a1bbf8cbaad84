"""How far forecasts of the M4 competition's hourly series are off, point and interval.

Data: `forecasting/m4-hourly-train*.csv*`, one series a row after its name. The last 48 hours of
each series are the target; what lies before is known. Scores are the competition's: symmetric
MAPE, MASE in units of the error of the last day again in the known part, OWA by the published
errors of its Naive 2 (18.383 and 2.395), and the mean scaled interval score of 95 %. CPU time is
that of the whole forecast with its intervals, on one thread. Published figures are of the
competition's own target, the 48 hours after these files.
"""

import argparse
import csv
import io
import time
from collections.abc import Iterator

import numpy as np

from benchmarks import frame
from benchmarks.forecasting import _series as scores
from forecasting.series import classical, engine, panel

PATTERN = "forecasting/m4-hourly-train*.csv*"
HOURS = 48
DAY = 24
NAIVE_2 = (18.383, 2.395)
PUBLISHED_MSIS = 6.139
LEVELS = (0.025, 0.5, 0.975)
QUICK_SERIES = 60
SEED = 1


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds whether methods of statsmodels are fitted."""
    group.add_argument(
        "--classical", action="store_true", help="also Holt-Winters and MSTL (ten minutes)"
    )


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    named = read(context)
    if context.quick:
        named = named[:QUICK_SERIES]
    actual = np.asarray([values[-HOURS:] for _, values in named])
    known = panel.panel([(name, values[:-HOURS]) for name, values in named])
    scales = scores.daily_change(known.values, known.values.shape[1])
    begin = time.process_time()
    found = engine.forecast(
        known,
        hours=HOURS,
        seed=SEED,
        levels=LEVELS,
        # One learning serves the nights before, for the intervals, and the present.
        backtest=engine.Backtest(nights=2, afresh=False),
    )
    seconds = time.process_time() - begin
    low, median, high = np.moveaxis(found.quantiles, 2, 0)
    told = ", ".join(
        f"{name} {owa(actual, said, scales):.4f}"
        for name, said in anchors(known, fitted=bool(context.options.get("classical"))).items()
    )
    yield frame.at_most(
        f"OWA of {len(named)} series",
        owa(actual, median, scales),
        0.43,
        anchor=f"recipe 0.4333, {told}",
    )
    yield frame.informs("symmetric MAPE", smape(actual, median), unit="%")
    yield frame.informs("MASE", float((np.abs(actual - median).mean(axis=1) / scales).mean()))
    yield frame.at_most("processor time of all of it", seconds, 60.0, unit="s")
    yield frame.at_most(
        "mean scaled interval score of 95 % against the published best",
        scores.msis(actual, low, high, scales) / PUBLISHED_MSIS,
        1.02,
        anchor=f"{PUBLISHED_MSIS} published, of the later target",
    )
    yield frame.informs(
        "mean scaled interval score of 95 %",
        scores.msis(actual, low, high, scales),
        anchor=f"seasonal naive with its own errors {naive_msis(known, actual, scales):.2f}",
    )
    share = float(((low <= actual) & (actual <= high)).mean())
    yield frame.Figure(
        name="share within the interval of 95 %",
        value=share,
        bar="0.93 to 0.97",
        holds=0.93 <= share <= 0.97,
    )


def read(context: frame.Context) -> list[tuple[str, list[float]]]:
    """Returns the series of all files by name."""
    named: dict[str, list[float]] = {}
    for path in context.files(PATTERN):
        rows = csv.reader(io.StringIO(context.text(path)))
        next(rows)
        for name, *values in rows:
            named.setdefault(name, [float(value) for value in values if value])
    return [(name, values) for name, values in named.items() if len(values) > 4 * HOURS]


def anchors(known: panel.Panel, *, fitted: bool) -> dict[str, scores.Vector]:
    """Returns (n, 48) forecasts of the anchors."""
    rows = [row[~np.isnan(row)] for row in known.values]
    points = {"seasonal naive": np.stack([np.tile(row[-DAY:], 2) for row in rows])}
    if fitted:
        points["Holt-Winters"] = np.stack([classical.holt_winters_afresh(r, HOURS) for r in rows])
        points["MSTL"] = np.stack([classical.decomposition(row, HOURS) for row in rows])
    return points


def naive_msis(known: panel.Panel, actual: scores.Vector, scales: scores.Vector) -> float:
    """Returns the interval score of the last day again with quantiles of its past errors."""
    low, high = np.empty_like(actual), np.empty_like(actual)
    for place, row in enumerate(known.values):
        values = row[~np.isnan(row)]
        errors = values[DAY:] - values[:-DAY]
        said = np.tile(values[-DAY:], 2)
        below, above = np.quantile(errors, (LEVELS[0], LEVELS[-1]))
        low[place], high[place] = np.maximum(said + below, 0.0), said + above
    return scores.msis(actual, low, high, scales)


def smape(actual: scores.Vector, said: scores.Vector) -> float:
    """Returns the mean symmetric absolute percentage error."""
    size = np.maximum(np.abs(actual) + np.abs(said), 1e-12)
    return float((200.0 * np.abs(actual - said) / size).mean())


def owa(actual: scores.Vector, said: scores.Vector, scales: scores.Vector) -> float:
    """Returns the competition's overall weighted average."""
    scaled = float((np.abs(actual - said).mean(axis=1) / scales).mean())
    return (smape(actual, said) / NAIVE_2[0] + scaled / NAIVE_2[1]) / 2
