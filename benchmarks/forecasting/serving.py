"""GPU use, GPU memory and latency of pods that were never seen, from their request rate.

Pods with a rate (`forecasting/genai-qps*.csv*`) are left out in five folds; the forecaster learns
from the others. Each hour of a left-out pod is forecast from its rate in that hour and its own
earlier hours, and once from the rate alone. The P95 pinball loss over all samples of the hours is
set against VPA's histogram (P95 of the pod's own samples so far) and the P95 of the pod's own last
three hours. The forecaster under test is `forecasting.profiles.request_load`.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks import frame
from benchmarks.forecasting import _vpa
from benchmarks.forecasting.rightsizing import POD_SAMPLES, POD_STEP_SECONDS
from forecasting.profiles.request_load import RequestLoad
from forecasting.profiles.windows import in_hours

LEVEL = 0.95
FOLDS = 5
RECENT_HOURS = 3
SEED = 1
P95 = 3
MEASURES = (
    ("GPU use", "pod-gpu-duty-cycle", 1.0),
    ("GPU memory", "pod-gpu-memory-used", 1e7),
    ("latency", "pipeline-inference-data", 10.0),
)


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the losses of every measure."""
    rates = _table(context, "qps")
    first = rates.timestamp_anon.min()
    for name, pattern, bucket in MEASURES:
        if not list(context.data.glob(f"forecasting/genai-{pattern}*.csv*")):
            yield frame.no_data(name, f"forecasting/genai-{pattern}*.csv*")
            continue
        table = _table(context, pattern)
        start = min(first, table.timestamp_anon.min())
        pods = sorted(set(rates.container_ip) & set(table.container_ip))
        used = _hours(table, pods, start)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            rate = np.nanmean(_hours(rates, pods, start), axis=2)
        count = min(used.shape[1], rate.shape[1])
        yield from _figures(name, used[:, :count], rate[:, :count], bucket)


def _figures(
    name: str, used: np.ndarray, rate: np.ndarray, bucket: float
) -> Iterator[frame.Figure]:
    """Yields the losses of one measure."""
    told = {own: np.full(rate.shape, np.nan) for own in (True, False)}
    fold = np.random.default_rng(SEED).permutation(len(used)) % FOLDS
    for left in range(FOLDS):
        for own, found in told.items():
            learn = fold != left
            load = RequestLoad(used[learn], rate[learn], own_hours=own, seed=SEED)
            found[~learn] = load.quantiles(used[~learn], rate[~learn])[:, :, P95]
    vpa = _vpa.Histogram(used, first=bucket).percentile(LEVEL)
    last = np.full(rate.shape, np.nan)
    for hour in range(1, used.shape[1]):
        recent = used[:, max(hour - RECENT_HOURS, 0) : hour].reshape(len(used), -1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            last[:, hour] = np.nanquantile(recent, LEVEL, axis=1)
    scored = np.isfinite(vpa) & np.isfinite(last) & np.isfinite(rate)
    scale = float(np.nanmean(used[scored]))
    mine = _pinball(told[True], used, scored) / scale
    anchors = {"VPA": vpa, "last three hours": last}
    losses = {key: _pinball(held, used, scored) / scale for key, held in anchors.items()}
    said = ", ".join(f"{key}: {loss:.4f}" for key, loss in losses.items())
    yield frame.informs(f"{name}: P95 pinball over mean", mine, anchor=said)
    for key, loss in losses.items():
        yield frame.at_most(f"{name}: loss over that of {key}", mine / loss, 1.0)
    alone = _pinball(told[False], used, scored) / scale
    yield frame.informs(f"{name}: P95 pinball over mean, rate alone", alone, anchor=said)
    there = np.isfinite(used) & scored[:, :, None]
    covered = 100.0 * float((used <= told[True][:, :, None])[there].mean())
    yield frame.informs(f"{name}: P95 coverage", covered, unit="%")


def _pinball(held: np.ndarray, used: np.ndarray, scored: np.ndarray) -> float:
    """Returns the mean pinball loss over the samples of the scored hours."""
    left = (used - held[:, :, None])[scored]
    left = left[np.isfinite(left)]
    return float(np.maximum(LEVEL * left, (LEVEL - 1.0) * left).mean())


def _table(context: frame.Context, pattern: str) -> pd.DataFrame:
    """Returns the samples of pods of one measure."""
    tables = [pd.read_csv(path) for path in context.files(f"forecasting/genai-{pattern}*.csv*")]
    return pd.concat(tables).dropna(subset=["container_ip"])


def _hours(table: pd.DataFrame, pods: list[str], start: float) -> np.ndarray:
    """Returns (pods, hours, samples), NaN where there is none."""
    step = ((table.timestamp_anon - start) / POD_STEP_SECONDS).round().astype(int)
    wide = table.assign(step=step).pivot_table(index="container_ip", columns="step", values="value")
    wide = wide.reindex(index=pods, columns=range(int(step.max()) + 1))
    return in_hours(wide.to_numpy(float), POD_SAMPLES)
