"""Servers on clusters: brings each to the package that is wanted, one step after the other.

Level-triggered: every look compares what the watches show with what the server's state wants, and
does what is missing. All writes are server-side applies of fields that are ours, the state's first
and only on the version that was read; deletes name the object's uid.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import cast

from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.model.errors import (
    BerthError,
    ConflictError,
    DamagedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from engine.model.identifiers import AttemptId
from engine.ports import Clock
from executors.kubernetes import jobs, kept
from executors.kubernetes.api import MERGE, Document
from executors.kubernetes.clusters import ClusterLink, KubernetesClusters
from executors.kubernetes.journal import Sender
from executors.kubernetes.kinds import inference
from executors.kubernetes.serving import PORT, bringing, objects, rollout, routing, writing
from executors.kubernetes.serving.modelcars import Modelcars
from executors.kubernetes.serving.objects import Server
from executors.kubernetes.serving.rollout import Desired, Phase, Seen, State

_LOG = logging.getLogger(__name__)
_TRIES = 5
Bounds = tuple[int, int]


class Servers:
    """All servers of an installation.

    address: from a package's digest to where pods fetch it.
    signals: from a sender to where it leaves what it measures.
    modelcars: puts packages into registries, where clusters are to pull them.
    """

    def __init__(
        self,
        clusters: KubernetesClusters,
        clock: Clock,
        address: Callable[[str], str],
        signals: Callable[[Sender], str],
        modelcars: Modelcars,
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._pods = bringing.Pods(clusters.installation, address, signals, modelcars)

    # ------------------------------------------------------------------ starting

    def start(self, link: ClusterLink, order: AttemptOrder, place: jobs.Place) -> None:
        """Make the Service of a server, and its first Deployment, once.

        Raises:
            RefusedError: when the task asks for what there is not, or the cluster refuses it.
            RetryableError: when the cluster asks for patience.
        """
        package = next(iter(order.inputs.values()), "")
        given = _mapping(_mapping(order.parameters.get("task")).get("parameters"))
        overrides = _mapping(order.parameters.get("overrides"))
        parameters = {**given, **overrides}
        rules = self.rules(parameters, bounds_of(order))
        server = self._new(order, place, parameters)
        if self._find(link, server.name) is not None:
            return
        infers = link.more is not None and link.more.spoken.inference
        began = rollout.asked(State(infers=infers), package, rules, self._clock.now())
        server = replace(server, state=began)
        self._write_service(link, server, rollout.desired(began, {}), "")
        self._pods.bring(link, server, {})

    def _new(
        self, order: AttemptOrder, place: jobs.Place, parameters: Mapping[str, object]
    ) -> Server:
        now = self._clock.now()
        try:
            return objects.server_of(order, self._clusters.installation, place, now, parameters)
        except (TypeError, ValueError) as error:
            message = f"`window_seconds`: {error}"
            raise RefusedError(message, fix="correct the serve task's parameters") from error

    @staticmethod
    def rules(parameters: Mapping[str, object], bounds: Bounds) -> rollout.Rules:
        """Return how a task wants to be rolled out, by its parameters.

        Raises:
            RefusedError: when one of them is not what it should be.
        """
        try:
            return objects.rules_of(parameters, bounds)
        except (TypeError, ValueError) as error:
            raise RefusedError(str(error), fix="correct the serve task's parameters") from error

    # ----------------------------------------------------------------- observing

    def observe(self, link: ClusterLink) -> Iterator[Observation]:
        """Take one step with each server of a cluster; yield what is seen of it."""
        if link.services is None:
            return
        for service in link.services.objects():
            try:
                server = objects.load(service["serving"])
            except (ValueError, TypeError, KeyError):
                continue  # a Service of another kind
            if service["stopped"]:
                yield self._stopped(link, service, server)
                continue
            trouble = ""
            try:
                server = self._step(link, service, server)
            except BerthError as error:
                trouble = error.message
                _LOG.info("server %s on %s: %s", server.name, link.given.name, trouble)
            yield self._observation(link, server, trouble)

    def _observation(self, link: ClusterLink, server: Server, trouble: str) -> Observation:
        state = server.state
        seen = Observation(
            attempt_id=AttemptId(server.attempt),
            state=AttemptState.RUNNING,
            handle=f"{link.namespace}/{server.name}",
            started_at=server.began_at,
            message="; ".join(
                filter(None, (_words(state) or routing.refusal(link, server), trouble))
            ),
        )
        if not state.package and state.failed:
            return replace(
                seen,
                state=AttemptState.FAILED,
                ended_at=self._clock.now(),
                reason=Reason.BAD_OUTPUT,
                message=f"its pods did not become ready within {objects.PROGRESS_SECONDS} s",
            )
        return replace(seen, endpoint=self._endpoint(link, server)) if state.package else seen

    def _endpoint(self, link: ClusterLink, server: Server) -> str:
        """Return where the server is reached: by its Service, or by a pod where those are not."""
        if link.given.reached_by == "service":
            return f"http://{server.name}.{link.namespace}.svc:{PORT}"
        made = f"{server.name}-{server.state.colour}"
        if server.state.infers:
            made = inference.deployment_of(server.name)
        ready = [
            pod["ip"]
            for pod in (link.pods.objects() if link.pods is not None else [])
            if pod["name"].startswith(f"{made}-")
            if pod["ip"] and pod["is_ready"] and not pod["deleting"]
        ]
        return f"http://{min(ready)}:{PORT}" if ready else ""

    def _stopped(self, link: ClusterLink, service: Document, server: Server) -> Observation:
        """Remove what a stopped server still has; its Service stays as a mark."""
        try:
            for found in bringing.deployments(link, server).values():
                bringing.remove(link, server, found)
            routing.take_away(link, server)
            self._clear(link, service)
        except BerthError as error:
            _LOG.info("server %s: %s", server.name, error.message)
        return Observation(
            attempt_id=AttemptId(server.attempt),
            state=AttemptState.STOPPED,
            handle=f"{link.namespace}/{server.name}",
            started_at=server.began_at,
            ended_at=max(server.began_at, service["stopped_at"]),
            reason=Reason.CANCELLED,
            message="stopped on request",
        )

    def _clear(self, link: ClusterLink, service: Document) -> None:
        """Remove the mark of a server that was stopped long ago, as Jobs leave after a time."""
        if self._clock.now() - service["stopped_at"] >= link.settings.ttl_seconds:
            path = f"/api/v1/namespaces/{link.namespace}/services/{service['name']}"
            writing.remove(link, path, service["uid"])

    # ------------------------------------------------------------------ stepping

    def _step(self, link: ClusterLink, service: Document, server: Server) -> Server:
        """Move the state to what the cluster shows, then do what is missing."""
        found = bringing.deployments(link, server)
        seen = {colour: objects.seen_of(each) for colour, each in found.items()}
        state = rollout.moved(server.state, seen, self._clock.now())
        wanted = rollout.desired(state, seen)
        if state != server.state or service["selected"] != wanted.selected:
            server = replace(server, state=state)
            self._write_service(link, server, wanted, service["version"])
        self._pods.bring(link, server, found)
        routing.bring(link, server)
        return server

    def _write_service(
        self, link: ClusterLink, server: Server, wanted: Desired, version: str
    ) -> None:
        path = f"/api/v1/namespaces/{link.namespace}/services/{server.name}"
        writing.apply(link, path, objects.service(server, wanted, version))

    # ------------------------------------------------------------------ swapping

    def swap(self, attempt: str, package: str, rules: rollout.Rules | None = None) -> str:
        """Have a server serve another package; return the one that serves now.

        rules: how; None as before.

        Raises:
            UnreachableError: when there is no such server, or its cluster does not answer.
            DamagedError: when the package was tried and did not come up; the old one serves.
        """
        for _ in range(_TRIES):
            link, service = self._asked(attempt)
            server = objects.load(service["serving"])
            state = server.state
            if state.failed == package and state.package != package:
                message = f"pods with {package} did not become ready; {state.package} serves on"
                raise DamagedError(message, fix="read the pods' logs, then package it again")
            following = rollout.asked(state, package, rules or state.rules, self._clock.now())
            if following == state:
                return state.package
            server = replace(server, state=following)
            try:
                wanted = rollout.desired(following, _seen(link, server))
                self._write_service(link, server, wanted, service["version"])
            except ConflictError as error:
                _LOG.info("swap of %s: %s", attempt, error.message)
                continue
            return following.package
        raise UnreachableError(f"the Service of {attempt} changes all the while")

    def bound(self, attempt: str, bounds: Bounds) -> None:
        """Set the autoscaler's bounds of a server; errors as `swap`."""
        link, service = self._asked(attempt)
        server = objects.load(service["serving"])
        least, most = bounds
        rules = replace(server.state.rules, replicas_least=least, replicas_most=most)
        if rules != server.state.rules:
            server = replace(server, state=replace(server.state, rules=rules))
            wanted = rollout.desired(server.state, _seen(link, server))
            self._write_service(link, server, wanted, service["version"])

    def _asked(self, attempt: str) -> tuple[ClusterLink, Document]:
        """Ask the clusters for the Service of an attempt: a watch may be behind."""
        name = jobs.name_of(self._clusters.installation, attempt)
        for link in self._clusters.links().values():
            if link.api is None:
                continue
            found = self._find(link, name)
            if found is not None:
                return link, found
        raise UnreachableError(f"no cluster has the server of {attempt}")

    @staticmethod
    def _find(link: ClusterLink, name: str) -> Document | None:
        path = f"/api/v1/namespaces/{link.namespace}/services/{name}"
        try:
            return kept.keep_service(writing.api_of(link).call("GET", path))
        except NotFoundError:
            return None

    # ------------------------------------------------------------------ stopping

    def stop(self, attempt: str) -> None:
        """Mark a server as stopped; its pods go with the next look. Unknown ones are left alone.

        Raises:
            RetryableError: when its cluster does not answer.
        """
        name = jobs.name_of(self._clusters.installation, attempt)
        for link in self._clusters.links().values():
            known = link.services.get(link.namespace, name) if link.services is not None else None
            if known is None or known["stopped"]:
                continue
            path = f"/api/v1/namespaces/{link.namespace}/services/{name}"
            told = {jobs.STOPPED: f"{self._clock.now():.3f}"}
            body = {"metadata": {"uid": known["uid"], "annotations": told}}
            writing.write(link, "PATCH", path, body, MERGE)

    def forget(self, attempt: str) -> None:
        """Remove the mark of a server that has ended."""
        name = jobs.name_of(self._clusters.installation, attempt)
        for link in self._clusters.links().values():
            known = link.services.get(link.namespace, name) if link.services is not None else None
            if known is None:
                continue
            path = f"/api/v1/namespaces/{link.namespace}/services/{name}"
            writing.remove(link, path, known["uid"])


def bounds_of(order: AttemptOrder) -> Bounds:
    """Return the bounds that an order brings from the forecast; one pod where it brings none."""
    found = order.parameters.get("replicas")
    least, most = cast("Bounds", found) if isinstance(found, list | tuple) else (1, 1)
    return max(1, least), max(1, least, most)


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _words(state: State) -> str:
    """Return what a rollout is doing, for people."""
    if state.phase is Phase.STEADY:
        return ""
    if state.phase is Phase.KEEPING:
        return "the package before is kept for a while"
    return f"{state.rules.strategy.value} rollout: {state.phase.value}"


def _seen(link: ClusterLink, server: Server) -> dict[str, Seen]:
    found = bringing.deployments(link, server)
    return {colour: objects.seen_of(each) for colour, each in found.items()}
