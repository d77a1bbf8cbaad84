"""What is seen of attempts, and the mending of what a crash left half done.

Reads an attempt's folder from its end to its beginning: `state.json` says that all is known,
`exit.json` that the command ended, `claim` that a shim has it, the folder alone that it is to be
started. A claim without a living shim and without an exit means that it was killed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import cast

from engine.model import documents
from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.model.errors import DamagedError, RefusedError, RetryableError
from engine.model.identifiers import AttemptId, Digest
from engine.model.signals import Layer, Shape, Signal
from engine.model.specs import Scalar
from engine.ports import ArtifactStore, Clock
from executors.local import files, processes, results
from executors.local.artifacts import storage
from executors.local.starting import Starter
from executors.local.switch import ClusterSwitch

_SPAWNS_MAX = 3
"""Shims started for one attempt before it counts as killed; each may die before its claim."""
_STOP_MARGIN_SECONDS = 5.0
"""Beyond the grace period, before the executor kills what its shim should have killed."""


class Observer:
    """Looks at attempts. Final observations are durable before they are returned."""

    def __init__(
        self, artifacts: ArtifactStore, clock: Clock, switch: ClusterSwitch, shims: Starter
    ) -> None:
        self._artifacts = artifacts
        self._clock = clock
        self._switch = switch
        self._shims = shims
        self._settled: dict[str, Observation] = {}
        self._orders: dict[str, AttemptOrder] = {}

    def observe(self, folder: Path) -> Observation:
        """Return what is seen of one attempt; a damaged one harms no other.

        Raises:
            RetryableError: when the machine keeps its folder from being read, or what is left of
                it from being ended.
        """
        try:
            with storage("look at an attempt in"):
                return self._seen(folder)
        except DamagedError as error:
            return self._damaged(folder, error.message)

    def _seen(self, folder: Path) -> Observation:
        """Return what is seen of an attempt whose documents are whole.

        Raises:
            DamagedError: when they are not.
        """
        known = self._settled.get(folder.name)
        if known is not None:
            self._shims.has(folder.name)  # its shim ends a moment after what it left is seen
            return known
        if not os.access(folder, os.R_OK | os.X_OK):
            raise DamagedError("it cannot be read")
        if (folder / files.STATE).exists():
            return self._remember(_state(folder))
        order = self._order(folder)
        has_shim = self._shims.has(order.attempt_id)  # asked first: it may be done a moment later
        if (folder / files.EXIT).exists():
            return self._ended(folder, order)
        claim = files.read_claim(folder)
        if claim is None:
            return self._unclaimed(folder, order, has_shim=has_shim)
        if claim["pid"] and self._lives(folder, order, claim):
            return _running(folder, order, claim)
        if (folder / files.EXIT).exists():  # written between the two looks
            return self._ended(folder, order)
        return self._gone(folder, order, claim, "its process was killed from outside")

    def _damaged(self, folder: Path, why: str) -> Observation:
        """Say that an attempt failed whose folder tells nothing; no process of it goes on."""
        self._shims.kill(folder)
        seen = Observation(
            attempt_id=AttemptId(folder.name),
            state=AttemptState.FAILED,
            handle=folder.name,
            ended_at=self._clock.now(),
            reason=Reason.KILLED,
            message=f"its folder {str(folder)!r} is damaged: {why}",
        )
        return self._remember(seen)

    def forget(self, attempt: str) -> None:
        """Drop what is remembered of an attempt."""
        self._settled.pop(attempt, None)
        self._orders.pop(attempt, None)

    def _order(self, folder: Path) -> AttemptOrder:
        if folder.name not in self._orders:
            order = documents.decode(AttemptOrder, _read(folder / files.ORDER))
            _check(folder, order.attempt_id)
            self._orders[folder.name] = order
        return self._orders[folder.name]

    def _lives(self, folder: Path, order: AttemptOrder, claim: files.Claim) -> bool:
        """Whether the shim runs, is within its grace period if it was stopped, and may run."""
        if not processes.is_alive(claim["pid"], claim["identity"]):
            return False
        stop = files.load(folder / files.STOP)
        launch = files.read_launch(folder)
        if stop is not None and launch is not None:
            until = cast("float", stop["at"]) + launch["grace_seconds"] + _STOP_MARGIN_SECONDS
            return self._clock.now() < until
        return self._switch.is_up(order.cluster)

    def _unclaimed(self, folder: Path, order: AttemptOrder, *, has_shim: bool) -> Observation:
        """Start a shim where none is; give up after a few that died before their claim."""
        if not self._switch.is_up(order.cluster):
            return self._gone(folder, order, None, "")
        if not has_shim:
            if self._shims.count(order.attempt_id) >= _SPAWNS_MAX:
                why = f"it could not be started; see {str(folder / files.SHIM_LOG)!r}"
                return self._gone(folder, order, None, why)
            try:
                self._shims.spawn(order, folder)
            except (RefusedError, RetryableError) as error:
                return _starting(order, error.message)
        return _starting(order)

    def _ended(self, folder: Path, order: AttemptOrder) -> Observation:
        """Take what a command left: its outputs when it succeeded, its reason otherwise."""
        document = files.read_exit(folder)
        if document is None:
            return self._gone(folder, order, None, f"{files.EXIT} is damaged")
        succeeded = results.reason_of(document["ending"], document["code"]) is Reason.COMPLETED
        outputs: dict[str, Scalar] = {}
        artifact: Digest | None = None
        try:
            self._shims.clear(folder)  # so that nothing changes what it left while that is kept
            if succeeded:
                outputs = dict(results.read_outputs(folder / files.OUTPUTS))
                artifact = self._artifacts.put(folder / files.OUTPUTS)
            else:
                artifact = self._left(folder, order)
        except RetryableError as error:
            return _cannot_keep(order, error)
        except DamagedError as error:
            seen = results.bad_output(order, document, error.message)
            return self._settle(folder, order, seen)
        size = results.size_bytes(folder / files.OUTPUTS)
        seen = results.ended(order, document, outputs=outputs, artifact=artifact, disk_bytes=size)
        return self._settle(folder, order, seen)

    def _left(self, folder: Path, order: AttemptOrder) -> Digest | None:
        """Keep what a training had written when it failed, for the next attempt to go on from."""
        written = folder / files.OUTPUTS
        if not order.workers or not results.size_bytes(written):
            return None
        try:
            return self._artifacts.put(written)
        except DamagedError:
            return None

    def _gone(
        self, folder: Path, order: AttemptOrder, claim: files.Claim | None, why: str
    ) -> Observation:
        """Make sure that nothing of an attempt lives any more, then say that it is gone."""
        try:
            self._shims.kill(folder)
        except RetryableError as error:
            return _cannot_keep(order, error)
        if (folder / files.STOP).exists():
            return self._settle(folder, order, _stopped(order, self._clock.now()))
        down = not self._switch.is_up(order.cluster)
        seen = results.gone(order, claim, down=down, now=self._clock.now(), why=why)
        return self._settle(folder, order, seen)

    def _settle(self, folder: Path, order: AttemptOrder, seen: Observation) -> Observation:
        """Keep a final observation for ever, or say that there is no space for it yet."""
        try:
            with storage("keep the state of an attempt in"):
                if seen.reason in {Reason.KILLED, Reason.CLUSTER_DOWN}:
                    killed = documents.encode(_killed_signal(order, self._clock.now()))
                    with contextlib.suppress(files.NotPlainError):
                        files.append_durably(folder / files.SIGNALS, killed)
                files.write_durably(folder / files.STATE, documents.encode(seen).encode())
        except RetryableError as error:
            return _cannot_keep(order, error)
        return self._remember(seen)

    def _remember(self, seen: Observation) -> Observation:
        self._settled[seen.attempt_id] = seen
        return seen


def _state(folder: Path) -> Observation:
    """Return the final observation that an attempt's folder holds."""
    seen = documents.decode(Observation, _read(folder / files.STATE))
    _check(folder, seen.attempt_id)
    return seen


def _read(path: Path) -> bytes:
    try:
        with files.open_plain(path) as file:
            return file.read(files.BYTES_MAX)
    except (FileNotFoundError, files.NotPlainError) as error:
        raise DamagedError(f"cannot read {path.name!r}: {error.strerror}") from error


def _check(folder: Path, attempt: str) -> None:
    """Refuse what tells of another attempt than that of its folder: a task may have written it."""
    if attempt != folder.name:
        raise DamagedError(f"a document in it is of {attempt!r}")


def _stopped(order: AttemptOrder, now: float) -> Observation:
    """Return the observation of an attempt that was stopped and left nothing."""
    return Observation(
        attempt_id=order.attempt_id,
        state=AttemptState.STOPPED,
        handle=order.attempt_id,
        ended_at=now,
        reason=Reason.CANCELLED,
        message="stopped on request",
    )


def _starting(order: AttemptOrder, message: str = "") -> Observation:
    """Return the observation of an attempt that nobody has claimed yet."""
    return Observation(
        attempt_id=order.attempt_id,
        state=AttemptState.RUNNING,
        handle=order.attempt_id,
        message=message,
    )


def _running(folder: Path, order: AttemptOrder, claim: files.Claim) -> Observation:
    """Return the observation of an attempt whose shim lives."""
    endpoint = files.load(folder / files.ENDPOINT) or {}
    return Observation(
        attempt_id=order.attempt_id,
        state=AttemptState.RUNNING,
        handle=order.attempt_id,
        endpoint=str(endpoint.get("url", "")),
        started_at=claim["at"],
    )


def _cannot_keep(order: AttemptOrder, error: RetryableError) -> Observation:
    """Return the observation of an attempt that is over, for which there is no space yet."""
    return Observation(
        attempt_id=order.attempt_id,
        state=AttemptState.RUNNING,
        handle=order.attempt_id,
        message=f"it ended, but its result cannot be kept yet: {error.message}",
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
