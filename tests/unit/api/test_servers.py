"""Who changes what a server serves: the server itself, or the cluster that runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from api.wiring.servers import EngineServers
from engine.model.dispatches import Deployment
from engine.model.errors import NotFoundError
from engine.model.identifiers import Digest
from engine.model.records import ATTEMPTS, DEPLOYMENTS, TASK_RUNS, Put
from engine.testing import samples
from engine.testing.world import World


class Beyond:
    """Servers on clusters that serve what they are asked for after `late` questions."""

    def __init__(self, late: int = 0) -> None:
        self.late = late
        self.bounded: list[tuple[int, int]] = []
        self.asked: list[str] = []

    def rules(self, parameters: Mapping[str, object], bounds: tuple[int, int]) -> object:
        return parameters, bounds

    def swap(self, attempt: str, package: str, rules: object) -> str:
        self.asked.append(package)
        return package if len(self.asked) > self.late else "sha256:old"

    def bound(self, attempt: str, bounds: tuple[int, int]) -> None:
        self.bounded.append(bounds)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A pipeline that serves, on a cluster of Kubernetes."""
    made = World()
    made.submit(samples.chain())
    made.settle(made.engine())
    (deployment,) = made.ledger.select(DEPLOYMENTS)
    assert deployment.value.attempt_id is not None
    stored = made.ledger.get(ATTEMPTS, deployment.value.attempt_id)
    assert stored is not None
    made.ledger.commit(
        "test", [Put(ATTEMPTS, replace(stored.value, executor="kubernetes"), stored.version)]
    )
    yield made
    made.close()


def deployment(world: World) -> Deployment:
    (stored,) = world.ledger.select(DEPLOYMENTS)
    return stored.value


def servers(world: World, beyond: Beyond | None) -> EngineServers:
    executor: Any = None if beyond is None else SimpleNamespace(servers=beyond)
    return EngineServers(world.ledger, world.clock, world.servers, executor)


def test_a_cluster_is_asked_for_the_artefact_of_the_package(world: World) -> None:
    beyond = Beyond()
    wanted = deployment(world)
    assert servers(world, beyond).swap(wanted) == wanted.wanted
    packages = [t.value for t in world.ledger.select(TASK_RUNS) if t.value.task == "package"]
    assert beyond.asked == [packages[0].artifact]


def test_until_a_rollout_is_through_the_old_package_serves(world: World) -> None:
    beyond = Beyond(late=1)
    asking, wanted = servers(world, beyond), deployment(world)
    assert [asking.swap(wanted), asking.swap(wanted)] == ["sha256:old", wanted.wanted]


def test_a_local_server_is_asked_itself(world: World) -> None:
    wanted = deployment(world)
    assert servers(world, None).swap(wanted) == wanted.wanted
    assert wanted.wanted in world.servers.swapped


def test_a_package_that_nobody_made_is_told(world: World) -> None:
    odd = replace(deployment(world), wanted=Digest("sha256:odd"))
    with pytest.raises(NotFoundError, match="sha256:odd"):
        servers(world, Beyond()).swap(odd)


def test_bounds_are_written_when_the_forecast_changes(world: World) -> None:
    beyond = Beyond()
    asking = servers(world, beyond)
    assert [asking.scale(), asking.scale()] == [True, False]
    assert beyond.bounded == [(1, 1)]
