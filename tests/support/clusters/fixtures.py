"""Real clusters for tests: one control plane a test process, a namespace and a user a test.

Where clusters cannot be had (no Go, so that nothing can be built) the tests are skipped with
"not run" and why; in CI that is a failure.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from executors.kubernetes import access
from executors.kubernetes.api import Api
from executors.kubernetes.gate import Gate
from executors.kubernetes.rights import Right, role_manifests
from tests.support.clusters import building, plane
from tests.support.clusters.process_kubelet import ProcessKubelet
from tests.support.clusters.running import RUNNING

_NUMBERS = itertools.count(1)


def available() -> None:
    """Skip, or fail in CI, when a control plane can be neither found nor built.

    Building takes minutes: it is done by `scripts/test` beforehand, and here only in CI.
    """
    missing = building.missing(building.PLANE)
    if not missing:
        return
    if os.environ.get("CI"):
        building.build(building.PLANE)
        return
    pytest.skip(f"not run: {', '.join(missing)} not built (scripts/cluster build)")


def api_of(kubeconfig: Path, context: str, name: str = "admin") -> Api:
    """Return an API without limits."""
    return Api(name, access.connect(kubeconfig, context, connections=16), Gate(name))


@dataclass(frozen=True)
class Place:
    """A namespace of a control plane, and the kubeconfig of a user with just Berth's rights."""

    plane: plane.ControlPlane
    admin: Api
    namespace: str
    kubeconfig: Path

    @property
    def context(self) -> str:
        return self.plane.folder.name


def new_place(
    made: plane.ControlPlane,
    admin: Api,
    name: str = "",
    *,
    more: frozenset[Right] = frozenset(),
) -> Place:
    """Make a namespace with a user who has the rights of `executors.kubernetes.rights`."""
    name = name or f"berth-{next(_NUMBERS)}-{os.getpid()}"
    admin.call("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    for path, body in role_manifests(name, user=name, more=more):
        admin.call("POST", path, body=body)
    return Place(made, admin, name, made.user(name, namespace=name))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[plane.ControlPlane]:
    """A control plane for the tests of this process, or the one in `BERTH_TEST_CLUSTER`."""
    running = os.environ.get("BERTH_TEST_CLUSTER")
    if running:
        yield plane.ControlPlane.load(Path(running))
        return
    available()
    made = plane.create(tmp_path_factory.mktemp("clusters") / "real")
    RUNNING.callback(made.stop)
    yield made
    RUNNING.close()


@pytest.fixture(scope="session")
def admin(control_plane: plane.ControlPlane) -> Api:
    """Its API, as administrator."""
    return api_of(control_plane.kubeconfig, control_plane.folder.name)


@pytest.fixture(scope="session")
def node(admin: Api, tmp_path_factory: pytest.TempPathFactory) -> ProcessKubelet:
    """A node that runs pods as processes."""
    made = ProcessKubelet(admin, f"node-{os.getpid()}", tmp_path_factory.mktemp("node"))
    made.start()
    RUNNING.callback(made.stop)
    return made


@pytest.fixture
def place(control_plane: plane.ControlPlane, admin: Api) -> Place:
    """A namespace of its own."""
    return new_place(control_plane, admin)
