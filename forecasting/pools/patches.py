"""A small transformer over days as patches: one network for all pools and horizons.

Two weeks before an origin are cut into fourteen patches of a day, scaled as the rows of the trees
are, and attended to by one another; a week of hours comes out at once, each as the change from the
last day (Nie et al., A Time Series is Worth 64 Words, 2023; the median by absolute error). Behind a
week the last one is said again. It is learned on a GPU where there is one. The same seed gives the
same network on the same kind of processor.

torch is an extra and takes seconds to import, so that this module is imported when it is needed.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasting.pools.features import DAY, WEEK, Index, Rows, Vector, rows

torch: Any = importlib.import_module("torch")
Network = Any  # a module of torch, whose types are not followed
Singles = NDArray[np.float32]

_DAYS = 14
CONTEXT = _DAYS * DAY
_WIDTH, _HEADS, _BLOCKS = 64, 4, 2
_WINDOWS = 4_000
_STEPS = 500
_BATCH = 128
_RATE = 1e-3
_DROPOUT = 0.1
_MOST = 20.0
"""Scaled values count at most so much: one wild hour must not drown the rest."""


class PatchForecaster:
    """Direct forecasts of every horizon by one network."""

    def __init__(self, network: Network, device: str) -> None:
        self._network = network
        self._device = device

    def predict(self, values: Vector, origins: Index, horizons: Index, known: Rows) -> Vector:
        """Return the forecast of each row of a series without gaps; origins are at least 336."""
        distinct, places = np.unique(origins, return_inverse=True)
        scale = np.empty(len(distinct))
        scale[places] = known.scale
        with torch.no_grad(), _one_thread():
            asked = torch.tensor(_patches(values, distinct, scale), device=self._device)
            said = np.asarray(self._network(asked).cpu().numpy(), dtype=np.float64)
        return known.day_ago + known.scale * said[places, (horizons - 1) % WEEK]


def fit(series: Sequence[tuple[Vector, int]], *, seed: int) -> PatchForecaster:
    """Learn from series without gaps, of each only the values before its end.

    Args:
        series: Values and end; one at least has three weeks.
        seed: Of the windows that are drawn and of the network.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    random = np.random.default_rng(seed)
    patches, changes = _windows(series, random)
    with torch.random.fork_rng(), _one_thread():
        torch.manual_seed(seed)
        network = _network().to(device)
        optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=_RATE, total_steps=_STEPS)
        for _ in range(_STEPS):
            rows_drawn = random.integers(0, len(patches), size=_BATCH)
            truth = torch.tensor(changes[rows_drawn], device=device)
            said = network(torch.tensor(patches[rows_drawn], device=device))
            # Hours behind the end of a series are unknown and teach nothing.
            loss = torch.nanmean(torch.abs(said - truth))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return PatchForecaster(network.eval(), device)


def _network() -> Network:
    """Return a network that was not trained: (m, days, 24 + days) to (m, 168)."""
    layer = torch.nn.TransformerEncoderLayer(
        _WIDTH,
        _HEADS,
        dim_feedforward=2 * _WIDTH,
        dropout=_DROPOUT,
        batch_first=True,
        norm_first=True,
    )
    return torch.nn.Sequential(
        torch.nn.Linear(DAY + _DAYS, _WIDTH),
        torch.nn.TransformerEncoder(layer, _BLOCKS, enable_nested_tensor=False),
        torch.nn.Flatten(),
        torch.nn.Linear(_DAYS * _WIDTH, WEEK),
    )


def _windows(
    series: Sequence[tuple[Vector, int]], random: np.random.Generator
) -> tuple[Singles, Singles]:
    """Return patches and the changes to forecast, of windows that are drawn from all series."""
    usable = [(values, end) for values, end in series if end > CONTEXT + DAY]
    patches, changes = [], []
    for values, end in usable:
        origins = np.sort(random.integers(CONTEXT, end - DAY, size=-(-_WINDOWS // len(usable))))
        grid = np.meshgrid(origins, np.arange(1, WEEK + 1), indexing="ij")
        flat, horizons = grid[0].ravel(), grid[1].ravel()
        known = rows(values[:end], flat, horizons)
        target = np.append(values[:end], np.nan)[np.minimum(flat + horizons - 1, end)]
        shape = grid[0].shape
        change = ((target - known.day_ago) / known.scale).reshape(shape)
        changes.append(np.clip(change, -_MOST, _MOST).astype(np.float32))
        patches.append(_patches(values, origins, known.scale.reshape(shape)[:, 0]))
    return np.concatenate(patches), np.concatenate(changes)


def _patches(values: Vector, origins: Index, scale: Vector) -> Singles:
    """Return (m, days, 24 + days): scaled values of each day, and which day it is."""
    ends = np.asarray(origins)[:, None]
    window = values[ends - CONTEXT + np.arange(CONTEXT)]
    centre = window[:, -WEEK:].mean(axis=1, keepdims=True)
    scaled = np.clip((window - centre) / scale[:, None], -_MOST, _MOST)
    days = np.broadcast_to(np.eye(_DAYS), (len(window), _DAYS, _DAYS))
    joined = np.concatenate([scaled.reshape(-1, _DAYS, DAY), days], axis=2)
    return joined.astype(np.float32)


@contextlib.contextmanager
def _one_thread() -> Generator[None]:
    """Compute in one thread: sums then come in one order, and other work has its cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
