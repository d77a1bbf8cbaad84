"""A kubelet without containers: pods of a real API server, run as processes of this machine.

It registers a node, keeps its lease, and takes pods that the scheduler binds to it. The command of
a pod's container is run with the pod's environment; the folder that would be mounted is a folder of
this machine. What the API server is told (phases, container states, exit codes, termination
messages) is what a kubelet tells it. A script may decide an end instead, to play what a real node
rarely does on request.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.model.errors import BerthError, NotFoundError
from executors.kubernetes.api import APPLY, Api, Document
from tests.support.clusters import nodes

ROOT = Path(__file__).resolve().parents[3]
LEASE_SECONDS = 10.0
MESSAGE_BYTES_MAX = 4_096

Script = Callable[[Document], Document | None]
"""From a pod to the status that it gets instead of being run, or None."""


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ProcessKubelet:
    """One node. api: as administrator; folder: where its pods have theirs."""

    def __init__(self, api: Api, name: str, folder: Path, *, gpus: int = 0, pool: str = "") -> None:
        self.api = api
        self.name = name
        self.folder = folder
        self.script: Script = lambda _: None
        self.started_log = folder / "started.log"
        self.pods_seen: list[str] = []
        self._gpus = gpus
        self._labels = {"berth.dev/pool": pool} if pool else {}
        self._processes: dict[str, tuple[Document, subprocess.Popen[bytes], str]] = {}
        self._handled: set[str] = set()
        self._stopped = threading.Event()
        self._leased_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"kubelet {name}", daemon=True)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.api.call(
            "POST",
            "/api/v1/nodes",
            body=nodes.node(
                self.name, cpu="256", memory="512Gi", gpus=self._gpus, labels=self._labels
            ),
        )
        self._lease()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(60.0)
        for _, process, _ in self._processes.values():
            process.kill()
            process.wait()
        with contextlib.suppress(BerthError):
            self.api.call("DELETE", f"/api/v1/nodes/{self.name}")

    def play(self, pod: Document, status: Document) -> None:
        """Give a pod another status, whatever it does."""
        self._status(pod, status)

    def starts(self, attempt: str) -> int:
        """Return how often the command of an attempt was really started."""
        if not self.started_log.exists():
            return 0
        lines = self.started_log.read_text(encoding="utf-8").splitlines()
        return sum(line.split()[0] == attempt for line in lines)

    def _run(self) -> None:
        while not self._stopped.wait(0.05):
            try:
                self._look()
            except BerthError:
                time.sleep(0.5)

    def _look(self) -> None:
        if time.monotonic() - self._leased_at > LEASE_SECONDS:
            self._lease()
        # What has ended is deleted without a kubelet; of it there may be thousands.
        fields = f"spec.nodeName={self.name},status.phase!=Succeeded,status.phase!=Failed"
        query = {"fieldSelector": fields}
        for pod in self.api.call("GET", "/api/v1/pods", query=query)["items"]:
            self._sync(pod)

    def _sync(self, pod: Document) -> None:
        uid = str(pod["metadata"]["uid"])
        deleting = "deletionTimestamp" in pod["metadata"]
        if uid not in self._handled and not deleting:
            self._handled.add(uid)
            self.pods_seen.append(pod["metadata"]["name"])
            played = self.script(pod)
            if played is not None:
                self._status(pod, played)
            else:
                self._begin(pod, uid)
        elif uid in self._processes:
            _, process, started = self._processes[uid]
            if deleting:
                process.terminate()
            code = process.poll()
            if code is not None:
                del self._processes[uid]
                self._status(pod, self._ended(uid, code, started))
        if deleting and uid not in self._processes:
            self._remove(pod)

    def _begin(self, pod: Document, uid: str) -> None:
        container: Document = pod["spec"]["containers"][0]
        folder = self.folder / uid
        folder.mkdir()
        told = {each["name"]: variable(each, pod) for each in container["env"]}
        here = {
            "BERTH_ROOT": str(folder),
            "BERTH_TERMINATION": str(folder / "termination"),
            "BERTH_STARTED_LOG": str(self.started_log),
            "PYTHONPATH": str(ROOT),
        }
        started = now()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *container["command"][1:]],
                env={**os.environ, **told, **here},
                cwd=folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self._processes[uid] = (pod, process, started)
        state = {"running": {"startedAt": started}}
        self._status(pod, {"phase": "Running", "containerStatuses": [container_status(state)]})

    def _ended(self, uid: str, code: int, started: str) -> Document:
        path = self.folder / uid / "termination"
        message = path.read_bytes()[:MESSAGE_BYTES_MAX].decode() if path.exists() else ""
        return ended(code if code >= 0 else 128 - code, message=message, started=started)

    def _status(self, pod: Document, status: Document) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
        body = {"status": {"startTime": now(), **status}}
        kind = "application/strategic-merge-patch+json"
        try:
            self.api.call("PATCH", path, body=body, content_type=kind)
        except NotFoundError:
            return

    def _remove(self, pod: Document) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        try:
            self.api.call("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", body=body)
        except NotFoundError:
            return

    def _lease(self) -> None:
        """Say that the node lives, as a kubelet does every ten seconds."""
        self._leased_at = time.monotonic()
        at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body: dict[str, Any] = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": at},
        }
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self.name}"
        query = {"fieldManager": "process-kubelet", "force": "true"}
        try:
            self.api.call("PATCH", path, query=query, body=body, content_type=APPLY)
            # A node that was silent for too long was said to be so, until it says otherwise.
            self.api.call(
                "PATCH",
                f"/api/v1/nodes/{self.name}/status",
                body={"status": {"conditions": [{**nodes.READY, "lastHeartbeatTime": now()}]}},
                content_type="application/strategic-merge-patch+json",
            )
        except NotFoundError:
            self._leased_at = 0.0  # the namespace is made a moment after the start


def variable(given: Document, pod: Document) -> str:
    """Return the value of a variable: as it stands, a limit, an annotation or label of the pod."""
    if "value" in given:
        return str(given["value"]).replace("$$", "$")
    source = given["valueFrom"]
    if "resourceFieldRef" in source:
        kind, resource = source["resourceFieldRef"]["resource"].split(".")
        mebibytes = str(pod["spec"]["containers"][0]["resources"][kind][resource])
        return str(int(mebibytes.removesuffix("Mi")) << 20)
    kind, _, key = source["fieldRef"]["fieldPath"].removeprefix("metadata.").partition("['")
    return str(pod["metadata"][kind][key.removesuffix("']")])


def container_status(state: Document, *, ready: bool = True) -> Document:
    return {
        "name": "task",
        "image": "berth",
        "imageID": "",
        "ready": ready,
        "restartCount": 0,
        "state": state,
    }


def ended(
    code: int,
    *,
    reason: str = "",
    message: str = "",
    started: str = "",
    pod_reason: str = "",
    disruption: str = "",
) -> Document:
    """Return the status of a pod whose container ended."""
    at = now()
    terminated = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "message": message,
        "startedAt": started or at,
        "finishedAt": at,
    }
    status: Document = {
        "phase": "Succeeded" if code == 0 else "Failed",
        "containerStatuses": [container_status({"terminated": terminated}, ready=False)],
    }
    if pod_reason:
        status |= {"reason": pod_reason, "message": f"the node said {pod_reason}"}
    if disruption:
        status["conditions"] = [
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": disruption,
                "message": disruption,
                "lastTransitionTime": at,
            }
        ]
    return status
