"""Port `Executor` on a managed batch service.

The port's promises, and how they are kept: a job is called by its attempt, so that a second start
meets the first; everything that is observed is read from the service, so that the next engine sees
what the last one started; outputs are fetched once an attempt succeeded, and passed on by digest.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from berth_batch import packing
from berth_batch.client import BatchClient
from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason, Usage
from engine.model.errors import DamagedError, RetryableError
from engine.model.identifiers import AttemptId
from engine.ports import ArtifactStore
from executors.local import FolderArtifacts, results

_ENDINGS: Mapping[str, tuple[AttemptState, Reason]] = {
    "SUCCEEDED": (AttemptState.SUCCEEDED, Reason.COMPLETED),
    "STOPPED": (AttemptState.STOPPED, Reason.CANCELLED),
    "FAILED": (AttemptState.FAILED, Reason.EXIT_CODE),
}


class BatchExecutor:
    """Runs attempts as jobs of a batch service.

    Berth makes it without arguments; they are for tests.

    url: of the service, `BERTH_BATCH_URL` unless given. artifacts: what tasks read and leave, the
    store in the data folder `BERTH_BATCH_HOME` unless given.
    """

    def __init__(self, url: str | None = None, artifacts: ArtifactStore | None = None) -> None:
        self.client = BatchClient(url or os.environ["BERTH_BATCH_URL"])
        home = Path(os.environ.get("BERTH_BATCH_HOME", ".berth"))
        self._artifacts = artifacts or FolderArtifacts(home / "artifacts")
        self._ended: dict[AttemptId, Observation] = {}

    def start(self, order: AttemptOrder) -> None:
        """Start an attempt, once.

        Raises:
            UnreachableError: when the service does not answer; RefusedError: when it refuses.
            NotFoundError: when an input is not in the artefact store.
        """
        for digest in order.inputs.values():
            with tempfile.TemporaryDirectory() as folder:
                laid = Path(folder) / packing.CONTENT
                self._artifacts.fetch(digest, laid)
                self.client.bring(digest, laid)
        job = {
            "attempt": order.attempt_id,
            "command": list(order.command),
            "inputs": dict(order.inputs),
            "parameters": dict(order.parameters),
            "variables": {
                "BERTH_RUN": order.run_id,
                "BERTH_PIPELINE": order.pipeline,
                "BERTH_TASK": order.task,
                "BERTH_CLUSTER": order.cluster,
            },
            "memory_gib": order.limits.memory_gib,
            "time_limit_seconds": order.time_limit_seconds,
        }
        self.client.submit(name_of(order.attempt_id), job)

    def observe(self) -> Sequence[Observation]:
        """Return what the service shows of every attempt; what it last showed when it is away."""
        try:
            return [self._observed(job) for job in self.client.jobs()]
        except RetryableError:
            return list(self._ended.values())

    def stop(self, attempt: AttemptId) -> None:
        """Ask an attempt to end; one that has ended is left as it is.

        Raises:
            RetryableError: when the service does not answer.
        """
        self.client.stop(name_of(attempt))

    def _observed(self, job: dict[str, Any]) -> Observation:
        attempt = AttemptId(job["attempt"])
        if attempt not in self._ended:
            seen = self._read(attempt, job)
            if not seen.state.is_terminal:
                return seen
            self._ended[attempt] = seen
        return self._ended[attempt]

    def _read(self, attempt: AttemptId, job: dict[str, Any]) -> Observation:
        state, reason = _ENDINGS.get(job["state"], (AttemptState.RUNNING, Reason.NONE))
        if state is AttemptState.SUCCEEDED:
            return self._succeeded(attempt, job)
        return Observation(
            attempt_id=attempt,
            state=state,
            handle=job["name"],
            started_at=job["started_at"],
            ended_at=job["ended_at"],
            exit_code=job["exit_code"],
            reason=reason,
            message=job["message"],
        )

    def _succeeded(self, attempt: AttemptId, job: dict[str, Any]) -> Observation:
        """Take in what a job left; outputs that cannot be read fail the attempt."""
        with tempfile.TemporaryDirectory() as folder:
            content = Path(folder) / packing.CONTENT
            try:
                self.client.fetch(job["name"], Path(folder))
                outputs, fault = dict(results.read_outputs(content)), ""
            except DamagedError as error:
                outputs, fault = {}, error.message
            artifact = self._artifacts.put(content) if content.is_dir() else None
        return Observation(
            attempt_id=attempt,
            state=AttemptState.FAILED if fault else AttemptState.SUCCEEDED,
            handle=job["name"],
            started_at=job["started_at"],
            ended_at=job["ended_at"],
            exit_code=job["exit_code"],
            reason=Reason.BAD_OUTPUT if fault else Reason.COMPLETED,
            message=fault,
            outputs=outputs,
            artifact=artifact,
            usage=Usage(
                duration_seconds=job["ended_at"] - job["started_at"],
                cpu_seconds=job["cpu_seconds"],
                memory_gib_peak=job["memory_gib_peak"],
            ),
        )


def name_of(attempt: AttemptId) -> str:
    """Return the name of an attempt's job: services take few characters."""
    return f"berth-{hashlib.sha256(attempt.encode()).hexdigest()[:24]}"
