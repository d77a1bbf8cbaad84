"""`KubernetesExecutor` against the suite of its port, on a real API server with few rights.

Pods are run as processes of this machine; all else (API, controllers, scheduler) is real.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.model.dispatches import AttemptOrder, AttemptState
from engine.model.fleet import NodeShape, Pool
from engine.model.identifiers import FREE, AttemptId, PoolName
from engine.model.resources import Resources
from engine.ports import Executor
from engine.testing.executor_suite import (
    LIMIT_SECONDS,
    Behaviour,
    ClearingExecutorSuite,
    SuspendingExecutorSuite,
    ended,
    eventually,
)
from executors.kubernetes import starts
from executors.kubernetes.api import Api, Document
from executors.kubernetes.rights import optional_manifests
from tests.support.clusters import nodes, programs
from tests.support.clusters.fixtures import Place
from tests.support.clusters.process_kubelet import ProcessKubelet
from tests.support.clusters.workplace import PROGRAMS, Workplace

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have many starts wait for the answers of a server that shares a busy machine."""
    monkeypatch.setattr(starts, "WAIT_SECONDS", 120.0)


class TestKubernetesExecutor(SuspendingExecutorSuite, ClearingExecutorSuite):
    @pytest.fixture(autouse=True)
    def _workplace(self, place: Place, node: ProcessKubelet, tmp_path: Path) -> Iterator[None]:
        self.node = node
        self.workplace = Workplace(place, tmp_path)
        yield
        self.workplace.close()

    @pytest.fixture
    def executor(self) -> Executor:
        return self.workplace.executor

    def order(self, attempt: AttemptId, behaviour: Behaviour) -> AttemptOrder:
        return self.workplace.order(PROGRAMS[behaviour], attempt)

    def reopened(self, executor: Executor) -> Executor:
        return self.workplace.reopened()

    def start_count(self, executor: Executor, attempt: AttemptId) -> int:
        # Every test has a namespace and an installation of its own, but the node is shared.
        return self.workplace.starts(self.node, attempt)

    def cut_off(self, executor: Executor, order: AttemptOrder) -> None:
        self.workplace.cut_off()

    def memory_of_newest(self) -> int:
        """Return what the runner of the newest pod holds its task to, once it says so."""
        path = f"/api/v1/namespaces/{self.workplace.place.namespace}/pods"
        (pod,) = self.workplace.place.admin.call("GET", path)["items"]
        launch = self.node.folder / pod["metadata"]["uid"] / "attempt" / "launch.json"
        end = time.monotonic() + LIMIT_SECONDS
        while not launch.exists() or not launch.read_text().endswith("}"):
            assert time.monotonic() < end, "the runner does not begin"
            time.sleep(0.05)
        return int(json.loads(launch.read_text())["memory_bytes"])

    def test_what_goes_on_has_the_size_of_the_new_order(self, executor: Executor) -> None:
        attempt = self.suspended(executor)
        larger = Resources(cpu_cores=0.2, memory_gib=0.5)
        executor.start(replace(self.order(attempt, Behaviour.LASTS), limits=larger))
        eventually(executor, attempt, lambda each: each.started_at is not None)
        place = self.workplace.place
        path = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
        (job,) = place.admin.call("GET", path)["items"]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"] == {"cpu": "200m", "memory": "608Mi"}
        assert job["status"].get("failed", 0) == 0
        assert self.memory_of_newest() == 512 << 20
        executor.stop(attempt)

    def test_workers_are_spread_over_nodes_and_adopted_by_the_next_engine(
        self, executor: Executor
    ) -> None:
        attempt = AttemptId("r-1.train.1")
        program = (
            "import json, os, pathlib; told = {name: os.environ['BERTH_' + name] for name in "
            "('NODES', 'NODE', 'WORKERS')}; "
            "pathlib.Path(os.environ['BERTH_OUTPUTS'], 'outputs.json').write_text(json.dumps(told))"
        )
        executor.start(replace(self.workplace.order(program, attempt), nodes=2, workers=3))
        last = ended(self.reopened(executor), attempt)
        assert last.outputs == {"NODES": "2", "NODE": "0", "WORKERS": "2"}
        path = f"/apis/batch/v1/namespaces/{self.workplace.place.namespace}/jobs"
        (job,) = self.workplace.place.admin.call("GET", path)["items"]
        assert (job["spec"]["completionMode"], job["status"]["succeeded"]) == ("Indexed", 2)


def test_a_whole_path_into_the_folder_is_found_in_the_pod(
    place: Place, node: ProcessKubelet, tmp_path: Path
) -> None:
    folder = tmp_path / "pipeline"
    folder.mkdir()
    (folder / "rows.csv").write_text("3")
    program = (
        "import json, os; from pathlib import Path; "
        "reads = json.loads(Path(os.environ['BERTH_PARAMETERS']).read_text())['task']['reads']; "
        "rows = int(Path(os.environ['BERTH_FOLDER'], reads).read_text()); "
        "out = Path(os.environ['BERTH_OUTPUTS'], 'outputs.json'); "
        "out.write_text(json.dumps({'reads': reads, 'rows': rows}))"
    )
    workplace = Workplace(place, tmp_path)
    attempt = AttemptId("r-1.etl.1")
    parameters = {"task": {"reads": str(folder / "rows.csv")}}
    order = workplace.order(program, attempt)
    workplace.executor.start(replace(order, folder=str(folder), parameters=parameters))
    last = ended(workplace.executor, attempt)
    workplace.close()
    assert last.outputs == {"reads": "rows.csv", "rows": 3}


def test_labels_that_go_before_anybody_looked_are_set_again(
    place: Place, node: ProcessKubelet, tmp_path: Path
) -> None:
    workplace = Workplace(place, tmp_path)
    attempt = AttemptId("r-1.task.1")
    link = workplace.clusters.links()["east"]
    workplace.executor.start(workplace.order(PROGRAMS[Behaviour.LASTS], attempt))
    path = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    (job,) = place.admin.call("GET", path)["items"]
    name, kind = job["metadata"]["name"], "application/merge-patch+json"
    gone = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
    place.admin.call("PATCH", f"{path}/{name}", body=gone, content_type=kind)
    programs.wait_until(lambda: link.find(name) is None, "the watch")
    seen = [each.state for each in workplace.executor.observe()]
    (job,) = place.admin.call("GET", path)["items"]
    workplace.executor.stop(attempt)
    workplace.close()
    assert seen == [AttemptState.RUNNING]
    assert job["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "berth"


def test_the_order_of_a_pool_that_is_not_there_is_put_off(
    place: Place, node: ProcessKubelet, tmp_path: Path
) -> None:
    workplace = Workplace(place, tmp_path)
    order = replace(workplace.order("", AttemptId("r-1.task.1")), pool="elsewhere")
    told = workplace.executor.start_all([order])
    workplace.close()
    assert "no pool" in str(told[order.attempt_id])


def test_the_fleet_follows_nodes_and_what_others_run_on_them(
    place: Place, admin: Api, tmp_path: Path
) -> None:
    for path, body in optional_manifests(user=place.namespace):
        admin.call("POST", path, body=body)
    name = f"side-{place.namespace}"
    made = nodes.node(name, labels={"berth.dev/pool": name})
    admin.call("POST", "/api/v1/nodes", body=made)
    workplace = Workplace(place, tmp_path)

    def side() -> Pool | None:
        (cluster,) = workplace.source.fleet().clusters
        return next((pool for pool in cluster.pools if pool.name == name), None)

    try:
        programs.wait_until(lambda: side() == pool_of(name, Resources()), "the pool")
        admin.call("POST", f"/api/v1/namespaces/{place.namespace}/pods", body=others_pod(name))
        taken = Resources(cpu_cores=2.0, memory_gib=1.0)
        programs.wait_until(lambda: side() == pool_of(name, taken), "what the pod holds")
        cordoned = {"spec": {"unschedulable": True}}
        kind = "application/merge-patch+json"
        admin.call("PATCH", f"/api/v1/nodes/{name}", body=cordoned, content_type=kind)
        programs.wait_until(lambda: side() is None, "the end of the pool")
    finally:
        workplace.close()
        admin.call("DELETE", f"/api/v1/nodes/{name}")


def pool_of(name: str, taken: Resources) -> Pool:
    """Return the pool that such a node makes."""
    shape = NodeShape(machine="m5.2xlarge", cpu_cores=8.0, memory_gib=32.0, disk_gib=100.0)
    return Pool(
        name=PoolName(name),
        shape=shape,
        node_count=1,
        price_micro_dollars_per_hour=FREE,
        zones=("eu-west-1a",),
        taken=taken,
    )


def others_pod(node_name: str) -> Document:
    """Return a pod of somebody else that holds something of a node."""
    requests = {"cpu": "2", "memory": "1Gi"}
    container = {"name": "a", "image": "a", "resources": {"requests": requests}}
    return {
        "metadata": {"name": "others"},
        "spec": {"nodeName": node_name, "containers": [container]},
    }
