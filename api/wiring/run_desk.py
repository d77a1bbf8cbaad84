"""Runs, their tasks and logs, what serves, and the switches of local clusters."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from api.wiring.parts import Parts
from engine import dispatching
from engine.model.dispatches import Attempt, AttemptState, Deployment, Run
from engine.model.errors import DamagedError, NotFoundError, RefusedError
from engine.model.fleet import Fleet
from engine.model.progress import RunStatus
from engine.model.records import ATTEMPTS, DEPLOYMENTS, RUNS, TASK_RUNS
from executors import kubernetes
from executors.local import FolderArtifacts, files
from executors.local.switch import HERE
from executors.training.tracking import experiments
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.exporting import Exported, Tracker, Training

_LOG = logging.getLogger(__name__)
_LOG_BYTES_MAX = 256 * 1024
_NEW_MAX = 200
_NO_LOG = "it never started, or was removed with what other old runs left (BERTH_RUNS_KEPT_DAYS)"
"""Newest attempts of which trainings are exported by themselves."""


class RunDesk:
    """Answers what concerns runs. May be used from several threads."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def status(self, name: str) -> tuple[RunStatus, ...]:
        """Return how runs are: all that matter now, or those of a pipeline, a plan or a run.

        Raises:
            NotFoundError: when nothing that ran has that name.
        """
        every = dispatching.status(self._parts.ledger, self._parts.clock.now())
        if not name:
            return every
        found = tuple(
            item for item in every if name in {item.run.pipeline, item.run.run_id, item.run.plan_id}
        )
        if not found:
            known = ", ".join(dict.fromkeys(item.run.pipeline for item in every))
            message = f"nothing that ran is called {name!r}; there is {known or 'nothing yet'}"
            raise NotFoundError(message, fix="berth runs lists them all")
        return found

    def runs(self, limit: int) -> tuple[Run, ...]:
        """Return the newest runs."""
        found = self._parts.ledger.select(RUNS, order_by="created_at", descending=True, limit=limit)
        return tuple(stored.value for stored in found)

    def run(self, run_id: str) -> Run:
        """Return one run."""
        stored = self._parts.ledger.get(RUNS, run_id)
        if stored is None:
            message = f"there is no run {run_id!r}"
            raise NotFoundError(message, fix="berth runs lists them all")
        return stored.value

    def cancel(self, run_id: str) -> Run:
        """Call off a run, or withdraw the model of one that ended and serves."""
        dispatching.cancel(self._parts.ledger, self._parts.clock, run_id)
        return self.run(run_id)

    def attempts(self, run_id: str) -> tuple[Attempt, ...]:
        """Return all attempts of a run, in the order in which they were intended."""
        self.run(run_id)
        found = self._parts.ledger.select(
            ATTEMPTS, where={"run_id": run_id}, order_by="intended_at"
        )
        return tuple(stored.value for stored in found)

    def experiments(self, run_id: str) -> tuple[Experiment, ...]:
        """Return the record of every training of a run that ended and whose outputs are here."""
        ended = {a.task: a for a in self.attempts(run_id) if a.state is AttemptState.SUCCEEDED}
        found = (self._experiment(attempt) for attempt in ended.values())
        return tuple(each for each in found if each is not None)

    def _experiment(self, attempt: Attempt) -> Experiment | None:
        """Return the record of an attempt, from its folder or what came back from a cluster."""
        folder = self._outputs(attempt)
        if folder.is_dir():
            return experiments.find(folder)
        where = {"run_id": attempt.run_id}
        found = (each.value for each in self._parts.ledger.select(TASK_RUNS, where=where))
        came = (t.artifact for t in found if (t.task, t.attempt) == (attempt.task, attempt.number))
        artifact = next(came, None)
        if artifact is None:
            return None
        store = FolderArtifacts(self._parts.settings.home / "artifacts")
        with tempfile.TemporaryDirectory(prefix="berth-record-") as scratch:
            for name in (experiments.NAME, "outputs.json"):
                try:
                    content = store.read(artifact, name)
                except NotFoundError:
                    return None
                (Path(scratch) / name).write_bytes(content)
            return experiments.find(Path(scratch))

    def export(self, run_id: str, address: str = "") -> tuple[Exported, ...]:
        """Export every training of a run to MLflow, at an address or where the settings say.

        Raises:
            RefusedError: when no address is known, or MLflow refuses.
            UnreachableError: when it does not answer.
        """
        trainings = map(self._training, self.attempts(run_id))
        return self._exported([each for each in trainings if each is not None], address)

    def _exported(self, trainings: Sequence[Training], address: str = "") -> tuple[Exported, ...]:
        where = address or self._parts.settings.mlflow
        if not where:
            fix = "set `mlflow` in berth.toml or BERTH_MLFLOW, or name one with --to"
            raise RefusedError("no address of MLflow is known", fix=fix)
        with contextlib.closing(Tracker(where, os.environ)) as tracker:
            return tuple(tracker.export(each) for each in trainings)

    def export_new(self) -> bool:
        """Export the trainings that ended since; return whether there were any.

        A mark remembers which attempts were looked at, and where their training is.
        """
        marks = self._parts.settings.home / "exports"
        marks.mkdir(exist_ok=True)
        found = False
        done = {"state": AttemptState.SUCCEEDED.value}
        newest = self._parts.ledger.select(
            ATTEMPTS, where=done, order_by="intended_at", descending=True, limit=_NEW_MAX
        )
        for stored in newest:
            mark = marks / f"{stored.value.attempt_id}.json"
            if mark.exists():
                continue
            training: Training | None = None
            try:
                training = self._training(stored.value)
            except DamagedError as error:
                # It stays so, and must not keep others from being exported.
                _LOG.warning("%s is not exported: %s", stored.value.attempt_id, error.message)
            exported = () if training is None else self._exported([training])
            mark.write_text(json.dumps([asdict(one) for one in exported]), encoding="utf-8")
            found = found or training is not None
        return found

    def _outputs(self, attempt: Attempt) -> Path:
        return self._parts.settings.home / "attempts" / attempt.attempt_id / "outputs"

    def _training(self, attempt: Attempt) -> Training | None:
        """Return the training that an attempt was; None when it was none, or is not here."""
        is_done = attempt.state is AttemptState.SUCCEEDED
        experiment = self._experiment(attempt) if is_done else None
        if experiment is None:
            return None
        return Training(
            pipeline=attempt.pipeline,
            run=attempt.run_id,
            attempt=attempt.attempt_id,
            started_at=attempt.started_at or attempt.intended_at,
            ended_at=attempt.ended_at or attempt.intended_at,
            experiment=experiment,
        )

    def log(self, run_id: str, task: str, number: int) -> str:
        """Return the end of what an attempt wrote; number 0 is the newest attempt.

        Raises:
            NotFoundError: when there is no such attempt, or it wrote nothing yet.
        """
        tried = [a for a in self.attempts(run_id) if a.task == task]
        chosen = [a for a in tried if number in {0, a.number}]
        if not chosen:
            message = f"{run_id} has no attempt {number or ''} of task {task!r}".replace("  ", " ")
            raise NotFoundError(message, fix=f"berth status {run_id} names the tasks")
        home, attempt = self._parts.settings.home, chosen[-1]
        path = home / "attempts" / attempt.attempt_id / "log.txt"
        if attempt.executor == "kubernetes":
            path = kubernetes.log_path(home, attempt.attempt_id)
        return _tail(path, attempt)

    def deployments(self) -> tuple[Deployment, ...]:
        """Return what serves."""
        return tuple(stored.value for stored in self._parts.ledger.select(DEPLOYMENTS))

    def fleet(self) -> Fleet:
        """Return all clusters as they are now."""
        return self._parts.fleet.fleet()

    def switch_cluster(self, name: str, *, up: bool) -> Fleet:
        """Make a local cluster fail or come back, as a power cut would.

        Raises:
            NotFoundError: when there is no such cluster.
            RefusedError: when it is none of this machine.
        """
        cluster = next((c for c in self.fleet().clusters if c.name == name), None)
        if cluster is None:
            known = ", ".join(c.name for c in self.fleet().clusters)
            message = f"there is no cluster {name!r}; there are {known}"
            raise NotFoundError(message, fix="berth fleet lists them")
        if cluster.executor not in HERE:
            message = f"cluster {name!r} is run by {cluster.executor!r}; only local ones are toys"
            raise RefusedError(message, code="G005")
        if up:
            self._parts.switch.restore(name)
        else:
            self._parts.switch.fail(name)
        return self.fleet()


def _tail(path: Path, attempt: Attempt) -> str:
    """Return the end of a log file, from the start of a line."""
    try:
        with files.open_plain(path) as file:
            size = file.seek(0, 2)
            file.seek(max(size - _LOG_BYTES_MAX, 0))
            content = file.read(_LOG_BYTES_MAX)
    except OSError as error:
        message = f"attempt {attempt.attempt_id} has no log at {str(path)!r}: {error.strerror}"
        raise NotFoundError(message, fix=_NO_LOG) from error
    if size > _LOG_BYTES_MAX:
        content = content.partition(b"\n")[2]
    return content.decode("utf-8", "replace")
