"""Manifests of a server, and what is read of them. Pure.

The Service carries all that is known of the server in an annotation, so that an engine that comes
later goes on where the last one was. `spec.replicas` is never ours: the autoscaler's, or set once
through the scale.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from engine.model.dispatches import AttemptOrder
from executors.kubernetes import jobs
from executors.kubernetes.api import Document
from executors.kubernetes.journal import Sender
from executors.kubernetes.kept import COLOUR, PACKAGE, SERVER, SERVING
from executors.kubernetes.serving import DRAIN_SECONDS, PORT
from executors.kubernetes.serving.rollout import Desired, Phase, Rules, Seen, State, Strategy

PROGRESS_SECONDS = 180
_READY = "/v2/health/ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server of a pipeline: what its pods are made of, and where its rollout stands.

    window_seconds: how often its pods say what they measured.
    """

    name: str
    attempt: str
    pipeline: str
    labels: Mapping[str, str]
    resources: Mapping[str, str]
    selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, str], ...] = ()
    began_at: float = 0.0
    task: str = ""
    cluster: str = ""
    pool: str = ""
    window_seconds: float = 1.0
    state: State = field(default_factory=State)

    @property
    def sender(self) -> Sender:
        """Whose signals those of its pods are."""
        return Sender(pipeline=self.pipeline, task=self.task, cluster=self.cluster, pool=self.pool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where pods find their package, and where they leave what they measure.

    package: variables that say it.
    """

    package: Mapping[str, str]
    signals: str


def server_of(
    order: AttemptOrder,
    installation: str,
    place: jobs.Place,
    now: float,
    parameters: Mapping[str, object],
) -> Server:
    """Return the server of an order, before it has any package.

    parameters: of the task, with those of its run.

    Raises:
        ValueError: when `window_seconds` is no number.
    """
    return Server(
        name=jobs.name_of(installation, order.attempt_id),
        attempt=order.attempt_id,
        pipeline=order.pipeline,
        labels=jobs.labels(order, installation),
        resources=jobs.resources(order),
        selector=dict(place.selector),
        tolerations=tuple(dict(each) for each in place.tolerations),
        began_at=now,
        task=order.task,
        cluster=order.cluster,
        pool=order.pool,
        window_seconds=max(0.05, float(cast("float", parameters.get("window_seconds", 1.0)))),
    )


def rules_of(parameters: Mapping[str, object], bounds: tuple[int, int]) -> Rules:
    """Return how a task wants to be rolled out; `rollout`, `canary_share` and the like.

    Raises:
        ValueError: when one of them is not what it should be.
    """
    plain = Rules()
    share = float(cast("float", parameters.get("canary_share", plain.canary_share)))
    if not 0.0 < share < 1.0:
        raise ValueError(f"`canary_share` is {share:g}, not between 0 and 1")
    return Rules(
        strategy=Strategy(str(parameters.get("rollout", plain.strategy))),
        canary_share=share,
        canary_seconds=float(cast("float", parameters.get("canary_seconds", 30.0))),
        keep_seconds=float(cast("float", parameters.get("keep_seconds", 60.0))),
        replicas_least=bounds[0],
        replicas_most=bounds[1],
    )


# ---------------------------------------------------------------------- writing


def service(server: Server, desired: Desired, version: str = "") -> Document:
    """Return the Service; version: refuses the write when somebody else wrote meanwhile."""
    chosen = {SERVER: server.name}
    if desired.selected:
        chosen[COLOUR] = desired.selected
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": server.name,
            "labels": dict(server.labels),
            "annotations": {jobs.ATTEMPT: server.attempt, SERVING: dump(server)},
            **({"resourceVersion": version} if version else {}),
        },
        "spec": {
            "selector": chosen,
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    }


def deployment(
    server: Server, colour: str, package: str, addresses: Addresses, *, image: str, python: str
) -> Document:
    """Return the Deployment of a colour."""
    chosen = {SERVER: server.name, COLOUR: colour}
    told = {
        "BERTH_PACKAGE": package,
        **addresses.package,
        "BERTH_MODEL": server.pipeline,
        "BERTH_SIGNALS": addresses.signals,
        "BERTH_WINDOW_SECONDS": f"{server.window_seconds:g}",
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{server.name}-{colour}",
            "labels": {**server.labels, **chosen},
            "annotations": {jobs.ATTEMPT: server.attempt, PACKAGE: package},
        },
        "spec": {
            "selector": {"matchLabels": chosen},
            "minReadySeconds": 1,
            "progressDeadlineSeconds": PROGRESS_SECONDS,
            "revisionHistoryLimit": 2,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": {
                    "labels": {**server.labels, **chosen},
                    "annotations": {PACKAGE: package},
                },
                "spec": _pod(server, told, image=image, python=python),
            },
        },
    }


def _pod(server: Server, told: Mapping[str, str], *, image: str, python: str) -> Document:
    """Return the pod of a server; it is ready when its own health route says so."""
    probe = {"httpGet": {"path": _READY, "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 2}
    container = {
        "name": jobs.CONTAINER,
        "image": image,
        "command": [python, "-m", "executors.kubernetes.serving.pod"],
        "env": [{"name": name, "value": value.replace("$", "$$")} for name, value in told.items()],
        "ports": [{"name": "http", "containerPort": PORT}],
        # A share of the processor is asked for, but what others leave may be used to start with.
        "resources": {
            "requests": dict(server.resources),
            "limits": {name: value for name, value in server.resources.items() if name != "cpu"},
        },
        "startupProbe": {**probe, "failureThreshold": PROGRESS_SECONDS},
        "readinessProbe": {**probe, "failureThreshold": 2},
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": jobs.CONTAINER_SECURITY,
        "volumeMounts": [{"name": "work", "mountPath": "/berth"}],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": math.ceil(DRAIN_SECONDS) + 10,
        "nodeSelector": dict(server.selector),
        "tolerations": [dict(each) for each in server.tolerations],
        "securityContext": jobs.POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "work", "emptyDir": {}}],
    }


def autoscaler(server: Server, colour: str, least: int, most: int) -> Document:
    """Return the HorizontalPodAutoscaler of the live colour, its bounds from the forecast."""
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": server.name, "labels": dict(server.labels)},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": f"{server.name}-{colour}",
            },
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }


def hash_of(document: Document) -> str:
    """Return what tells a manifest from another one of the same name."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def dump(server: Server) -> str:
    """Return a server as text."""
    return json.dumps(dataclasses.asdict(server), sort_keys=True, separators=(",", ":"))


def load(text: str) -> Server:
    """Return the server of a text.

    Raises:
        ValueError, TypeError, KeyError: when it is none.
    """
    given = cast("dict[str, Any]", json.loads(text))
    state = dict(given.pop("state"))
    rules = dict(state.pop("rules"))
    rules["strategy"] = Strategy(rules["strategy"])
    state["phase"] = Phase(state["phase"])
    given["tolerations"] = tuple(given["tolerations"])
    return Server(**given, state=State(**state, rules=Rules(**rules)))


# ---------------------------------------------------------------------- reading


def seen_of(found: Document) -> Seen:
    """Return a Deployment as the rollout sees it."""
    return Seen(
        package=found["package"],
        replicas=found["replicas"],
        is_complete=found["is_complete"],
        has_failed=found["has_failed"],
    )
