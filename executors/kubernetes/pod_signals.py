"""Port `SignalSource`: what tasks and servers in pods measured of themselves.

A server with several pods is one server: its pods end their windows at the same instants, and what
they say of a window is put together here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.model.signals import Shape, Signal
from engine.ports import Clock, FleetSource
from executors.kubernetes.journal import Journal

LATE_SECONDS = 1.0
"""How long the pods of a server are waited for after a window has ended."""
_LARGEST = "_p99"
"""No percentile can be made of others; the largest is never too small."""


class PodSignals:
    """Signals out of the journal, with provider and region of the cluster."""

    name = "kubernetes-pods"

    def __init__(self, journal: Journal, source: FleetSource, clock: Clock) -> None:
        self._journal = journal
        self._source = source
        self._clock = clock

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return signals after `position`, in order of time, and where to go on."""
        found, following = self._journal.read(position, self._clock.now() - LATE_SECONDS)
        if not found:
            return (), following
        clusters = {str(each.name): each for each in self._source.fleet().clusters}
        told: list[Signal] = []
        for signal in together(found):
            cluster = clusters.get(signal.labels["cluster"])
            known = (
                {"provider": cluster.provider.value, "region": cluster.region}
                if cluster is not None
                else {}
            )
            told.append(replace(signal, labels={**known, **signal.labels}))
        return told, following


def together(signals: Iterable[Signal]) -> list[Signal]:
    """Return one signal for each series and instant, in order of time."""
    parts: dict[tuple[float, str], list[Signal]] = {}
    for signal in signals:
        parts.setdefault((signal.at, signal.series), []).append(signal)
    return [_one(found) for _, found in sorted(parts.items())]


def _one(parts: Sequence[Signal]) -> Signal:
    """Return what several pods measured as one: counts add up, the rest is weighted.

    The weighted mean of medians is no median of all; pods of one Service see the same traffic, so
    that it comes near.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    weight = math.fsum(each.weight for each in parts)
    if first.shape is Shape.COUNT:
        return replace(first, value=math.fsum(each.value for each in parts))
    if first.name.endswith(_LARGEST):
        return replace(first, value=max(each.value for each in parts), weight=weight)
    if not weight:
        return first
    value = math.fsum(each.value * each.weight for each in parts) / weight
    return replace(first, value=value, weight=weight)
