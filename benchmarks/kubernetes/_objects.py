"""The faults of our objects on the cluster: nodes that are lost, Jobs that others change or refuse.

One function each; see `faults.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from benchmarks import frame
from benchmarks.kubernetes import _world
from benchmarks.kubernetes._faults import (
    TASKS,
    WORD,
    Stage,
    done,
    ends_well,
    firsts,
    on_server,
    runs_on,
    step_until,
    successes,
)
from engine.model.dispatches import INFRASTRUCTURE_REASONS, AttemptState, Reason
from executors.kubernetes import jobs
from executors.kubernetes.api import Document
from tests.support.clusters import nodes, process_kubelet


def node_lost(stage: Stage) -> Iterator[frame.Figure]:
    """F17: the node of a running task is gone, and comes back."""
    stage.node.script = runs_on
    with stage.engine() as engine:
        stage.submit(engine, 1)
        step_until(engine, lambda: engine.count(AttemptState.RUNNING) == 1 and bool(pods(stage)))
        labels = {"berth.dev/pool": "nodes"}
        stage.place.admin.call("DELETE", f"/api/v1/nodes/{stage.node.name}")
        took = step_until(engine, lambda: len(firsts(engine)) == 1, 180.0)
        yield frame.informs("F17 node lost: time until it is told", took, unit="s")
        reason = firsts(engine).get("task-0")
        known = float(reason in INFRASTRUCTURE_REASONS)
        yield frame.at_least("F17 node lost: told as a fault of the cluster", known, 1)
        again = nodes.node(stage.node.name, cpu="256", memory="512Gi", labels=labels)
        stage.place.admin.call("POST", "/api/v1/nodes", body=again)
        stage.node.script = ends_well
        step_until(engine, lambda: done(engine, 1))
        _, found = on_server(stage.place, engine)
        twice = sum(count > 1 for count in Counter(found).values())
        yield frame.at_least("F17 node lost: tasks that succeeded", successes(engine.attempts()), 1)
        yield frame.at_most("F17 node lost: attempts", len(engine.attempts()), 2)
        yield frame.at_most("F17 node lost: attempts with two pods", twice, 0)


def pods(stage: Stage) -> list[Document]:
    """Return the pods of the namespace that run."""
    path = f"/api/v1/namespaces/{stage.place.namespace}/pods"
    items: list[Document] = stage.place.admin.call("GET", path)["items"]
    return [each for each in items if each["status"].get("phase") == "Running"]


def job_path(stage: Stage, engine: _world.Engine) -> str:
    """Return where the Job of the one attempt is; its handle may not be stored yet."""
    (attempt,) = engine.attempts()
    name = jobs.name_of(engine.clusters.installation, attempt.attempt_id)
    return f"/apis/batch/v1/namespaces/{stage.place.namespace}/jobs/{name}"


def edited(stage: Stage) -> Iterator[frame.Figure]:
    """F18: somebody takes our labels off a Job of ours while it runs."""
    stage.node.script = runs_on
    with stage.engine() as engine:
        stage.submit(engine, 1)
        step_until(engine, lambda: engine.count(AttemptState.RUNNING) == 1 and bool(pods(stage)))
        path = job_path(stage, engine)
        gone = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
        kind = "application/merge-patch+json"
        stage.place.admin.call("PATCH", path, body=gone, content_type=kind)

        def restored() -> bool:
            found = stage.place.admin.call("GET", path)["metadata"]["labels"]
            return bool(found.get("app.kubernetes.io/managed-by") == "berth")

        took = step_until(engine, restored, 60.0)
        yield frame.at_most("F18 edited: time until our labels are back", took, 30, unit="s")
        for pod in pods(stage):
            stage.node.play(pod, process_kubelet.ended(0, message=WORD))
        step_until(engine, lambda: done(engine, 1))
        yield frame.at_least("F18 edited: tasks that succeeded", successes(engine.attempts()), 1)
        yield frame.at_most("F18 edited: attempts", len(engine.attempts()), 1)
    stage.node.script = ends_well


def deleted(stage: Stage) -> Iterator[frame.Figure]:
    """F18: somebody deletes a Job of ours while it runs."""
    stage.node.script = runs_on
    with stage.engine() as engine:
        stage.submit(engine, 1)
        step_until(engine, lambda: engine.count(AttemptState.RUNNING) == 1)
        link = engine.clusters.links()[_world.CLUSTER]
        step_until(engine, lambda: bool(link.pods and link.pods.objects()), 30.0)
        path = job_path(stage, engine)
        stage.place.admin.call("DELETE", path, body={"propagationPolicy": "Background"})
        took = step_until(engine, lambda: firsts(engine).get("task-0") is Reason.KILLED, 60.0)
        yield frame.at_most("F18 deleted: time until it is told", took, 30, unit="s")
    stage.node.script = ends_well


def changed(stage: Stage) -> Iterator[frame.Figure]:
    """F18: others delete Jobs of ours, or change them."""
    yield from deleted(stage)
    yield from edited(stage)


def refused(stage: Stage) -> Iterator[frame.Figure]:
    """F20: an admission policy refuses one task of ten."""
    for path, body in policy(stage.place.namespace):
        stage.place.admin.call("POST", path, body=body)
    time.sleep(5.0)  # the policy takes effect a moment after it is made
    with stage.engine() as engine:
        stage.submit(engine)
        began = time.monotonic()
        step_until(engine, lambda: firsts(engine).get("task-0") is not None, 30.0)
        took = time.monotonic() - began
        step_until(engine, lambda: done(engine, TASKS - 1))
        first = next(each for each in engine.attempts() if each.task == "task-0")
        told = first.reason is Reason.ADMISSION and "no poison here" in first.message
        yield frame.at_most("F20 refused: time until it is told", took, 1, unit="s")
        yield frame.at_least("F20 refused: told with the cluster's words", float(told), 1)
        yield frame.at_least("F20 refused: others that succeeded", successes(engine.attempts()), 9)


def policy(namespace: str) -> Iterator[tuple[str, Document]]:
    """Yield a policy that refuses Jobs of the task `task-0` in a namespace."""
    base = "/apis/admissionregistration.k8s.io/v1"
    expression = "object.metadata.labels['berth.dev/task'] != 'task-0'"
    rule = {
        "apiGroups": ["batch"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["jobs"],
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    yield (
        f"{base}/validatingadmissionpolicies",
        {
            "metadata": {"name": namespace},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": expression, "message": "no poison here"}],
            },
        },
    )
    yield (
        f"{base}/validatingadmissionpolicybindings",
        {
            "metadata": {"name": namespace},
            "spec": {
                "policyName": namespace,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": here},
            },
        },
    )
