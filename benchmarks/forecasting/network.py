"""What a transformer over days (extra `torch`) is worth for GPU demand, beside boosted trees.

Series, origins and MASE are those of `forecasting.demand`: each midnight of the last 45 % of the
days. Trees and network (`forecasting.pools`) learn from all series up to the origin, anew every 28
nights. The last figures say what the choice by back-test, with which `demand_network = "on"`
forecasts, makes of the network at the last origin, and what a network costs.
"""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks import frame
from benchmarks.forecasting import _series as scores
from benchmarks.forecasting import demand
from engine.model.capacity import DemandSeries
from forecasting import PoolForecaster
from forecasting.pools import boosting, patches
from forecasting.pools.features import filled, rows
from forecasting.pools.forecaster import NETWORK

HOURS = 168
LEARNED_EVERY = 28
SEED = 1
HOUR = 3_600.0


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields errors for a day and a week, then the choice and the cost."""
    known = demand.nights(demand.read(context), HOURS)
    kept = [known.origins[place] for place in range(*known.scored.indices(len(known.origins)))]
    values = [filled(row.tolist()) for row in known.series.values]
    started = time.process_time()
    said = _said(values, kept[:: 7 if context.quick else 1])
    spent = time.process_time() - started
    step = 7 if context.quick else 1
    actual = known.actual[known.scored][::step]
    scales = known.scales[known.scored][::step]
    for hours in (24, HOURS):
        errors = {
            name: float(scores.mase(actual[..., :hours], each[..., :hours], scales).mean())
            for name, each in said.items()
        }
        told = ", ".join(f"{name} {error:.3f}" for name, error in errors.items())
        yield frame.informs(f"{hours} h: MASE of the network", errors[NETWORK], anchor=told)
        ratio = errors[NETWORK] / errors["trees"]
        yield frame.informs(f"{hours} h: MASE of the network over that of trees", ratio)
    yield frame.informs("processor time of all fits and forecasts", spent, unit="CPU s")
    if not context.quick:
        chosen = _chosen(known.series.names, known.series.values)
        yield frame.informs("series whose back-test chose the network, of 7", chosen)


def _said(values: Sequence[scores.Vector], origins: Sequence[int]) -> dict[str, scores.Vector]:
    """Returns (origins, series, hours) forecasts of each method."""
    horizons = np.arange(1, HOURS + 1)
    found: dict[str, list[scores.Vector]] = {"trees": [], NETWORK: [], "mean": []}
    learned_at = -np.inf
    for origin in origins:
        if origin - learned_at >= LEARNED_EVERY * demand.DAY:
            past = [(row, origin) for row in values]
            trees = boosting.fit(past, hours=HOURS, seed=SEED)
            network = patches.fit(past, seed=SEED)
            learned_at = origin
        at = np.full(HOURS, origin)
        each_trees, each_network = [], []
        for row in values:
            known = rows(row[:origin], at, horizons)
            each_trees.append(trees.predict(known))
            each_network.append(network.predict(row[:origin], at, horizons, known))
        found["trees"].append(np.array(each_trees))
        found[NETWORK].append(np.array(each_network))
        found["mean"].append((found["trees"][-1] + found[NETWORK][-1]) / 2)
    return {name: np.array(each) for name, each in found.items()}


def _chosen(names: Sequence[str], values: scores.Vector) -> int:
    """Returns of how many series the back-test of a forecaster with a network chose it."""
    series = [
        DemandSeries(pool=name, unit="GPUs", starts_at=0.0, values=tuple(row.tolist()))
        for name, row in zip(names, values, strict=True)
    ]
    forecaster = PoolForecaster(network=True)
    methods = [
        forecaster.forecast(
            one, hours=HOURS, seed=SEED, beside=[other for other in series if other is not one]
        ).method
        for one in series
    ]
    return sum(NETWORK in method for method in methods)
