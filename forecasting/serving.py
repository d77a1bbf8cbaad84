"""How many replicas a serve task needs, from requests, latency and availability."""

from __future__ import annotations

import math

from engine.model.fleet import Fleet
from engine.model.specs import Serving

_MOST_REPLICAS = 1_000
_BUSY_AT_MOST = 0.7
"""Above this utilisation waiting times grow without bound on small changes of load."""
_SERVICE_P99 = 3.0
"""P99 of a model's answering time as a multiple of its mean, without waiting."""


def replicas(serving: Serving, fleet: Fleet, cpu_cores_peak: float) -> int:
    """Return how many one-core processes keep latency and availability at the peak.

    Args:
        serving: What is promised.
        fleet: Gives the best latency and availability that any reachable cluster has.
        cpu_cores_peak: Cores that the peak keeps busy, so that requests per second over this
            is the rate of one process.
    """
    up = [cluster for cluster in fleet.clusters if cluster.reachable]
    nearest = min((cluster.latency_ms for cluster in up), default=0.0)
    surest = max((cluster.availability for cluster in up), default=1.0)
    count = max(1, math.ceil(cpu_cores_peak / _BUSY_AT_MOST), _for_availability(serving, surest))
    if serving.latency_ms_p99 is None:
        return min(count, _MOST_REPLICAS)
    rate = serving.requests_per_second_peak
    seconds = cpu_cores_peak / rate if rate > 0 else 0.0
    room = (serving.latency_ms_p99 - nearest) / 1_000.0 - _SERVICE_P99 * seconds
    # More replicas shorten waiting only; without room for the answer itself none is enough, and
    # placement refuses on latency.
    while (
        room > 0 and count < _MOST_REPLICAS and _waiting_p99(cpu_cores_peak, count, seconds) > room
    ):
        count += 1
    return min(count, _MOST_REPLICAS)


def _for_availability(serving: Serving, surest: float) -> int:
    """Return how many independent replicas the promised availability takes."""
    promised = serving.availability
    if promised is None or promised <= surest or not 0.0 < surest < 1.0 or promised >= 1.0:
        return 1
    return math.ceil(math.log(1.0 - promised) / math.log(1.0 - surest))


def _waiting_p99(load: float, servers: int, seconds: float) -> float:
    """Return P99 of waiting in an M/M/c queue in seconds (Erlang C); load below servers."""
    blocking = 1.0
    for server in range(1, servers + 1):
        blocking = load * blocking / (server + load * blocking)
    waits = blocking / (1.0 - (load / servers) * (1.0 - blocking))
    return max(0.0, math.log(waits / 0.01) * seconds / (servers - load)) if waits > 0 else 0.0
