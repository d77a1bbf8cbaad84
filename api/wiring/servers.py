"""Port `ModelServer` for all executors: asks the server itself, or the cluster that runs it.

Local servers load another package when asked to. On Kubernetes a package follows another by a
rollout, which takes a while: until it is through the answer is what serves now, and the engine
asks again. Bounds of autoscalers are kept at what the plan in force forecasts.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine.dispatching.bounds import replica_bounds
from engine.dispatching.desk import spec_of, stored_plan
from engine.dispatching.orders import overrides, package_digest
from engine.model.dispatches import Attempt, Deployment
from engine.model.errors import BerthError, NotFoundError
from engine.model.identifiers import Digest
from engine.model.plans import task_key
from engine.model.records import ATTEMPTS, DEPLOYMENTS, RUNS, TASK_RUNS
from engine.ports import Clock, Ledger, ModelServer

if TYPE_CHECKING:
    from executors.kubernetes import KubernetesExecutor

_LOG = logging.getLogger(__name__)
_KUBERNETES = "kubernetes"


class EngineServers:
    """Servers of this engine. local: asks a server by its endpoint; beyond: knows the clusters."""

    def __init__(
        self, ledger: Ledger, clock: Clock, local: ModelServer, beyond: KubernetesExecutor | None
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._local = local
        self._beyond = beyond
        self._bounds: dict[str, tuple[int, int]] = {}

    def swap(self, deployment: Deployment) -> Digest:
        """Bring the server to what is wanted; return the digest that serves now.

        Raises:
            UnreachableError: when the server or its cluster does not answer.
            DamagedError: when the package does not come up; the old one serves on.
        """
        attempt = self._attempt(deployment)
        if self._beyond is None or attempt is None or attempt.executor != _KUBERNETES:
            return self._local.swap(deployment)
        package = self._artifact(deployment)
        parameters, bounds = self._wishes(deployment)
        rules = self._beyond.servers.rules(parameters, bounds)
        found = self._beyond.servers.swap(attempt.attempt_id, package, rules)
        return deployment.wanted if found == package else Digest(found)

    def scale(self) -> bool:
        """Bring the bounds of every autoscaler to what is forecast; return whether any changed."""
        changed = False
        for stored in self._ledger.select(DEPLOYMENTS):
            attempt = self._attempt(stored.value)
            if self._beyond is None or attempt is None or attempt.executor != _KUBERNETES:
                continue
            try:
                _, bounds = self._wishes(stored.value)
                if self._bounds.get(attempt.attempt_id) == bounds:
                    continue
                self._beyond.servers.bound(attempt.attempt_id, bounds)
            except BerthError as error:
                _LOG.info("bounds of %s: %s", stored.value.pipeline, error.message)
                continue
            self._bounds[attempt.attempt_id] = bounds
            changed = True
        return changed

    def _attempt(self, deployment: Deployment) -> Attempt | None:
        if deployment.attempt_id is None:
            return None
        stored = self._ledger.get(ATTEMPTS, deployment.attempt_id)
        return None if stored is None else stored.value

    def _artifact(self, deployment: Deployment) -> Digest:
        """Return the artefact that holds the wanted package: pods fetch artefacts, not images.

        Raises:
            NotFoundError: when no task of the pipeline made it.
        """
        tasks = self._ledger.select(TASK_RUNS, where={"pipeline": deployment.pipeline})
        for stored in tasks:
            if stored.value.artifact is not None and deployment.wanted in {
                package_digest(stored.value),
                stored.value.artifact,
            }:
                return stored.value.artifact
        message = f"no task of {deployment.pipeline!r} made the package {deployment.wanted}"
        raise NotFoundError(message, fix="run the pipeline again")

    def _wishes(self, deployment: Deployment) -> tuple[dict[str, object], tuple[int, int]]:
        """Return the parameters of the serve task, and the bounds that its plan forecasts.

        Raises:
            NotFoundError: when its run is not known any more.
        """
        run = self._ledger.get(RUNS, deployment.run_id)
        if run is None:
            raise NotFoundError(f"there is no run {deployment.run_id!r}")
        plan = stored_plan(self._ledger, run.value)
        task = spec_of(plan, deployment.pipeline).task(deployment.task)
        profile = plan.profiles.get(task_key(deployment.pipeline, deployment.task))
        parameters: dict[str, object] = {**task.parameters, **overrides(run.value, task.name)}
        return parameters, replica_bounds(profile, self._clock.now())
