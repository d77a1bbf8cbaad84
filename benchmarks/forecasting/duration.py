"""Durations of requests and jobs, replayed in time: error of the median, coverage of P90.

Requests (`forecasting/*requests*.csv*`): the first 70 % are learned from, the rest is scored.
The anchor is the mean of the last five finished runs of equal attributes (fewer attributes where
there is none). Jobs (`forecasting/jobs-*.csv*`): log-error against the better of the mean of the
user's last two finished jobs and, where there is one, the requested wall time. A run is known by
the time that it ended: submission plus its duration. The forecaster under test is
`forecasting.profiles.durations`; it learns on from every end, in the scored part too.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import frame
from benchmarks.forecasting import _duration
from forecasting.profiles.durations import DurationForecaster, DurationLoss

SEED = 1
LEARNED = 0.7
BLOCK = 1_000
QUICK_RUNS = 5_000
REQUEST_NUMBERS = ("images", "steps", "adapters", "prompt", "negative_prompt", "is_text")
REQUEST_EQUAL = ("type", "images", "steps", "model", "adapters")
REQUEST_GROUPS = (
    ("type", "images", "steps", "model", "adapters", "owner"),
    REQUEST_EQUAL,
    ("type", "images", "steps"),
    ("owner", "type"),
    ("model",),
    ("type",),
    (),
)
JOB_NUMBERS = ("gpus", "cpus", "nodes", "wall_seconds", "hour")
JOB_GROUPS = (
    ("owner", "gpus", "cpus", "nodes", "wall_seconds"),
    ("owner", "nodes"),
    ("owner",),
    (),
)


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of every log, then the mean over the logs of jobs."""
    for path in context.files("forecasting/*requests*.csv*"):
        yield from _requests(path, quick=context.quick)
    ratios = []
    for path in context.files("forecasting/jobs-*.csv*"):
        ratio, figures = _jobs(path, quick=context.quick)
        ratios.append(ratio)
        yield from figures
    yield frame.at_most("jobs: mean ratio of log-errors", float(np.mean(ratios)), 0.79)


def _requests(path: Path, *, quick: bool) -> Iterator[frame.Figure]:
    """Yields the figures of a log of requests."""
    runs = _duration.requests(path)[: QUICK_RUNS if quick else None]
    forecaster = DurationForecaster(
        numbers=REQUEST_NUMBERS,
        groupings=REQUEST_GROUPS,
        loss=DurationLoss.SECONDS,
        default_seconds=30.0,
        seed=SEED,
    )
    learn = int(LEARNED * len(runs))
    outcomes, spent = _duration.replay(runs, forecaster, REQUEST_EQUAL, learn=learn)
    actual = np.array([o.run.seconds for o in outcomes])
    median = np.array([o.quantiles.p50 for o in outcomes])
    last = np.array([o.last_five for o in outcomes])
    name = _name(path)
    mine, theirs = np.abs(median - actual).mean(), np.abs(last - actual).mean()
    anchor = f"last five: {theirs:.2f} s"
    yield frame.informs(f"{name}: mean absolute error", mine, unit="s", anchor=anchor)
    yield frame.at_most(f"{name}: error over that of the last five", mine / theirs, 0.86)
    yield from _coverage(name, outcomes, bars=True)
    yield from _spent(name, spent, len(outcomes))


def _jobs(path: Path, *, quick: bool) -> tuple[float, list[frame.Figure]]:
    """Returns the ratio of log-errors of a log of jobs, and its figures."""
    runs = _duration.jobs(path)[: QUICK_RUNS if quick else None]
    forecaster = DurationForecaster(
        numbers=JOB_NUMBERS,
        groupings=JOB_GROUPS,
        loss=DurationLoss.RATIO,
        default_seconds=600.0,
        seed=SEED,
    )
    learn = int(LEARNED * len(runs))
    outcomes, spent = _duration.replay(runs, forecaster, ("owner",), learn=learn)
    actual = np.array([o.run.seconds for o in outcomes])
    mine = _log_error([o.quantiles.p50 for o in outcomes], actual)
    anchors = {"last two of the user": _log_error([o.last_two for o in outcomes], actual)}
    wall = np.array([o.run.wall_seconds for o in outcomes])
    if (wall > 0).mean() > 0.5:
        anchors["requested wall time"] = _log_error(wall, actual)
    best = min(anchors, key=lambda key: anchors[key])
    name = _name(path)
    said = ", ".join(f"{key}: {value:.3f}" for key, value in anchors.items())
    ratio = mine / anchors[best]
    figures = [
        frame.informs(f"{name}: mean absolute log-error", mine, anchor=said),
        frame.at_most(f"{name}: log-error over that of the best anchor", ratio, 0.95),
        *_coverage(name, outcomes, bars=False),
        *_spent(name, spent, len(outcomes)),
    ]
    return ratio, figures


def _log_error(seconds: object, actual: np.ndarray) -> float:
    """Returns the mean absolute difference of logarithms; shorter than a second counts as one."""
    told = np.log(np.maximum(np.asarray(seconds, dtype=float), 1.0))
    return float(np.abs(told - np.log(np.maximum(actual, 1.0))).mean())


def _coverage(
    name: str, outcomes: list[_duration.Outcome], *, bars: bool
) -> Iterator[frame.Figure]:
    """Yields coverage of P90 overall and in the blocks of 1,000 runs where it is worst."""
    covered = np.array([o.run.seconds <= o.quantiles.p90 for o in outcomes], dtype=float)
    blocks = [covered[i : i + BLOCK] for i in range(0, len(covered) - BLOCK + 1, BLOCK)]
    shares = [100.0 * float(block.mean()) for block in blocks] or [100.0 * float(covered.mean())]
    whole = 100.0 * float(covered.mean())
    least, most = min(shares), max(shares)
    if not bars:
        yield frame.informs(f"{name}: P90 coverage", whole, unit="%")
        return
    yield frame.at_least(f"{name}: P90 coverage, at least", whole, 88.0, unit="%")
    yield frame.at_most(f"{name}: P90 coverage, at most", whole, 92.0, unit="%")
    yield frame.at_least(f"{name}: P90 coverage, lowest of 1,000", least, 85.0, unit="%")
    yield frame.at_most(f"{name}: P90 coverage, highest of 1,000", most, 95.0, unit="%")


def _spent(name: str, spent: dict[str, float], count: int) -> Iterator[frame.Figure]:
    """Yields what forecasts and fits took."""
    each = 1_000.0 * spent["predict"] / count
    yield frame.informs(f"{name}: prediction and update", each, unit="CPU ms")
    yield frame.informs(f"{name}: one fit", spent["refit"] / spent["refits"], unit="CPU s")


def _name(path: Path) -> str:
    """Returns what a file is called without its endings."""
    return path.name.split(".")[0]
