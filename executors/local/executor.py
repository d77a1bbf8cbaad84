"""Port `Executor`: attempts as processes of this machine that outlive the engine.

What happened is in each attempt's folder (see `executors.local.files`), so a new engine finds
every attempt of the old one. The folder appears by one rename; the shim's claim decides who runs
it; `state.json` decides how it ended. A crash between any two of these is mended by `start` or
`observe`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from engine.model import documents
from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.model.errors import BerthError, DamagedError, RetryableError, UnreachableError
from engine.model.fleet import Cluster
from engine.model.identifiers import AttemptId, Digest
from engine.model.signals import Layer, Shape, Signal
from engine.model.specs import Scalar
from engine.ports import ArtifactStore, Clock, FleetSource
from executors.local import files, launch, processes, results
from executors.local.artifacts import storage
from executors.local.switch import ClusterSwitch

_SPAWNS_MAX = 3
"""Shims started for one attempt before it counts as killed; each may die before its claim."""
_STOP_MARGIN_SECONDS = 5.0
"""Beyond the grace period, before the executor kills what its shim should have killed."""


class LocalExecutor:
    """Runs attempts on local clusters.

    home: the data folder; source: the fleet, for reachability and grace periods.
    clock: for times of observations; limits are watched by the shims on the machine's own clock.

    Not safe for several threads, and one process at a time, as the engine's lock ensures.
    """

    def __init__(
        self, home: Path, source: FleetSource, artifacts: ArtifactStore, clock: Clock
    ) -> None:
        self._home = home.absolute()
        self._source = source
        self._artifacts = artifacts
        self._clock = clock
        self._switch = ClusterSwitch(self._home)
        self._shims: dict[str, subprocess.Popen[bytes]] = {}
        self._spawns: dict[str, int] = {}
        self._settled: dict[str, Observation] = {}
        self._orders: dict[str, AttemptOrder] = {}
        with storage("make the folder of attempts"):
            (self._home / "attempts").mkdir(parents=True, exist_ok=True)
            self._clear_half_prepared()

    def start(self, order: AttemptOrder) -> None:
        """Start an attempt, once, whatever happened to earlier calls.

        Raises:
            UnreachableError: when the cluster is down, or this machine cannot take the attempt
                (full disk, read-only folder); nothing was started.
            NotFoundError: when an input is not in the artefact store.
            DamagedError: when an input is not what its digest says.
        """
        folder = launch.folder_of(self._home, order.attempt_id)
        if folder.exists():
            if self._is_untouched(folder) and order.attempt_id not in self._shims:
                self._spawn(order, folder)
            return
        cluster = self._cluster(order.cluster)
        if not cluster.reachable:
            message = f"cluster {order.cluster!r} is down"
            raise UnreachableError(message, fix="place the task elsewhere or wait")
        try:
            self._prepare(folder, order, cluster)
            self._spawn(order, folder)
        except (OSError, RetryableError) as error:
            message = f"cannot start {order.attempt_id!r} on {order.cluster!r}: {error}"
            fix = f"free space on {str(self._home)!r} or make it writable"
            raise UnreachableError(message, fix=fix) from error

    def observe(self) -> Sequence[Observation]:
        """Return what is seen of every attempt; mend what a crash left half done."""
        return [self._observe(folder) for folder in self._folders()]

    def stop(self, attempt: AttemptId) -> None:
        """Ask an attempt to end: SIGTERM now, SIGKILL after its cluster's grace period.

        An attempt that is not known or has ended is left as it is.
        """
        folder = launch.folder_of(self._home, attempt)
        if not folder.exists() or self._is_over(folder):
            return
        with storage("note the stop in"):
            files.write_durably(folder / files.STOP, files.dump({"at": self._clock.now()}))
            nobody = files.Claim(pid=0, identity="", at=self._clock.now())
            files.write_once(folder / files.CLAIM, files.dump({**nobody}))
        claim = files.read_claim(folder)
        if claim is not None and claim["pid"]:
            processes.send(claim["pid"], claim["identity"], signal.SIGTERM)

    def forget(self, attempt: AttemptId) -> None:
        """Drop files of an ended attempt; that it was started stays known for ever."""
        folder = launch.folder_of(self._home, attempt)
        if not self._is_over(folder):
            return
        files.write_durably(folder / files.FORGOTTEN, b"")
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in {files.CLAIM, files.STATE, files.FORGOTTEN}:
                path.unlink()
        self._settled.pop(attempt, None)

    # ------------------------------------------------------------------ starting

    def _prepare(self, folder: Path, order: AttemptOrder, cluster: Cluster) -> None:
        """Make the whole folder beside its place, then give it its name."""
        partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        machine = sorted(os.sched_getaffinity(0))
        count = launch.cores_wanted(order, machine)
        document = launch.document(
            order,
            self._home,
            cpus=launch.least_used(machine, count, self._taken_cores()),
            down=self._switch.path(order.cluster),
            grace_seconds=cluster.grace_seconds,
        )
        try:
            launch.prepare(partial, order, document)
            for task, digest in order.inputs.items():
                self._artifacts.fetch(digest, partial / files.INPUTS / task)
            partial.rename(folder)
            files.sync_folder(folder.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _spawn(self, order: AttemptOrder, folder: Path) -> None:
        """Start a shim; when there are two, the claim lets only one run."""
        document = files.read_launch(folder)
        cores = len(document["cpus"]) if document else 0
        with (folder / files.SHIM_LOG).open("ab") as log:
            self._shims[order.attempt_id] = subprocess.Popen(
                [sys.executable, "-m", "executors.local.shim", str(folder)],
                env=launch.environment(order, self._home, cores or os.cpu_count() or 1),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._spawns[order.attempt_id] = self._spawns.get(order.attempt_id, 0) + 1

    def _taken_cores(self) -> Iterator[int]:
        """Yield the cores of attempts that run, one for each attempt on it."""
        for folder in self._folders():
            document = None if self._is_over(folder) else files.read_launch(folder)
            yield from document["cpus"] if document else ()

    def _clear_half_prepared(self) -> None:
        """Remove folders that a crash left before they had their name."""
        for path in (self._home / "attempts").glob(".*"):
            shutil.rmtree(path, ignore_errors=True)

    # ----------------------------------------------------------------- observing

    def _observe(self, folder: Path) -> Observation:
        """Return what is seen of one attempt."""
        known = self._settled.get(folder.name)
        if known is not None:
            return known
        if (folder / files.STATE).exists():
            text = (folder / files.STATE).read_bytes()
            return self._remember(documents.decode(Observation, text))
        order = self._order(folder)
        shim = self._shims.get(order.attempt_id)
        has_ended = shim is not None and shim.poll() is not None  # reaps it too
        if (folder / files.EXIT).exists():
            return self._ended(folder, order)
        claim = files.read_claim(folder)
        if claim is None:
            return self._unclaimed(folder, order, shim_ended=has_ended)
        if claim["pid"] == 0:
            return self._stopped_without_trace(folder, order)
        if self._lives(folder, order, claim):
            return self._running(folder, order, claim)
        if (folder / files.EXIT).exists():  # written between the two looks
            return self._ended(folder, order)
        return self._gone(folder, order, claim, "its process was killed from outside")

    def _lives(self, folder: Path, order: AttemptOrder, claim: files.Claim) -> bool:
        """Whether the shim runs; kills one that outstayed its stop, or whose cluster is down."""
        if not processes.is_alive(claim["pid"], claim["identity"]):
            return False
        stop = files.load(folder / files.STOP)
        document = files.read_launch(folder)
        if stop is not None and document is not None:
            until = cast("float", stop["at"]) + document["grace_seconds"] + _STOP_MARGIN_SECONDS
            return self._clock.now() < until
        return self._switch.is_up(order.cluster)

    @staticmethod
    def _running(folder: Path, order: AttemptOrder, claim: files.Claim) -> Observation:
        endpoint = files.load(folder / files.ENDPOINT) or {}
        return Observation(
            attempt_id=order.attempt_id,
            state=AttemptState.RUNNING,
            handle=order.attempt_id,
            endpoint=str(endpoint.get("url", "")),
            started_at=claim["at"],
        )

    def _unclaimed(self, folder: Path, order: AttemptOrder, *, shim_ended: bool) -> Observation:
        """Start a shim where none is; give up after a few that died before their claim."""
        if not self._switch.is_up(order.cluster):
            return self._gone(folder, order, None, "")
        if shim_ended or order.attempt_id not in self._shims:
            if self._spawns.get(order.attempt_id, 0) >= _SPAWNS_MAX:
                why = f"it could not be started; see {str(folder / files.SHIM_LOG)!r}"
                return self._gone(folder, order, None, why)
            self._spawn(order, folder)
        return Observation(
            attempt_id=order.attempt_id, state=AttemptState.RUNNING, handle=order.attempt_id
        )

    def _ended(self, folder: Path, order: AttemptOrder) -> Observation:
        """Take what a command left: its outputs when it succeeded, its reason otherwise."""
        document = files.read_exit(folder)
        if document is None:
            return self._gone(folder, order, None, f"{files.EXIT} is damaged")
        succeeded = results.reason_of(document["ending"], document["code"]) is Reason.COMPLETED
        outputs: dict[str, Scalar] = {}
        artifact: Digest | None = None
        try:
            if succeeded:
                outputs = dict(results.read_outputs(folder / files.OUTPUTS))
                artifact = self._artifacts.put(folder / files.OUTPUTS)
        except RetryableError as error:
            return Observation(
                attempt_id=order.attempt_id,
                state=AttemptState.RUNNING,
                handle=order.attempt_id,
                message=f"it ended, but its outputs cannot be kept yet: {error}",
            )
        except DamagedError as error:
            return self._settle(folder, order, _bad_output(order, document, error))
        size = results.size_bytes(folder / files.OUTPUTS)
        seen = results.ended(order, document, outputs=outputs, artifact=artifact, disk_bytes=size)
        return self._settle(folder, order, seen)

    def _gone(
        self, folder: Path, order: AttemptOrder, claim: files.Claim | None, why: str
    ) -> Observation:
        """Make sure that nothing of an attempt lives any more, then say that it is gone."""
        processes.kill_having({"BERTH_ATTEMPT": str(folder)})
        if (folder / files.STOP).exists():
            return self._stopped_without_trace(folder, order)
        down = not self._switch.is_up(order.cluster)
        seen = results.gone(order, claim, down=down, now=self._clock.now(), why=why)
        return self._settle(folder, order, seen)

    def _stopped_without_trace(self, folder: Path, order: AttemptOrder) -> Observation:
        """Say that an attempt was stopped and left nothing."""
        seen = Observation(
            attempt_id=order.attempt_id,
            state=AttemptState.STOPPED,
            handle=order.attempt_id,
            ended_at=self._clock.now(),
            reason=Reason.CANCELLED,
            message="stopped on request",
        )
        return self._settle(folder, order, seen)

    def _settle(self, folder: Path, order: AttemptOrder, seen: Observation) -> Observation:
        """Keep a final observation for ever; a disk that is full is tried again next time."""
        if seen.reason in {Reason.KILLED, Reason.CLUSTER_DOWN}:
            killed = _killed_signal(order, self._clock.now())
            files.append_durably(folder / files.SIGNALS, documents.encode(killed))
        files.write_durably(folder / files.STATE, documents.encode(seen).encode())
        return self._remember(seen)

    def _remember(self, seen: Observation) -> Observation:
        self._settled[seen.attempt_id] = seen
        shim = self._shims.pop(seen.attempt_id, None)
        if shim is not None:
            shim.wait()
        return seen

    # ------------------------------------------------------------------- folders

    def _folders(self) -> list[Path]:
        """Return the folders of attempts that were not forgotten, in order of name."""
        found = sorted((self._home / "attempts").iterdir())
        return [
            path
            for path in found
            if not path.name.startswith(".") and not (path / files.FORGOTTEN).exists()
        ]

    def _order(self, folder: Path) -> AttemptOrder:
        if folder.name not in self._orders:
            text = (folder / files.ORDER).read_bytes()
            self._orders[folder.name] = documents.decode(AttemptOrder, text)
        return self._orders[folder.name]

    def _cluster(self, name: str) -> Cluster:
        try:
            return self._source.fleet().cluster(name)
        except KeyError as error:
            fix = "place the task elsewhere"
            raise UnreachableError(f"there is no cluster {name!r}", fix=fix) from error

    @staticmethod
    def _is_untouched(folder: Path) -> bool:
        return not (folder / files.CLAIM).exists()

    @staticmethod
    def _is_over(folder: Path) -> bool:
        return (folder / files.STATE).exists() or (folder / files.EXIT).exists()


def _bad_output(order: AttemptOrder, document: files.Exit, error: BerthError) -> Observation:
    """Return the observation of a command that succeeded but left no good outputs."""
    return Observation(
        attempt_id=order.attempt_id,
        state=AttemptState.FAILED,
        handle=order.attempt_id,
        started_at=document["started_at"],
        ended_at=document["ended_at"],
        exit_code=document["code"],
        reason=Reason.BAD_OUTPUT,
        message=error.message,
    )


def _killed_signal(order: AttemptOrder, now: float) -> Signal:
    """Return the signal that a task was killed from outside."""
    return Signal(
        name="exit_killed",
        layer=Layer.MACHINE,
        subject=f"task:{order.pipeline}/{order.task}",
        at=now,
        value=1.0,
        shape=Shape.COUNT,
    )
