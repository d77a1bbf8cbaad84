"""Port `FleetSource`: clusters by kubeconfig context, pools from their nodes, fresh by watch."""

from __future__ import annotations

import time

from engine.model.fleet import Cluster, Fleet
from engine.model.identifiers import ClusterName
from executors.kubernetes import nodes
from executors.kubernetes.clusters import ClusterLink, KubernetesClusters

FIRST_LOOK_SECONDS = 8.0
"""How long the first look waits for clusters that do not answer at once."""


class KubernetesFleetSource:
    """The fleet as the nodes of all clusters are now.

    A cluster that does not answer keeps the pools that were last seen of it.
    """

    def __init__(self, clusters: KubernetesClusters) -> None:
        self._clusters = clusters
        self._looked = False

    def fleet(self) -> Fleet:
        """Return all clusters; the first call waits for their nodes, for a limited time."""
        links = self._clusters.links()
        if not self._looked:
            end = time.monotonic() + FIRST_LOOK_SECONDS
            for link in links.values():
                link.watch_nodes()
            for link in links.values():
                if link.nodes is not None:
                    link.nodes.wait_synced(max(0.0, end - time.monotonic()))
            self._looked = True
        return Fleet(clusters=tuple(cluster(link) for link in links.values()))


def cluster(link: ClusterLink) -> Cluster:
    """Return one cluster as it is now."""
    given = link.given
    found = link.nodes.objects() if link.nodes is not None else []
    region = given.region or nodes.region(found) or "unknown"
    return Cluster(
        name=ClusterName(given.name),
        provider=nodes.provider(found, given.provider),
        region=region,
        continent=given.continent or nodes.continent(region),
        pools=tuple(each.pool for each in nodes.pools(found, link.settings.prices)),
        executor="kubernetes",
        reachable=link.is_reachable,
        serves=link.serves,
        grace_seconds=given.grace_seconds,
    )
