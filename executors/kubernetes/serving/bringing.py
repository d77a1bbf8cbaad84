"""Does on a cluster what is missing of what a server's state wants: pods, their number, bounds.

One object for each colour: a Deployment, or the InferenceService where the cluster has those.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from engine.model.errors import RetryableError
from executors.kubernetes import jobs, kept
from executors.kubernetes.api import FIELD_MANAGER, MERGE, Document
from executors.kubernetes.clusters import ClusterLink
from executors.kubernetes.journal import Sender
from executors.kubernetes.kinds import addresses, devices, inference
from executors.kubernetes.serving import objects, rollout, writing
from executors.kubernetes.serving.modelcars import Modelcars
from executors.kubernetes.serving.objects import Server
from executors.kubernetes.serving.rollout import Desired, Seen, Wanted

_LOG = logging.getLogger(__name__)
_SCALER = f"{FIELD_MANAGER}-scale"


class Pods:
    """Brings the pods of servers.

    installation: whose objects these are. address: from a package's digest to where pods fetch it.
    signals: from a sender to where it leaves what it measures.
    modelcars: puts packages into registries, where clusters are to pull them.
    """

    def __init__(
        self,
        installation: str,
        address: Callable[[str], str],
        signals: Callable[[Sender], str],
        modelcars: Modelcars,
    ) -> None:
        self._installation = installation
        self._address = address
        self._signals = signals
        self._modelcars = modelcars
        self._scaled: dict[str, tuple[str, int, int]] = {}

    def bring(self, link: ClusterLink, server: Server, found: Mapping[str, Document]) -> None:
        """Do what is missing of what a server's state wants.

        found: what the cluster has of it, as `deployments` returns it. Errors as `Api.call`.
        """
        seen = {colour: objects.seen_of(each) for colour, each in found.items()}
        wanted = rollout.desired(server.state, seen)
        for colour, each in wanted.deployments.items():
            if not each.package:
                continue
            self._apply_deployment(link, server, colour, each, found.get(colour))
            if not server.state.infers:
                self._scale(link, server, colour, each, seen.get(colour))
        for colour in found.keys() - wanted.deployments.keys():
            remove(link, server, found[colour])
        if not server.state.infers:
            self._autoscale(link, server, wanted)

    def _apply_deployment(
        self, link: ClusterLink, server: Server, colour: str, wanted: Wanted, found: Document | None
    ) -> None:
        """Have the pods of a colour as they are wanted, by a Deployment or an InferenceService."""
        package = wanted.package
        bounds = (wanted.replicas_least, wanted.replicas_most)
        try:
            address = self._package(link, server, package)
        except RetryableError as error:
            # What runs this very package already has it: nothing waits for the registry.
            if found is None or (found["package"], found.get("bounds")) != (package, bounds):
                raise
            _LOG.info("server %s on %s is left as it is: %s", server.name, link.given.name, error)
            return
        document = objects.deployment(
            server,
            colour,
            package,
            objects.Addresses(package=address, signals=self._signals(server.sender)),
            image=link.settings.image,
            python=link.settings.python,
        )
        pod = document["spec"]["template"]
        pod["spec"], template = self._claim(link, pod["spec"])
        if link.given.serving_priority_class:
            pod["spec"]["priorityClassName"] = link.given.serving_priority_class
        told = objects.hash_of(document)
        if found is not None and found["hash"] == told and found.get("bounds", bounds) == bounds:
            return
        if template is not None:
            writing.apply(link, addresses.path_of(template), template)
        own = {jobs.SPEC_HASH: told, kept.OURS: kept.ours(document["spec"])}
        document["metadata"]["annotations"] |= own
        path = f"{_apps(link)}/{server.name}-{colour}"
        if server.state.infers:
            document = inference.manifest(server.name, document, bounds)
            path = _inferences(link, server)
        writing.apply(link, path, document)

    def _package(self, link: ClusterLink, server: Server, package: str) -> Mapping[str, str]:
        """Return the variables by which pods find their package."""
        if server.state.infers and link.given.modelcars:
            return self._modelcars.of(link.given, package).variables
        return {"BERTH_ADDRESS": self._address(package)}

    def _claim(self, link: ClusterLink, pod: Document) -> tuple[Document, Document | None]:
        """Return a pod that claims its GPUs where those are claimed, and what it claims them by."""
        count = devices.count_of(pod)
        named = link.claims_from if count else ""
        if not named:
            return pod, None
        template = devices.template(
            count, named, namespace=link.namespace, installation=self._installation
        )
        return devices.claiming(pod, named), template

    def _scale(
        self,
        link: ClusterLink,
        server: Server,
        colour: str,
        wanted: Wanted,
        seen: Seen | None,
    ) -> None:
        """Set how many pods there are, where that is outside of what is wanted."""
        now = seen.replicas if seen is not None else 0
        count = min(max(now, wanted.replicas_least), wanted.replicas_most)
        if count == now or (seen is None and count == 1):
            return
        path = f"{_apps(link)}/{server.name}-{colour}/scale"
        writing.api_of(link).call(
            "PATCH",
            path,
            query={"fieldManager": _SCALER},
            body={"spec": {"replicas": count}},
            content_type=MERGE,
        )

    def _autoscale(self, link: ClusterLink, server: Server, wanted: Desired) -> None:
        """Keep the autoscaler's bounds; a fixed number of pods has none."""
        colour = server.state.colour
        live = wanted.deployments.get(colour)
        if live is None:
            return
        told = (colour, live.replicas_least, live.replicas_most)
        if self._scaled.get(server.name) == told:
            return
        path = f"/apis/autoscaling/v2/namespaces/{link.namespace}/horizontalpodautoscalers"
        if live.replicas_least == live.replicas_most:
            writing.write(link, "DELETE", f"{path}/{server.name}", None)
        else:
            writing.apply(link, f"{path}/{server.name}", objects.autoscaler(server, *told))
        self._scaled[server.name] = told


def deployments(link: ClusterLink, server: Server) -> dict[str, Document]:
    """Return what the watches show of a server's pods, by colour."""
    if link.deployments is None:
        return {}
    if server.state.infers:
        watch = link.more.inference if link.more is not None else None
        one = watch.get(link.namespace, server.name) if watch is not None else None
        made = link.deployments.get(link.namespace, inference.deployment_of(server.name))
        return {} if one is None else {rollout.BLUE: inference.as_deployment(one, made)}
    found = {
        colour: link.deployments.get(link.namespace, f"{server.name}-{colour}")
        for colour in (rollout.BLUE, rollout.GREEN)
    }
    return {colour: each for colour, each in found.items() if each is not None}


def remove(link: ClusterLink, server: Server, found: Document) -> None:
    """Remove one of what `deployments` returned; errors as `Api.call`."""
    path = _inferences(link, server) if server.state.infers else f"{_apps(link)}/{found['name']}"
    writing.remove(link, path, found["uid"])


def _inferences(link: ClusterLink, server: Server) -> str:
    return addresses.KINDS[addresses.INFERENCE_SERVICE].path(link.namespace, server.name)


def _apps(link: ClusterLink) -> str:
    return f"/apis/apps/v1/namespaces/{link.namespace}/deployments"
