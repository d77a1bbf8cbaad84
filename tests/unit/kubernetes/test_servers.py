"""Servers whose packages come from a registry, while that registry does not answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.model.dispatches import AttemptState, Observation
from engine.model.errors import BerthError, RefusedError, UnreachableError
from engine.model.identifiers import Digest
from engine.testing.clocks import ManualClock
from executors.kubernetes import kept
from executors.kubernetes.api import Document
from executors.kubernetes.clusters import ClusterLink, KubernetesClusters
from executors.kubernetes.kinds import inference
from executors.kubernetes.servers import Servers
from executors.kubernetes.serving import objects, rollout
from executors.kubernetes.serving.modelcars import Modelcars
from executors.kubernetes.serving.rollout import Rules, State
from executors.kubernetes.serving.shown import Modelcar
from executors.kubernetes.settings import ClusterSettings, KubernetesSettings
from tests.unit.kubernetes.test_serving_objects import server

PACKAGE, NEXT = "sha256:a", "sha256:b"
STEADY = State(package=PACKAGE, infers=True)


class World:
    """A cluster with one server, a registry, and engines that come one after the other."""

    def __init__(self) -> None:
        self.services: dict[str, Document] = {}
        self.inferences: dict[str, Document] = {}
        self.writes: list[str] = []
        self.trouble: BerthError | None = None
        given = ClusterSettings(
            name="east",
            context="east",
            namespace="ml",
            serves_as="inferenceservice",
            modelcars="registry.example/models",
        )
        settings = KubernetesSettings(kubeconfig=Path("none"), clusters=(given,))
        parts = {
            "given": given,
            "settings": settings,
            "namespace": "ml",
            "api": self,
            "services": _watch(self.services),
            "deployments": _watch({}),
            "pods": _watch({}),
            "claims_from": "",
            "more": SimpleNamespace(inference=_watch(self.inferences), routes=None),
        }
        self.link = cast("ClusterLink", SimpleNamespace(**parts))
        self.restart()

    def restart(self) -> None:
        """Have a new engine look after the servers."""
        self.engine = Servers(
            cast("KubernetesClusters", SimpleNamespace(installation="i1")),
            ManualClock(),
            lambda digest: f"http://engine/{digest}",
            lambda sender: f"http://engine/{sender.address}",
            cast("Modelcars", self),
        )

    def of(self, _given: ClusterSettings, package: str) -> Modelcar:
        """Push a package, as far as the registry is there."""
        if self.trouble is not None:
            raise self.trouble
        return Modelcar(image="r/m@d", package=Digest(package), labels={})

    def call(self, _verb: str, path: str, *, body: Document, **_named: object) -> None:
        """Write an object, which the watches then show."""
        made = {**body, "metadata": dict(body["metadata"])}
        made["metadata"] |= {"namespace": "ml", "uid": "u", "resourceVersion": "1"}
        name = made["metadata"]["name"]
        kind = path.split("/")[-2]
        self.writes.append(kind)
        if kind == "inferenceservices":
            self.inferences[name] = inference.keep(made)
        else:
            self.services[name] = kept.keep_service(made)

    def want(self, state: State) -> None:
        """Have the server's Service say what is wanted."""
        wanted = objects.service(replace(server(), state=state), rollout.desired(state, {}), "")
        self.call("PATCH", f"/services/{wanted['metadata']['name']}", body=wanted)
        self.writes.clear()

    def look(self) -> Observation:
        """Look at the server once."""
        (seen,) = self.engine.observe(self.link)
        assert seen.state is AttemptState.RUNNING
        return seen


def _watch(found: dict[str, Document]) -> Any:  # noqa: ANN401 - all that is read of a watch
    return SimpleNamespace(
        objects=lambda: list(found.values()), get=lambda _namespace, name: found.get(name)
    )


@pytest.fixture
def world() -> World:
    """A world whose server runs what it should, after the engine has gone and come."""
    made = World()
    made.want(STEADY)
    assert not made.look().message
    assert made.writes == ["inferenceservices"]
    made.restart()
    made.trouble = UnreachableError("registry.example does not answer")
    return made


def test_a_server_that_runs_its_package_waits_for_no_registry(world: World) -> None:
    world.want(STEADY)
    assert not world.look().message
    assert not world.writes
    world.trouble = None
    assert not world.look().message
    assert not world.writes


@pytest.mark.parametrize(
    "state",
    [
        replace(STEADY, target=NEXT, phase=rollout.Phase.ROLLING),
        replace(STEADY, rules=Rules(replicas_most=3)),
    ],
    ids=["another package", "more pods"],
)
def test_what_is_wanted_and_cannot_be_says_why(world: World, state: State) -> None:
    world.want(state)
    assert "registry.example does not answer" in world.look().message
    world.trouble = None
    assert "does not answer" not in world.look().message
    assert world.writes == ["inferenceservices"]


def test_a_refusal_of_the_registry_is_told_of_a_healthy_server_too(world: World) -> None:
    world.trouble = RefusedError("registry.example refuses us")
    assert "refuses us" in world.look().message
