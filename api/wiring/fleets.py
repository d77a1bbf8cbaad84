"""Fleets of several sources as one: the file's clusters, and those of Kubernetes.

The client library of Kubernetes is an extra and slow to import: it is only looked for where there
are settings for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.settings import Settings
from engine.model.errors import Fault, InvalidInputError
from engine.model.fleet import Fleet
from engine.ports import FleetSource
from executors import kubernetes

if TYPE_CHECKING:
    from executors.kubernetes import KubernetesClusters


class JoinedFleet:
    """The clusters of two sources (port `FleetSource`); the first source's come first."""

    def __init__(self, first: FleetSource, second: FleetSource) -> None:
        self._sources = (first, second)

    def fleet(self) -> Fleet:
        """Return all clusters as they are now."""
        return Fleet(
            clusters=tuple(each for source in self._sources for each in source.fleet().clusters)
        )


def kubernetes_clusters(settings: Settings) -> KubernetesClusters | None:
    """Return the Kubernetes clusters of the settings, None without any.

    Raises:
        InvalidInputError: when their settings have faults, or the client is not installed.
    """
    if settings.kubernetes is None:
        return None
    read = kubernetes.read_settings(settings.kubernetes)
    try:
        made = kubernetes.KubernetesClusters
    except ImportError as error:
        message = f"{str(settings.kubernetes)!r} needs the extra `kubernetes`: {error}"
        fix = "pip install 'berth[kubernetes]', or remove the file"
        raise InvalidInputError("settings", [Fault(code="U030", message=message, fix=fix)]) from (
            error
        )
    return made(read, kubernetes.installation_of(settings.home))


def joined(file: FleetSource, clusters: KubernetesClusters | None) -> FleetSource:
    """Return the file's clusters with those of Kubernetes, where there are any.

    Raises:
        InvalidInputError: when two clusters have one name.
    """
    if clusters is None:
        return file
    ours = {each.name for each in file.fleet().clusters}
    twice = sorted(ours & {each.name for each in clusters.given()})
    if twice:
        message = f"cluster {twice[0]!r} is in the fleet file and a Kubernetes cluster as well"
        fix = "rename one of them"
        raise InvalidInputError("settings", [Fault(code="U030", message=message, fix=fix)])
    return JoinedFleet(file, kubernetes.KubernetesFleetSource(clusters))
