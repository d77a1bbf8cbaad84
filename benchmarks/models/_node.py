"""The real node of `models.three`: what a push delivered runs there, is served, and is swapped.

A control plane, kubelet and containerd of this machine. The image of the push is a pod that has to
answer its own golden requests; then the package that the pipeline made is served by a Deployment,
under load, and that of the push follows it by a rolling update.
"""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import frame
from benchmarks.kubernetes._serving import Load, until
from engine.model.dispatches import AttemptOrder, Observation
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    Digest,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from executors.kubernetes import jobs
from executors.kubernetes.api import Document
from executors.kubernetes.serving import PORT
from executors.kubernetes.serving.rollout import Rules, Strategy
from tests.support.clusters import own_image, real_node
from tests.support.clusters.fixtures import Place

LIMIT_SECONDS = 300.0
CALM_SECONDS = 2.0
NEAR = 1e-3
_LOOK_SECONDS = 0.1
_LIBRARIES = (*own_image.SERVING, "statsmodels")
_SIZE = Resources(cpu_cores=0.5, memory_gib=0.75)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What is deployed: both packages by their folders, and the image of the second.

    example: golden requests of the second, as `golden.json` holds them.
    """

    name: str
    image: str
    first: Path
    second: Path
    example: dict[str, Any]


class VersionLoad(Load):
    """A load whose answers are told apart by the version that they name."""

    def __init__(self, place: Place, service: str, model: str, rows: list[list[float]]) -> None:
        super().__init__(place.admin, place.namespace, service, model, {}, rows)
        self.versions: list[str] = []

    def told(self, document: dict[str, Any]) -> int:
        """Returns the place of the version among those that answered."""
        version = str(document["model_version"])
        if version not in self.versions:
            self.versions.append(version)
        return self.versions.index(version)


@contextmanager
def opened(folder: Path) -> Iterator["Node | None"]:
    """Yields the node; None, saying why, where this machine cannot have one."""
    why = real_node.unavailable()
    if why:
        print(f"the real node: not run: {why}")
        yield None
        return
    cluster = real_node.start(folder / "real", _LIBRARIES)
    try:
        work = real_node.RealWorkplace(cluster, folder / "home")
        try:
            yield Node(work, cluster.node.registry)
        finally:
            work.close()
    finally:
        real_node.stop(cluster)


class Node:
    """Deploys models, one after the other. registry: that it pulls from, HOST:PORT."""

    def __init__(self, work: real_node.RealWorkplace, registry: str) -> None:
        self.registry = registry
        self._work = work

    def figures(self, given: Delivered) -> Iterator[frame.Figure]:
        """Yields steps and failures of one model."""
        began = time.monotonic()
        right = self._in_a_pod(given)
        took = time.monotonic() - began
        yield frame.at_least(f"{given.name}: its image answers on the real node", float(right), 1)
        yield frame.informs(
            f"{given.name}: real node, image of the push", took, unit="s", anchor="pulled, started"
        )
        yield from self._served(given)

    def _in_a_pod(self, given: Delivered) -> bool:
        """Returns whether a pod of the image answers its golden requests as expected."""
        place = self._work.place
        path = f"/api/v1/namespaces/{place.namespace}/pods"
        container: Document = {"name": "model", "image": given.image}
        container["env"] = [{"name": "PORT", "value": str(PORT)}]
        spec = {"automountServiceAccountToken": False, "containers": [container]}
        body = {"metadata": {"name": given.name}, "spec": spec}
        place.admin.call("POST", path, body=body)
        end = time.monotonic() + LIMIT_SECONDS
        try:
            while time.monotonic() < end:
                found = place.admin.call("GET", f"{path}/{given.name}")["status"]
                if found.get("podIP") and (outputs := _asked(found["podIP"], given)) is not None:
                    return _as_expected(outputs, given.example)
                time.sleep(_LOOK_SECONDS)
        finally:
            place.admin.call("DELETE", f"{path}/{given.name}", body={"gracePeriodSeconds": 0})
        return False

    def _served(self, given: Delivered) -> Iterator[frame.Figure]:
        """Yields what became of a server and of its swap under load."""
        first, second = (self._work.artifacts.put(each) for each in (given.first, given.second))
        attempt = AttemptId(f"r-{given.name}.serve.1")
        executor = self._work.executor
        began = time.monotonic()
        executor.start(_order(given.name, attempt, first))
        self._until(attempt, lambda seen: bool(seen.endpoint))
        environment = time.monotonic() - began
        service = jobs.name_of(self._work.place.namespace, attempt)
        load = VersionLoad(self._work.place, service, given.name, given.example["rows"][:1])
        load.start()
        try:
            self._calm(attempt)
            rules = Rules(strategy=Strategy.ROLLING, replicas_least=1, replicas_most=1)
            began = time.monotonic()
            self._until(attempt, lambda _: executor.servers.swap(attempt, second, rules) == second)
            deploy = time.monotonic() - began
            self._calm(attempt)
        finally:
            load.stop()
        executor.stop(attempt)
        tally = load.tally
        for failure in tally.failures[:3]:
            print(f"{given.name} on the real node: {failure}")
        name = f"{given.name}: real node"
        yield frame.informs(f"{name}, environment", environment, unit="s", anchor="table 3")
        yield frame.informs(
            f"{name}, deploy by a rolling update", deploy, unit="s", anchor="table 3"
        )
        failed = len(tally.failures)
        yield frame.at_most(f"{name}, failed requests", failed, 0, anchor=f"of {tally.requests}")
        yield frame.at_least(f"{name}, versions that answered", len(load.versions), 2)

    def _calm(self, attempt: AttemptId) -> None:
        end = time.monotonic() + CALM_SECONDS
        self._until(attempt, lambda _: time.monotonic() > end)

    def _until(self, attempt: AttemptId, holds: Callable[[Observation], bool]) -> None:
        until(self._work.executor, attempt, holds, limit_seconds=LIMIT_SECONDS)


def _order(name: str, attempt: AttemptId, package: Digest) -> AttemptOrder:
    return AttemptOrder(
        attempt_id=attempt,
        run_id=RunId(f"r-{name}"),
        pipeline=PipelineName(name),
        task=TaskName("serve"),
        kind=TaskKind.SERVE,
        cluster=ClusterName("east"),
        pool=PoolName(real_node.POOL),
        command=(),
        folder="",
        inputs={TaskName("package"): package},
        parameters={"replicas": [1, 1]},
        limits=_SIZE,
    )


def _asked(address: str, given: Delivered) -> dict[str, list[Any]] | None:
    """Returns the outputs for the golden requests by name; None when nobody answers yet."""
    rows: Sequence[Sequence[float]] = given.example["rows"]
    tensor = {"name": "features", "shape": [len(rows), len(rows[0])], "datatype": "FP64"}
    data = [value for row in rows for value in row]
    body = json.dumps({"inputs": [{**tensor, "data": data}]}).encode()
    url = f"http://{address}:{PORT}/v2/models/{given.name}/infer"
    try:
        with urllib.request.urlopen(url, body, timeout=30) as answer:
            return {each["name"]: each["data"] for each in json.load(answer)["outputs"]}
    except OSError:
        return None


def _as_expected(outputs: dict[str, list[Any]], example: dict[str, Any]) -> bool:
    """Returns whether labels are equal, and other outputs near."""
    wanted = example.get("outputs") or {"label": example["labels"]}
    for name, values in wanted.items():
        flat = [v for row in values for v in (row if isinstance(row, list) else [row])]
        if len(outputs[name]) != len(flat):
            return False
        pairs = zip(outputs[name], flat, strict=True)
        if any(abs(a - b) > NEAR * max(1.0, abs(b)) for a, b in pairs):
            return False
    return True
