"""How long a night of many series takes, and in what memory: refit, two weeks, back-test.

Data: `forecasting/gpu-demand-hourly-*.csv*` as in `forecasting.demand`. Of these series as many
as asked for are made: two of them, drawn and shifted by whole weeks, are mixed, made larger or
smaller and given noise; one in ten has gaps, one in twenty begins late, one in twenty is
intermittent. `forecasting.series` learns, forecasts 14 days with quantiles and goes through past
nights, with so many workers; memory is the largest sum over its processes. A part of the series
is forecast by every backend, and the bytes are compared: loky's processes, and a local cluster of
Dask where its package `distributed` is installed.
"""

import argparse
import hashlib
import importlib
import importlib.util
import threading
import time
from collections.abc import Iterator

import numpy as np
import psutil

from benchmarks import frame
from benchmarks.forecasting import demand
from forecasting.series import engine, panel, parallel
from forecasting.series.replay import Apply

DAYS = 14
MINUTES = 5.0
GIB = 2e9 / 2**30
"""2 GB."""
COMPARED = 130
"""Series forecast by every backend: three chunks."""
QUICK_SERIES = 200
SAMPLED_SECONDS = 0.2
SEED = 1


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds how many series and workers."""
    group.add_argument("--series", type=int, default=1000, help="series to forecast (1000)")
    group.add_argument("--jobs", type=int, default=2, help="workers (2)")
    group.add_argument("--dask", action="store_true", help="fail where Dask is not installed")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    count = QUICK_SERIES if context.quick else int(context.options.get("series", 1000))
    jobs = int(context.options.get("jobs", 2))
    made = many(demand.read(context), count)
    peak = Peak()
    begin, busy = time.perf_counter(), processor_seconds()
    with peak:
        found = forecast(made, parallel.Workers(jobs=jobs))
    minutes = (time.perf_counter() - begin) / 60
    yield frame.at_most(
        f"a night of {count} series with {jobs} workers", minutes, MINUTES, unit="min"
    )
    yield frame.informs("processor time of it", (processor_seconds() - busy) / 60, unit="min")
    yield frame.at_most("largest memory of all its processes", peak.gib, GIB, unit="GiB")
    for level in (0.9, 0.95):
        shares = [each.coverage[level] for each in found.evidence if each.coverage]
        yield frame.informs(
            f"back-test: share at or under P{level * 100:.0f}, mean of {len(shares)} series",
            float(np.mean(shares)),
        )
    ratios = [each.mase for each in found.evidence if each.nights]
    yield frame.informs(
        "back-test: median error against the last day again", float(np.median(ratios))
    )
    yield from same_bytes(made, jobs, dask=bool(context.options.get("dask")))


def same_bytes(made: panel.Panel, jobs: int, *, dask: bool) -> Iterator[frame.Figure]:
    """Yields how many backends answered in other bytes than one process does."""
    count = min(COMPARED, len(made.names))
    part = panel.Panel(names=made.names[:count], values=made.values[:count])
    expected = digest(forecast(part, map))
    answers = {"loky": digest(forecast(part, parallel.Workers(jobs=jobs)))}
    there = importlib.util.find_spec("distributed") is not None
    if dask or there:
        answers["dask"] = on_dask(part, jobs)
    differing = sum(answer != expected for answer in answers.values())
    asked = ", ".join(answers) if "dask" in answers else "loky, for want of Dask alone"
    yield frame.at_most(
        f"of {asked}: backends with other bytes than one process, {count} series",
        differing,
        0,
    )


def on_dask(part: panel.Panel, jobs: int) -> str:
    """Returns the digest of a forecast on a local cluster of Dask."""
    try:
        dask = importlib.import_module("distributed")
    except ImportError as error:
        message = "Dask is not installed; leave `--dask` out, or `pip install distributed`"
        raise frame.BenchmarkError(message) from error
    with dask.LocalCluster(n_workers=jobs, threads_per_worker=1) as cluster, dask.Client(cluster):
        return digest(forecast(part, parallel.Workers(jobs=jobs, backend=parallel.Backend.DASK)))


def forecast(made: panel.Panel, apply: Apply) -> engine.PanelForecast:
    """Returns the forecast of a panel by `forecasting.series`."""
    return engine.forecast(made, hours=DAYS * 24, seed=SEED, apply=apply)


def digest(found: engine.PanelForecast) -> str:
    """Returns a hash of all that was said."""
    whole = found.quantiles.tobytes() + repr(found.evidence).encode()
    return hashlib.sha256(whole).hexdigest()


def many(real: panel.Panel, count: int) -> panel.Panel:
    """Returns as many series made from real ones, the same each time."""
    random = np.random.default_rng(SEED)
    values = panel.filled(real.values)
    shapes = values / values.mean(axis=1, keepdims=True)
    hours = values.shape[1]
    made = np.empty((count, hours))
    for row in made:
        first, second = (
            np.roll(shapes[random.integers(len(shapes))], 168 * int(random.integers(hours // 168)))
            for _ in range(2)
        )
        share = random.uniform()
        row[:] = share * first + (1 - share) * second
        row[:] *= random.lognormal(3.0, 2.0) * random.lognormal(0.0, 0.03, size=hours)
        kind = random.uniform()
        if kind < 0.10:
            row[random.uniform(size=hours) < 0.02] = np.nan
        elif kind < 0.15:
            row[: int(random.integers(hours // 4, hours - 72))] = np.nan
        elif kind < 0.20:
            row[:] *= random.uniform(size=hours) < 0.2
    return panel.Panel(names=tuple(f"series {n:05d}" for n in range(count)), values=made)


def processor_seconds() -> float:
    """Returns the processor time of this process and of all its children, ended ones too."""
    own = psutil.Process()
    spent = sum(own.cpu_times()[:4])
    for child in own.children(recursive=True):
        try:
            spent += sum(child.cpu_times()[:2])
        except psutil.Error:
            continue
    return float(spent)


class Peak:
    """Watches the memory of this process and its children while it is entered."""

    def __init__(self) -> None:
        self.gib = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._done.wait(SAMPLED_SECONDS):
            total = own.memory_info().rss
            for child in own.children(recursive=True):
                try:
                    # Shared pages are counted once, with this process.
                    memory = child.memory_info()
                    total += memory.rss - memory.shared
                except psutil.Error:
                    continue
            self.gib = max(self.gib, total / 2**30)
