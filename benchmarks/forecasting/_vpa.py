"""Ports of the recommenders of the vertical pod autoscaler (VPA) and of KRR for hourly decisions.

VPA (kubernetes/autoscaler, `pkg/recommender`): a histogram whose buckets grow by 5 %, from 0.01
cores or 10 MB on; a sample's weight doubles every 24 hours; a percentile is the upper edge of the
bucket in which it lies; the target is P90 plus 15 %. KRR (robusta-dev/krr, `simple`): P95 of the
history for processors; its largest value plus 15 % for memory.

Both get (n services, hours, samples) and answer for each hour from the samples before it.
"""

import warnings

import numpy as np

VPA_PERCENTILE = 0.9
VPA_MARGIN = 1.15
KRR_PERCENTILE = 95.0
KRR_MARGIN = 1.15
GROWTH = 1.05
HALF_LIFE_HOURS = 24.0


class Histogram:
    """Decaying histograms of all services at the start of every hour.

    Args:
        used: (n, hours, samples), NaN where missing.
        first: Where the second bucket starts, in the unit of use.
    """

    def __init__(self, used: np.ndarray, *, first: float) -> None:
        self.first = first
        buckets = self.bucket(used)
        count = int(buckets.max()) + 2
        services, hours, _ = used.shape
        sums = np.zeros((services, hours + 1, count))
        for hour in range(hours):
            weight = 2.0 ** (hour / HALF_LIFE_HOURS)
            there = np.isfinite(used[:, hour])
            flat = (np.arange(services)[:, None] * count + buckets[:, hour])[there]
            added = np.bincount(flat, minlength=services * count).reshape(services, count)
            sums[:, hour + 1] = sums[:, hour] + weight * added
        self._shares = np.cumsum(sums, axis=2)

    def bucket(self, used: np.ndarray) -> np.ndarray:
        """Returns the bucket of each sample."""
        values = np.maximum(np.nan_to_num(used), 0.0)
        places = np.log1p(values * (GROWTH - 1.0) / self.first) / np.log(GROWTH)
        return np.asarray(np.floor(places), dtype=np.int64)

    def percentile(self, level: float) -> np.ndarray:
        """Returns (n, hours) upper edges at the start of each hour; NaN before any sample."""
        total = self._shares[:, :-1, -1:]
        place = (self._shares[:, :-1] >= level * total * (1.0 - 1e-12)).argmax(axis=2)
        edge = self.first * (GROWTH ** (place + 1) - 1.0) / (GROWTH - 1.0)
        return np.where(total[:, :, 0] > 0, edge, np.nan)


def krr_percentile(used: np.ndarray, percent: float) -> np.ndarray:
    """Returns (n, hours) percentiles of all samples before each hour."""
    services, hours, _ = used.shape
    found = np.full((services, hours), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for hour in range(1, hours):
            past = used[:, :hour].reshape(services, -1)
            found[:, hour] = np.nanpercentile(past, percent, axis=1)
    return found
