"""Port `FleetSource`: clusters by kubeconfig context, pools from their nodes, fresh by watch."""

from __future__ import annotations

import dataclasses
import time

from engine.model.fleet import Cluster, Fleet
from engine.model.identifiers import ClusterName
from executors.kubernetes import nodes
from executors.kubernetes.clusters import ClusterLink, KubernetesClusters

FIRST_LOOK_SECONDS = 8.0
"""How long the first look waits for clusters that do not answer at once."""


class KubernetesFleetSource:
    """The fleet as the nodes of all clusters are now, and what others run on them.

    A cluster that does not answer keeps the pools that were last seen of it. May be used from
    several threads.
    """

    def __init__(self, clusters: KubernetesClusters) -> None:
        self._clusters = clusters
        self._looked = False
        self._known: dict[ClusterLink, tuple[tuple[nodes.NodePool, ...], Cluster]] = {}

    def fleet(self) -> Fleet:
        """Return all clusters; the first call waits for their nodes, for a limited time."""
        links = self._clusters.links()
        for link in links.values():
            link.watch_nodes()
        if not self._looked:
            self._wait(list(links.values()))
            self._looked = True
        return Fleet(clusters=tuple(self._cluster(link) for link in links.values()))

    @staticmethod
    def _wait(links: list[ClusterLink]) -> None:
        end = time.monotonic() + FIRST_LOOK_SECONDS
        for link in links:
            if link.nodes is not None:
                link.nodes.wait_synced(max(0.0, end - time.monotonic()))
            if link.others is not None and link.is_reachable:
                link.others.wait_told(max(0.0, end - time.monotonic()))

    def _cluster(self, link: ClusterLink) -> Cluster:
        """Return one cluster as it is now, described anew only where its pools changed."""
        pools = link.pools()
        known = self._known.get(link)
        if known is None or known[0] is not pools:
            known = pools, described(link, pools)
            self._known[link] = known
        return dataclasses.replace(known[1], reachable=link.is_reachable, serves=link.serves)


def described(link: ClusterLink, pools: tuple[nodes.NodePool, ...]) -> Cluster:
    """Return a cluster with these pools."""
    given = link.given
    found = link.nodes.objects() if link.nodes is not None else []
    region = given.region or nodes.region(found) or "unknown"
    return Cluster(
        name=ClusterName(given.name),
        provider=nodes.provider(found, given.provider),
        region=region,
        continent=given.continent or nodes.continent(region),
        pools=tuple(each.pool for each in pools),
        executor="kubernetes",
        reads_outside=False,
        grace_seconds=given.grace_seconds,
    )
