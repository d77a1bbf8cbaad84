"""Which clusters answer: a file per cluster that is down, and the fleet as it stands with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from engine.model.fleet import Cluster, Fleet
from executors.local import files, processes

HERE = frozenset({"local", "containers"})
"""Executors of this machine, by the names that clusters call them."""


class ClusterSwitch:
    """Makes local clusters fail and come back, as a power cut would.

    home: the data folder; `clusters/NAME.down` stands for a cluster that is down.
    """

    def __init__(self, home: Path) -> None:
        self._home = home.absolute()

    def path(self, cluster: str) -> Path:
        """Return the file whose existence means that a cluster is down."""
        return self._home / "clusters" / f"{cluster}.down"

    def is_up(self, cluster: str) -> bool:
        """Whether a cluster answers."""
        return not self.path(cluster).exists()

    def fail(self, cluster: str) -> None:
        """Refuse new attempts on a cluster, then kill all its processes.

        In this order, because a shim looks at the file after it claimed its attempt: it either
        sees the file or is seen here.
        """
        path = self.path(cluster)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_durably(path, b"")
        processes.kill_having({"BERTH_HOME": str(self._home), "BERTH_CLUSTER": cluster})

    def restore(self, cluster: str) -> None:
        """Let a cluster answer again; what it ran is not brought back."""
        self.path(cluster).unlink(missing_ok=True)


class FileFleetSource:
    """The fleet of a file, with clusters of this machine reachable as their switch says.

    Containers serve nothing, each is alone and sees no folder but its pipeline's, whatever the file
    says.
    """

    def __init__(self, fleet: Fleet, switch: ClusterSwitch) -> None:
        self._fleet = fleet
        self._switch = switch

    def fleet(self) -> Fleet:
        """Return all clusters as they are now."""
        return Fleet(clusters=tuple(self._now(cluster) for cluster in self._fleet.clusters))

    def _now(self, cluster: Cluster) -> Cluster:
        if cluster.executor not in HERE:
            return cluster
        reachable = cluster.reachable and self._switch.is_up(cluster.name)
        if cluster.executor == "containers":
            cluster = dataclasses.replace(
                cluster, serves=False, joins_nodes=False, reads_outside=False
            )
        return dataclasses.replace(cluster, reachable=reachable)
