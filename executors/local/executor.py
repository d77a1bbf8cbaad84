"""Port `Executor`: attempts as processes of this machine that outlive the engine.

What happened is in each attempt's folder (see `executors.local.files`), so a new engine finds
every attempt of the old one. The folder appears by one rename; the shim's claim decides who runs
it; `state.json` decides how it ended. A crash between any two of these is mended by `start` or
`observe`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from engine.model.dispatches import AttemptOrder, Observation
from engine.model.errors import RefusedError, RetryableError, UnreachableError
from engine.model.fleet import Cluster
from engine.model.identifiers import AttemptId
from engine.ports import ArtifactStore, Clock, FleetSource
from executors.local import files, launch, processes
from executors.local.artifacts import storage
from executors.local.observing import Observer
from executors.local.starting import Starter
from executors.local.switch import ClusterSwitch

CLEARED_AT_ONCE = 500
"""Folders of attempts that one call removes: a few seconds of a disk."""


class LocalExecutor:
    """Runs attempts on local clusters.

    home: the data folder; source: the fleet, for reachability and grace periods.
    starter: starts the shims, as processes of this machine unless another is given.
    clock: for times of observations; limits are watched by the shims on the machine's own clock.

    Not safe for several threads, and one process at a time, as the engine's lock ensures.
    """

    def __init__(
        self,
        home: Path,
        source: FleetSource,
        artifacts: ArtifactStore,
        clock: Clock,
        starter: Starter | None = None,
    ) -> None:
        self._home = home.absolute()
        self._source = source
        self._artifacts = artifacts
        self._clock = clock
        self._switch = ClusterSwitch(self._home)
        self._shims: Starter = starter or launch.Shims(self._home)
        self._observer = Observer(artifacts, clock, self._switch, self._shims)
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
            RefusedError: when it may not run here.
        """
        folder = launch.folder_of(self._home, order.attempt_id)
        if folder.exists():
            if self._is_untouched(folder) and not self._shims.has(order.attempt_id):
                self._spawn(order, folder)
            return
        cluster = self._cluster(order.cluster)
        if not cluster.reachable:
            message = f"cluster {order.cluster!r} is down"
            raise UnreachableError(message, fix="place the task elsewhere or wait")
        try:
            self._prepare(folder, order, cluster)
        except (OSError, RetryableError) as error:
            fix = f"free space on {str(self._home)!r} or make it writable"
            raise _not_started(order, error, fix) from error
        self._spawn(order, folder)

    def observe(self) -> Sequence[Observation]:
        """Return what is seen of every attempt; mend what a crash left half done."""
        own = [folder for folder in self._folders() if self._shims.owns(folder)]
        return [self._observer.observe(folder) for folder in own]

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

    def clear(self, is_kept: Callable[[AttemptId], bool]) -> int:
        """Remove the folders of ended attempts that nobody keeps; return how many (port).

        So many at once that nothing waits for long, as after an upgrade that finds years of them;
        the others go with the next calls.

        Raises:
            RetryableError: when one cannot be removed.
        """
        over = [path for path in self._folders() if self._shims.owns(path) and self._is_over(path)]
        gone = [path for path in over if not is_kept(AttemptId(path.name))]
        with storage("remove the folder of an attempt in"):
            for path in gone[:CLEARED_AT_ONCE]:
                self._forget(path)
        return len(gone[:CLEARED_AT_ONCE])

    def _forget(self, folder: Path) -> None:
        """Remove a folder; a crash on the way leaves it under a name that is no attempt's."""
        leaving = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        folder.rename(leaving)
        self._observer.forget(folder.name)
        files.remove(leaving)

    # ------------------------------------------------------------------ starting

    def _prepare(self, folder: Path, order: AttemptOrder, cluster: Cluster) -> None:
        """Make the whole folder beside its place, then give it its name."""
        partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        machine = sorted(os.sched_getaffinity(0))
        count = launch.cores_wanted(order, machine)
        gpus, gpus_there = launch.gpus_wanted(order, cluster)
        document = launch.document(
            order,
            self._home,
            cpus=launch.least_used(machine, count, self._taken("cpus")),
            gpus=launch.least_used(range(gpus_there), gpus, self._taken("gpus")),
            down=self._switch.path(order.cluster),
            grace_seconds=cluster.grace_seconds,
            python=self._shims.python,
        )
        try:
            launch.prepare(partial, order, document)
            self._shims.prepare(partial, order)
            for task, digest in order.inputs.items():
                self._artifacts.fetch(digest, partial / files.INPUTS / task)
            partial.rename(folder)
            files.sync_folder(folder.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _spawn(self, order: AttemptOrder, folder: Path) -> None:
        """Start the shim; an attempt that cannot be started leaves no folder to be mended."""
        try:
            self._shims.spawn(order, folder)
        except RefusedError:
            shutil.rmtree(folder)
            raise
        except (OSError, RetryableError) as error:
            shutil.rmtree(folder)
            raise _not_started(order, error, getattr(error, "fix", "")) from error

    def _taken(self, what: Literal["cpus", "gpus"]) -> Iterator[int]:
        """Yield the cores or GPUs of attempts that run, one for each attempt on it."""
        for folder in self._folders():
            document = None if self._is_over(folder) else files.read_launch(folder)
            yield from document.get(what, []) if document else ()

    def _clear_half_prepared(self) -> None:
        """Remove folders that a crash left before they had their name, or on their way out."""
        for path in (self._home / "attempts").glob(".*"):
            with contextlib.suppress(OSError):
                files.remove(path)

    # ------------------------------------------------------------------- folders

    def _folders(self) -> list[Path]:
        """Return the folders of attempts, in order of name."""
        found = sorted((self._home / "attempts").iterdir())
        return [path for path in found if not path.name.startswith(".")]

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
        return any(os.path.lexists(folder / name) for name in (files.STATE, files.EXIT))


def _not_started(order: AttemptOrder, error: Exception, fix: str) -> UnreachableError:
    """Return the error that says that an attempt was not started, and why."""
    message = f"cannot start {order.attempt_id!r} on {order.cluster!r}: {error}"
    return UnreachableError(message, fix=fix)
