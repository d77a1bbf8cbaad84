"""How many replicas a serve task needs, from requests, latency and availability."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.model.fleet import Fleet
from engine.model.profiles import Quantiles
from engine.model.specs import Serving

_MOST_REPLICAS = 1_000
_BUSY_AT_MOST = 0.7
"""Above this utilisation waiting times grow without bound on small changes of load."""
_SERVICE_P99 = 3.0
"""P99 of a model's answering time as a multiple of its mean, without waiting."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Processes of one core each at the peak, and P99 of their answer without the network."""

    replicas: int
    milliseconds_p99: float


def answering(serving: Serving, fleet: Fleet, cpu_cores: Quantiles) -> Answering:
    """Return the fewest replicas that keep load, latency and availability at the peak.

    Where no number of them keeps the latency, because the answer alone takes too long, those
    for the load are returned, and placement refuses on latency.

    Args:
        serving: What is promised.
        fleet: Gives the best latency and availability that any reachable cluster has.
        cpu_cores: What the peak keeps busy: P95 counts for the load, P50 for the seconds that
            one answer takes.
    """
    up = [cluster for cluster in fleet.clusters if cluster.reachable]
    nearest = min((cluster.latency_ms for cluster in up), default=0.0)
    surest = max((cluster.availability for cluster in up), default=1.0)
    rate = serving.requests_per_second_peak
    load = cpu_cores.p50
    seconds = load / rate if rate > 0 else 0.0
    least = max(math.ceil(cpu_cores.p95 / _BUSY_AT_MOST), _for_availability(serving, surest), 1)
    least = min(least, _MOST_REPLICAS)
    allowed = math.inf
    if serving.latency_ms_p99 is not None:
        allowed = (serving.latency_ms_p99 - nearest) / 1_000.0
    count = least
    while count < _MOST_REPLICAS and _answer_p99(load, count, seconds) > allowed:
        if _SERVICE_P99 * seconds > allowed:
            break
        count += 1
    return Answering(count, 1_000.0 * _answer_p99(load, count, seconds))


def _for_availability(serving: Serving, surest: float) -> int:
    """Return how many independent replicas the promised availability takes."""
    promised = serving.availability
    if promised is None or promised <= surest or not 0.0 < surest < 1.0 or promised >= 1.0:
        return 1
    return math.ceil(math.log(1.0 - promised) / math.log(1.0 - surest))


def _answer_p99(load: float, servers: int, seconds: float) -> float:
    """Return P99 of waiting and answering in an M/M/c queue (Erlang C), in seconds.

    A load that the servers cannot carry is answered never.
    """
    if load >= servers:
        return math.inf
    blocking = 1.0
    for server in range(1, servers + 1):
        blocking = load * blocking / (server + load * blocking)
    waits = blocking / (1.0 - (load / servers) * (1.0 - blocking))
    tail = math.log(waits / 0.01) * seconds / (servers - load) if waits > 0 else 0.0
    return max(0.0, tail) + _SERVICE_P99 * seconds
