"""Port `SignalSource`: what nodes of Kubernetes clusters say of themselves.

A fleet may have thousands of nodes, nearly all of them well. So only trouble is told, once a
window while it lasts, and its end for some windows after, so that what was alarmed is seen to be
over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from engine.model.fleet import Cluster
from engine.model.signals import Layer, Signal
from engine.ports import Clock, FleetSource
from executors.kubernetes.api import Document

WINDOWS_AFTER = 6
"""Windows after the end of a trouble in which it is still told that nothing is wrong any more."""
_NODES_MOST = 1_000
"""Nodes in trouble told of one cluster; where more are, the first by name stand for all."""

Trouble = tuple[str, str]
"""A node and a signal of it."""


class Nodes(Protocol):
    """Who knows the nodes of each cluster that answers."""

    def nodes(self) -> Mapping[str, Sequence[Document]]:
        """Return nodes by the name of their cluster, as `nodes.keep_node` keeps them."""
        ...


class NodeSignals:
    """One look at the conditions of all nodes per window.

    A cluster that does not answer tells nothing, neither trouble nor its end.
    window_seconds: time between two looks.
    """

    name = "kubernetes-nodes"

    def __init__(
        self, known: Nodes, source: FleetSource, clock: Clock, *, window_seconds: float = 1.0
    ) -> None:
        self._known = known
        self._source = source
        self._clock = clock
        self._window_seconds = window_seconds
        self._over: dict[str, dict[Trouble, int]] = {}
        """Windows since which each trouble of a cluster is over; 0 while it lasts."""

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return the trouble of every node when a window has passed; see the port."""
        now = self._clock.now()
        if position and now - float(position) < self._window_seconds:
            return (), position
        nodes = self._known.nodes()
        told = [
            signal
            for cluster in self._source.fleet().clusters
            if cluster.reachable and cluster.name in nodes
            for signal in self._told(cluster, nodes[cluster.name], now)
        ]
        return told, repr(now)

    def _told(self, cluster: Cluster, nodes: Sequence[Document], now: float) -> Iterator[Signal]:
        """Yield what is wrong on a cluster, and what was a moment ago."""
        troubled = sorted((each for each in nodes if each["trouble"]), key=lambda n: str(n["name"]))
        reasons: dict[Trouble, str] = {
            (each["name"], name): reason
            for each in troubled[:_NODES_MOST]
            for name, reason in each["trouble"].items()
        }
        over = {key: count + 1 for key, count in self._over.get(cluster.name, {}).items()}
        over |= dict.fromkeys(reasons, 0)
        over = {key: count for key, count in over.items() if count <= WINDOWS_AFTER}
        self._over[cluster.name] = over
        for key in sorted(over):
            yield _signal(cluster, key, now, reason=reasons.get(key))


def _signal(cluster: Cluster, trouble: Trouble, now: float, *, reason: str | None) -> Signal:
    """Return that a node is in trouble, or that it is well where no reason is known."""
    node, name = trouble
    labels = {
        "cluster": cluster.name,
        "provider": cluster.provider.value,
        "region": cluster.region,
        "node": node,
    }
    if reason:
        labels["reason"] = reason
    return Signal(
        name=name,
        layer=Layer.MACHINE,
        subject=f"node:{cluster.name}/{node}",
        at=now,
        value=float(reason is not None),
        labels=labels,
    )
