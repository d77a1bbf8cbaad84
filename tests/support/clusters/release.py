"""A release of Berth's chart on a real node: database, storage, addresses, and `helm install`.

What a cluster of people has and this node has not is stood in for: names of Services are replaced
by addresses of the node, behind which a forwarder passes on to API server and engines; the volume
is a folder of this machine.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.model.errors import BerthError
from executors.kubernetes.api import Api
from tests.support import charts, postgresql
from tests.support.clusters import building
from tests.support.clusters.fixtures import api_of
from tests.support.clusters.forwarder import Forwarder
from tests.support.clusters.real_node import RealCluster

NAMESPACE = "berth"
TASKS = "ml"
NAME = "berth"
API_PORT, ARTIFACTS_PORT = 8750, 8751
_POST_RENDERER = """\
#!/bin/sh
exec sed -e 's#server: https://kubernetes.default.svc#server: https://{server}\\n          \
tls-server-name: localhost#' -e 's#http://berth.berth.svc:8751#http://{artifacts}#'
"""
_SMALL = (
    *("--set", "resources.requests.cpu=100m,resources.requests.memory=256Mi"),
    *("--set", "leaseSeconds=5"),
)
_INSTALL_SECONDS = 900
"""Of each step of Helm's: the node unpacks a whole image and starts three Pythons of it."""
_LOG_LINES = 20


@dataclass(frozen=True, slots=True)
class Release:
    """The chart, installed."""

    api: Api
    kubeconfig: Path
    folder: Path

    def engines(self) -> list[dict[str, Any]]:
        """Return the pods of engines that are ready, in order of their names."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        query = {"labelSelector": "app.kubernetes.io/component=engine"}
        found = self.api.call("GET", path, query=query)["items"]
        ready = [pod for pod in found if is_ready(pod)]
        return sorted(ready, key=lambda pod: str(pod["metadata"]["name"]))

    def addresses(self) -> list[str]:
        """Return the URLs of the engines that are ready."""
        return [f"http://{pod['status']['podIP']}:{API_PORT}" for pod in self.engines()]


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod gets requests."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod["status"].get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@contextmanager
def installed(cluster: RealCluster, scratch: Path) -> Iterator[Release]:
    """Install the chart on a cluster that gives accounts to pods; yield it when it is ready."""
    api = api_of(cluster.plane.kubeconfig, cluster.plane.folder.name)
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    for name in (NAMESPACE, TASKS):
        body = {"metadata": {"name": name, "labels": restricted}}
        api.call("POST", "/api/v1/namespaces", body=body)
    address, network = cluster.node.address, cluster.node.containerd.subnet
    with ExitStack() as stack:
        database = stack.enter_context(postgresql.running(address, network))
        made = Release(api, cluster.plane.kubeconfig, volume(api, stack))
        server = stack.enter_context(Forwarder(address, lambda: ("127.0.0.1", cluster.plane.port)))
        artifacts = stack.enter_context(
            Forwarder(address, lambda: (made.engines()[0]["status"]["podIP"], ARTIFACTS_PORT))
        )
        url = database.database().partition("@/")[2].partition("?")[0]
        secret(api, f"postgresql+psycopg://berth@{address}/{url}")
        renderer = scratch / "addresses.sh"
        renderer.write_text(
            _POST_RENDERER.format(
                server=f"{address}:{server.port}", artifacts=f"{address}:{artifacts.port}"
            ),
            "utf-8",
        )
        renderer.chmod(0o755)
        install(cluster, made, renderer, scratch)
        yield made


def install(cluster: RealCluster, made: Release, renderer: Path, scratch: Path) -> None:
    """Run `helm install`, which waits for the migration and until all pods are ready."""
    command = [
        *(str(building.path("helm")), "install", NAME, str(charts.CHART)),
        *("--namespace", NAMESPACE, "--kubeconfig", str(cluster.plane.kubeconfig)),
        *("--set", f"image={cluster.image}", "--set", f"tasks.namespace={TASKS}", *_SMALL),
        *("--wait", "--timeout", f"{_INSTALL_SECONDS}s", "--post-renderer", str(renderer)),
    ]
    homes = {
        name: str(scratch / name)
        for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
    }
    done = subprocess.run(
        command, env={**os.environ, **homes}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, "\n".join((done.stderr, *words(made.api)))


def words(api: Api) -> Iterator[str]:
    """Yield how the pods of the release stand, the end of their logs, and what was warned of."""
    path = f"/api/v1/namespaces/{NAMESPACE}"
    for pod in api.call("GET", f"{path}/pods")["items"]:
        name, status = pod["metadata"]["name"], pod["status"]
        yield f"pod {name}: {status['phase']}"
        for kind in ("initContainerStatuses", "containerStatuses"):
            for each in status.get(kind) or ():
                yield f"  {each['name']}, restarts {each['restartCount']}: {each['state']}"
        try:
            query = {"tailLines": _LOG_LINES}
            log = api.read("GET", f"{path}/pods/{name}/log", query=query, blames_server=False)
            yield log.decode("utf-8", "replace")
        except BerthError as error:
            yield f"  no log: {error.message}"
    warnings = api.call("GET", f"{path}/events", query={"fieldSelector": "type=Warning"})
    for each in warnings["items"]:
        yield f"{each['involvedObject']['name']}: {each['reason']}: {each['message']}"


def volume(api: Api, stack: ExitStack) -> Path:
    """Make a volume that several pods may write; return its folder on this machine."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="berth-volume-")))
    folder.chmod(0o777)
    body = {
        "metadata": {"name": "berth-data"},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder)},
        },
    }
    api.call("POST", "/api/v1/persistentvolumes", body=body)
    return folder


def secret(api: Api, url: str) -> None:
    """Make the Secret in which the chart looks for its database."""
    body = {"metadata": {"name": "berth-database"}, "stringData": {"url": url}}
    api.call("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", body=body)
