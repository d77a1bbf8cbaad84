"""Which service started it: time and errors are conserved along calls.

A caller waits for what it calls, and fails where that fails. So the extra seconds (requests times
extra latency) or extra errors of a service, less those of the services it calls, are its own
doing. The service with the most of its own, of those that the alarmed one depends on, is the
likeliest cause. No rules on names and no random search are needed; aliases of a service (proxies,
client views) carry at most as much as the service itself.

A call that nobody waits for carries nothing: an edge is left out when caller and callee never
moved together in normal times and the caller does not move enough now either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import networkx as nx
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

ROWS_LEAST = 10
"""Rows of normal time without which nothing is known of a service."""
BLOCK_ROWS = 5
"""Length of a block; of a longer window the median block counts: an incident is what lasts."""
DEVIATIONS_LEAST = 3.75
"""Standard deviations of a normal block that a service must exceed: by chance 1 in 11,000, so some
0.3 % over the services of a middling system. What it has of its own must
also exceed the usual noise of the alarmed service, or it could not be seen there."""
COUPLED_LEAST = 0.2
"""A callee of which less reaches its caller in normal times is not waited for, if surely so;"""
CARRIED_LEAST = 0.5
"""Unless the caller's surplus now is at least this part of the callee's."""
MAD_TO_DEVIATION = 1.4826
TRIM = 0.01


class Measure(StrEnum):
    """What flows along calls."""

    SECONDS = "seconds"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Requests of a service in each row, and what each took or which share failed.

    requests: shape (rows), not a number where unknown.
    level: mean latency in seconds, or share of requests that failed, shape (rows).
    """

    requests: Numbers
    level: Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCause:
    """One service, by how much of the surplus is its own.

    Attributes:
        entity: The service.
        own: Surplus a block that none of its callees explains, in the unit of the measure.
        surplus: Surplus a block in all.
        deviations: The surplus in standard deviations of a normal block.
        path: From the alarmed service to it.
    """

    entity: str
    own: float
    surplus: float
    deviations: float
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usual:
    """A service in normal times: its level, its surplus by row, and that of a usual block.

    Attributes:
        noise: Median absolute deviation of blocks, as a standard deviation.
        spread: What a block is measured in: the noise or the trimmed deviation, if larger.
    """

    level: float
    surplus: Numbers
    block: float
    noise: float
    spread: float


class FlowFinder:
    """Knows normal times and the graph of calls; finds which service explains a surplus."""

    def __init__(
        self, calls: Iterable[tuple[str, str]], normal: Mapping[str, Series], measure: Measure
    ) -> None:
        self._callees: dict[str, list[str]] = {}
        for caller, callee in sorted(set(calls)):
            self._callees.setdefault(caller, []).append(callee)
        self._usual = {
            entity: usual
            for entity in sorted(normal)
            if (usual := _usual(normal[entity], measure)) is not None
        }
        self._coupled: dict[tuple[str, str], bool] = {}

    def causes(self, target: str, present: Mapping[str, Series]) -> list[FlowCause]:
        """Return services that explain the target's trouble, most of their own first.

        Args:
            target: The alarmed service.
            present: The same measure during the incident.

        Returns:
            Only services whose surplus is significant; empty where none is.
        """
        surplus = {
            entity: _block_surplus(present[entity], usual)
            for entity, usual in self._usual.items()
            if entity in present
        }
        paths = self._reached(target, surplus)
        circle = self._circles(paths)
        noise = self._usual[target].noise if target in self._usual else 0.0
        found: list[FlowCause] = []
        for entity, path in paths.items():
            if entity not in surplus:
                continue
            deviations = surplus[entity] / self._usual[entity].spread
            own = surplus[entity] - sum(
                max(0.0, surplus[callee])
                for callee in self._callees.get(entity, ())
                if callee in paths and callee in surplus and circle[callee] != circle[entity]
            )
            if own > max(0.0, noise) and deviations >= DEVIATIONS_LEAST:
                found.append(
                    FlowCause(
                        entity=entity,
                        own=own,
                        surplus=surplus[entity],
                        deviations=deviations,
                        path=path,
                    )
                )
        # Of equals the one furthest down the calls, then by name.
        return sorted(found, key=lambda one: (-round(one.own, 9), -len(one.path), one.entity))

    def _reached(self, target: str, surplus: Mapping[str, float]) -> dict[str, tuple[str, ...]]:
        """Return the services that the target waits for, each with the shortest path to it."""
        paths: dict[str, tuple[str, ...]] = {target: (target,)}
        queue = [target]
        while queue:
            caller = queue.pop(0)
            for callee in self._callees.get(caller, ()):
                if callee not in paths and self._carries(caller, callee, surplus):
                    paths[callee] = (*paths[caller], callee)
                    queue.append(callee)
        return paths

    def _circles(self, reached: Iterable[str]) -> dict[str, int]:
        """Return a number for each service, equal for those that call each other in a circle."""
        known = set(reached)
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(sorted(known))
        graph.add_edges_from(
            (caller, callee)
            for caller in sorted(known)
            for callee in self._callees.get(caller, ())
            if callee in known
        )
        parts = nx.strongly_connected_components(graph)
        return {entity: number for number, part in enumerate(parts) for entity in part}

    def _carries(self, caller: str, callee: str, surplus: Mapping[str, float]) -> bool:
        if caller not in surplus or callee not in surplus:
            return True
        if surplus[caller] >= CARRIED_LEAST * surplus[callee]:
            return True
        pair = (caller, callee)
        if pair not in self._coupled:
            self._coupled[pair] = _coupled(self._usual[caller], self._usual[callee])
        return self._coupled[pair]


def _usual(series: Series, measure: Measure) -> _Usual | None:
    known = ~(np.isnan(series.requests) | np.isnan(series.level))
    if int(known.sum()) < ROWS_LEAST:
        return None
    level = float(np.median(series.level[known]))
    surplus = _surplus(series, level)
    blocks = np.convolve(surplus, np.ones(BLOCK_ROWS), "valid")
    block = float(np.median(blocks))
    noise = MAD_TO_DEVIATION * float(np.median(np.abs(blocks - block)))
    # Most blocks of a service that is seldom called hold nothing; and errors are counted, where
    # one more or less is chance.
    low, high = np.quantile(blocks, [TRIM, 1.0 - TRIM])
    least = 1.0 if measure is Measure.ERRORS else 1e-9
    spread = max(noise, float(np.clip(blocks, low, high).std()), least)
    return _Usual(level=level, surplus=surplus, block=block, noise=noise, spread=spread)


def _surplus(series: Series, level: float) -> Numbers:
    """Return seconds or errors above those at the usual level; 0 where nothing is known."""
    extra: Numbers = np.nan_to_num(series.requests * (series.level - level), nan=0.0)
    return extra


def _block_surplus(series: Series, usual: _Usual) -> float:
    """Return the surplus of the median block of a window."""
    extra = _surplus(series, usual.level)
    count = max(1, len(extra) // BLOCK_ROWS)
    blocks: Sequence[Numbers] = np.array_split(extra, count)
    sums = [float(block.sum()) * BLOCK_ROWS / max(1, len(block)) for block in blocks]
    return float(np.median(sums)) - usual.block


def _coupled(caller: _Usual, callee: _Usual) -> bool:
    """Return whether a caller may wait for a callee, judged by how they moved in normal times.

    The slope of the regression of the caller's surplus on the callee's is 1 where it waits and
    0 where it does not; what is not known well enough counts as waiting.
    """
    rows = min(len(caller.surplus), len(callee.surplus))
    above, below = _centred(caller.surplus[:rows]), _centred(callee.surplus[:rows])
    power = float(below @ below)
    if power <= 0.0:
        return True
    slope = float(above @ below) / power
    error = float(np.sqrt(np.mean((above - slope * below) ** 2) / power))
    return slope + 2.0 * error >= COUPLED_LEAST


def _centred(values: Numbers) -> Numbers:
    """Return deviations from the mean, without the furthest in a hundred."""
    centred = values - values.mean()
    low, high = np.quantile(centred, [TRIM / 2, 1.0 - TRIM / 2])
    clipped: Numbers = np.clip(centred, low, high)
    return clipped
