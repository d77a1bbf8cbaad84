"""Kinds that a cluster may have: a real API server, its definitions, and the rights for just them.

JobSet's and Trainer's controllers are real. Of KServe and of the drivers of devices only what they
would write is played.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.model.errors import NotFoundError
from engine.model.identifiers import AttemptId, Digest
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from engine.testing.executor_suite import Behaviour, eventually
from executors.kubernetes import rights
from executors.kubernetes.api import Api, BusyError, Document
from executors.kubernetes.diagnosis import diagnose
from executors.kubernetes.kinds import addresses
from executors.kubernetes.kinds.addresses import (
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    JOB_SET,
    KINDS,
    TRAIN_JOB,
)
from executors.kubernetes.serving import objects, routing
from executors.kubernetes.serving.rollout import Phase, Rules, State, Strategy
from tests.support.clusters import building, kserve, operators, plane, process_kubelet, programs
from tests.support.clusters.fixtures import Place, new_place
from tests.support.clusters.process_kubelet import ProcessKubelet
from tests.support.clusters.workplace import PROGRAMS, Workplace

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]
ATTEMPT = AttemptId("r-1.task.1")
CLASS = "gpu.example.com"
MORE = rights.JOB_SETS | rights.TRAIN_JOBS | rights.ROUTES | rights.INFERENCE
MORE |= rights.CLAIMS | rights.DEVICES | rights.QUOTAS


@pytest.fixture(scope="module")
def kinds(control_plane: plane.ControlPlane, admin: Api) -> Iterator[None]:
    """A control plane that knows every optional kind, and runs the controllers of gangs."""
    if building.missing(building.GANGS) and not os.environ.get("CI"):
        pytest.skip("not run: JobSet and Trainer not built (scripts/cluster build --gangs)")
    operators.define(admin, HTTP_ROUTE, INFERENCE_SERVICE)
    operators.start_gangs(control_plane, admin)
    yield
    operators.stop_gangs(control_plane, admin)


@pytest.fixture
def place(control_plane: plane.ControlPlane, admin: Api, kinds: None) -> Place:
    """A namespace, and a user with the rights for every optional kind."""
    return new_place(control_plane, admin, more=MORE)


@pytest.fixture
def workplace(
    place: Place, node: ProcessKubelet, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Workplace]:
    """An executor whose cluster is asked for the kinds of the parameter."""
    made = Workplace(place, tmp_path, asks_for=request.param)
    yield made
    made.close()


def every(place: Place, kind: str) -> list[Document]:
    """Return all objects of a kind in the namespace of a test."""
    found = place.admin.call("GET", KINDS[kind].path(place.namespace))["items"]
    return [dict(each) for each in found]


def is_told(workplace: Workplace, holds: AttemptState) -> Observation:
    """Wait until the attempt is in a state."""
    return eventually(workplace.executor, ATTEMPT, lambda each: each.state is holds)


def start(workplace: Workplace, order: AttemptOrder) -> None:
    """Start an attempt as the engine does: again while its cluster asks for patience."""

    def started() -> bool:
        try:
            workplace.executor.start(order)
        except BusyError:
            return False
        return True

    programs.wait_until(started, f"the start of {order.attempt_id}")


def gang(workplace: Workplace, behaviour: Behaviour) -> AttemptOrder:
    return replace(workplace.order(PROGRAMS[behaviour], ATTEMPT), nodes=2)


GANGS = pytest.mark.parametrize(
    ("workplace", "kind"),
    [({"gangs_as": "jobset"}, JOB_SET), ({"gangs_as": "trainjob"}, TRAIN_JOB)],
    indirect=["workplace"],
    ids=["JobSet", "TrainJob"],
)


@GANGS
def test_a_gang_runs_once_and_its_end_is_told_as_that_of_a_job(
    workplace: Workplace, kind: str
) -> None:
    order = gang(workplace, Behaviour.SUCCEEDS)
    start(workplace, order)
    start(workplace, order)
    seen = is_told(workplace, AttemptState.SUCCEEDED)
    assert seen.outputs
    assert seen.artifact
    (made,) = every(workplace.place, kind)
    (job,) = every(workplace.place, addresses.JOB)
    assert job["spec"]["completions"] == 2
    assert job["status"]["succeeded"] == 2
    assert seen.handle.endswith(made["metadata"]["name"])
    workplace.executor.forget(ATTEMPT)
    programs.wait_until(lambda: not every(workplace.place, addresses.JOB), "the end of the gang")


@GANGS
def test_a_node_that_fails_fails_the_gang_with_its_reason(workplace: Workplace, kind: str) -> None:
    start(workplace, gang(workplace, Behaviour.FAILS))
    seen = is_told(workplace, AttemptState.FAILED)
    assert (seen.reason, seen.exit_code) == (Reason.EXIT_CODE, 3)
    assert len(every(workplace.place, kind)) == 1


@GANGS
def test_a_gang_gives_way_goes_on_and_is_stopped_for_good(workplace: Workplace, kind: str) -> None:
    executor, order = workplace.executor, gang(workplace, Behaviour.LASTS)
    start(workplace, order)
    eventually(executor, ATTEMPT, lambda each: each.started_at is not None)
    executor.suspend(ATTEMPT)
    is_told(workplace, AttemptState.SUSPENDED)
    start(workplace, order)
    eventually(executor, ATTEMPT, lambda each: each.started_at is not None)
    executor.stop(ATTEMPT)
    is_told(workplace, AttemptState.STOPPED)
    start(workplace, order)
    (made,) = every(workplace.place, kind)
    assert made["spec"]["suspend"] is True


@pytest.fixture
def driver(admin: Api, node: ProcessKubelet) -> Iterator[None]:
    """What a driver of two devices writes."""
    base = "/apis/resource.k8s.io/v1"
    expression = {"cel": {"expression": f"device.driver == '{CLASS}'"}}
    body: Document = {"metadata": {"name": CLASS}, "spec": {"selectors": [expression]}}
    admin.call("POST", f"{base}/deviceclasses", body=body)
    devices = [
        {
            "name": f"gpu-{number}",
            "attributes": {"productName": {"string": "LATEST-GPU"}},
            "capacity": {"memory": {"value": "80Gi"}},
        }
        for number in range(2)
    ]
    pool = {"name": node.name, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": CLASS, "nodeName": node.name, "pool": pool, "devices": devices}
    body = {"metadata": {"name": "devices"}, "spec": spec}
    admin.call("POST", f"{base}/resourceslices", body=body)
    yield
    admin.call("DELETE", f"{base}/resourceslices/devices")
    admin.call("DELETE", f"{base}/deviceclasses/{CLASS}")


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("workplace", [{"device_class": CLASS}], indirect=True)
def test_gpus_are_found_in_slices_and_claimed(workplace: Workplace) -> None:
    def gpus() -> list[int]:
        (cluster,) = workplace.source.fleet().clusters
        return [each.shape.gpu_count for each in cluster.pools if each.shape.gpu_count]

    programs.wait_until(lambda: gpus() == [2], "the devices in the fleet")
    limits = Resources(cpu_cores=0.1, memory_gib=0.25, gpu_count=2)
    order = replace(workplace.order(PROGRAMS[Behaviour.LASTS], ATTEMPT), limits=limits)
    workplace.executor.start(order)
    eventually(workplace.executor, ATTEMPT, lambda each: each.started_at is not None)
    place = workplace.place
    path = f"/apis/resource.k8s.io/v1/namespaces/{place.namespace}/resourceclaims"
    (claim,) = place.admin.call("GET", path)["items"]
    held = claim["status"]["allocation"]["devices"]["results"]
    assert sorted(each["device"] for each in held) == ["gpu-0", "gpu-1"]
    workplace.executor.stop(ATTEMPT)
    is_told(workplace, AttemptState.STOPPED)


def server(**state: object) -> objects.Server:
    rules = Rules(strategy=Strategy.CANARY, canary_share=0.2)
    given = State(package="a", rules=rules, **state)
    labels = {"app.kubernetes.io/managed-by": "berth", "berth.dev/installation": "abc"}
    return objects.Server(
        name="heart-1", attempt=ATTEMPT, pipeline="heart", labels=labels, resources={}, state=given
    )


@pytest.mark.parametrize("workplace", [{"gateway": "net/edge"}], indirect=True)
def test_a_route_follows_the_rollout_and_is_put_back_when_others_change_it(
    workplace: Workplace,
) -> None:
    link = workplace.clusters.links()["east"]
    labels = {"berth.dev/installation": workplace.place.namespace}
    steady = replace(server(), labels={**server().labels, **labels})
    programs.wait_until(lambda: link.serves, "the rights to serve")
    link.watch_work()
    assert link.more is not None
    assert link.more.routes is not None

    def shared() -> dict[str, int]:
        (found,) = every(workplace.place, HTTP_ROUTE)
        (rule,) = found["spec"]["rules"]
        return {each["name"]: each["weight"] for each in rule["backendRefs"]}

    routing.bring(link, steady)
    assert shared() == {"heart-1-blue": 100}
    canary = replace(steady, state=replace(server(target="b", phase=Phase.CANARY, since=1.0).state))
    routing.bring(link, canary)
    assert shared() == {"heart-1-blue": 80, "heart-1-green": 20}
    path = f"{KINDS[HTTP_ROUTE].path(workplace.place.namespace)}/heart-1"
    gone = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 0}]
    kind = "application/json-patch+json"
    workplace.place.admin.call("PATCH", path, body=gone, content_type=kind)
    refused = {"type": "Accepted", "status": "False", "reason": "NotAllowed", "message": "not here"}
    parent = {
        "parentRef": {"name": "edge"},
        "controllerName": "example.com/gateway",
        "conditions": [{**refused, "lastTransitionTime": process_kubelet.now()}],
    }
    status = {"status": {"parents": [parent]}}
    merge = "application/merge-patch+json"
    workplace.place.admin.call("PATCH", f"{path}/status", body=status, content_type=merge)
    programs.wait_until(lambda: "not here" in routing.refusal(link, canary), "the refusal")
    routing.bring(link, canary)
    assert shared() == {"heart-1-blue": 80, "heart-1-green": 20}
    programs.wait_until(lambda: _has_all(workplace), "the Services behind the route")
    routing.take_away(link, canary)
    assert every(workplace.place, HTTP_ROUTE) == []


def _has_all(workplace: Workplace) -> bool:
    link = workplace.clusters.links()["east"]
    assert link.services is not None
    return {each["name"] for each in link.services.objects()} == {"heart-1-blue", "heart-1-green"}


def is_ready(_pod: Document) -> Document:
    """Say that a pod runs and is ready, without running it."""
    state = {"running": {"startedAt": process_kubelet.now()}}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": process_kubelet.now()}
    return {
        "phase": "Running",
        "conditions": [ready],
        "containerStatuses": [process_kubelet.container_status(state)],
    }


@pytest.mark.parametrize("workplace", [{"serves_as": "inferenceservice"}], indirect=True)
def test_a_model_is_served_by_an_inference_service(
    workplace: Workplace, node: ProcessKubelet
) -> None:
    executor, place = workplace.executor, workplace.place
    link = workplace.clusters.links()["east"]
    programs.wait_until(lambda: link.serves, "the rights to serve")
    first, second = (Digest(f"sha256:{letter * 64}") for letter in "ab")
    order = replace(
        workplace.order("", ATTEMPT),
        kind=TaskKind.SERVE,
        inputs={"package": first},
        parameters={"replicas": [1, 3], "task": {"parameters": {"rollout": "canary"}}},
    )
    node.script = is_ready
    try:
        executor.start(order)
        kserve.play(place)
        seen = eventually(executor, ATTEMPT, lambda each: bool(each.endpoint))
        assert seen.state is AttemptState.RUNNING
        (found,) = every(place, INFERENCE_SERVICE)
        assert found["spec"]["predictor"]["maxReplicas"] == 3
        programs.wait_until(lambda: _asked(workplace, second), "the next package")
        kserve.play(place)
        programs.wait_until(lambda: _swapped(workplace, second), "its pods")
        executor.stop(ATTEMPT)
        is_told(workplace, AttemptState.STOPPED)
        programs.wait_until(lambda: _stepped(workplace), "the end of the InferenceService")
    finally:
        node.script = lambda _: None


def _asked(workplace: Workplace, package: str) -> bool:
    """Ask for a package, as an engine does at each step, and return whether the cluster has it."""
    workplace.executor.servers.swap(ATTEMPT, package)
    workplace.executor.observe()
    (found,) = every(workplace.place, INFERENCE_SERVICE)
    return bool(found["metadata"]["annotations"]["berth.dev/package"] == package)


def _swapped(workplace: Workplace, package: str) -> bool:
    workplace.executor.observe()
    return workplace.executor.servers.swap(ATTEMPT, package) == package


def _stepped(workplace: Workplace) -> bool:
    workplace.executor.observe()
    return every(workplace.place, INFERENCE_SERVICE) == []


ALL = {
    "gangs_as": "jobset",
    "gateway": "edge",
    "serves_as": "inferenceservice",
    "device_class": "nobody.example.com",
}


@pytest.mark.parametrize("workplace", [ALL], indirect=True)
def test_doctor_names_what_is_asked_for_and_not_there_and_quotas_that_are_used_up(
    workplace: Workplace,
) -> None:
    place = workplace.place
    body = {"metadata": {"name": "small"}, "spec": {"hard": {"services": "1"}}}
    path = f"/api/v1/namespaces/{place.namespace}"
    place.admin.call("POST", f"{path}/resourcequotas", body=body)

    def is_counted() -> bool:
        quota = place.admin.call("GET", f"{path}/resourcequotas/small")
        return "hard" in quota.get("status", {})

    # What is made before that is counted minutes later.
    programs.wait_until(is_counted, "the first count")
    service = {"metadata": {"name": "one"}, "spec": {"ports": [{"port": 1}]}}
    place.admin.call("POST", f"{path}/services", body=service)

    def told() -> dict[str, bool]:
        return {each.message: each.fine for each in diagnose(workplace.clusters)}

    programs.wait_until(lambda: any("services 1 of 1 (small)" in each for each in told()), "usage")
    wrong = [message for message, fine in told().items() if not fine]
    assert len(wrong) == 2
    assert any("device_class = 'nobody.example.com'" in each for each in wrong)
    assert any("has the rights it needs" in each for each in told())


def test_a_cluster_without_the_kinds_is_served_as_any_other(
    control_plane: plane.ControlPlane, admin: Api, node: ProcessKubelet, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError):
        admin.call("GET", "/apis/nobody.example.com/v1")
    place = new_place(control_plane, admin)
    workplace = Workplace(place, tmp_path, asks_for={"device_class": "nobody.example.com"})
    limits = Resources(cpu_cores=0.1, memory_gib=0.25, gpu_count=1)
    *before, job = workplace.executor.manifests.of(
        replace(workplace.order("", ATTEMPT), limits=limits)
    )
    workplace.close()
    assert before == []
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
