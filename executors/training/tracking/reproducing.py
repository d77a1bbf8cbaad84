"""A task of a past run done again from what was kept of it, and its metrics held to the old ones.

The order names the command, its parameters and the digests of its inputs; the store of artefacts
still has them. Nothing of the running engine is touched: the task runs in a folder of its own.
"""

from __future__ import annotations

import math
import os
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from engine.model import documents
from engine.model.dispatches import AttemptOrder
from engine.model.errors import FinalError, NotFoundError
from engine.model.identifiers import AttemptId
from executors.local import FolderArtifacts, files, launch, processes, recording, results
from executors.tasks import records
from executors.training.tracking import experiments

_SAME = 1e-9
_REASON_LINES = 3
_TAIL_BYTES = 8_192
_MARK = "BERTH_AGAIN"
"""Variable by which all that a command started is found, as the shim does by `BERTH_ATTEMPT`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Metrics of a task as they were and as they came again.

    changed: what of data, code and environment is not as it was.
    """

    task: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    changed: tuple[str, ...] = ()

    def same(self, name: str) -> bool:
        """Whether a metric came out the same, to rounding."""
        one, two = self.before.get(name), self.after.get(name)
        if isinstance(one, float | int) and isinstance(two, float | int):
            return math.isclose(one, two, rel_tol=_SAME, abs_tol=_SAME)
        return one == two

    @property
    def names(self) -> list[str]:
        """Metrics that are not measured by the clock."""
        every = sorted({*self.before, *self.after})
        return [name for name in every if not name.endswith(experiments.TIMED)]

    @property
    def reproduced(self) -> bool:
        """Whether all of them came out the same."""
        return all(self.same(name) for name in self.names)


def order_of(home: Path, attempt: str) -> AttemptOrder:
    """Return what an attempt was asked.

    Raises:
        NotFoundError: when its folder is gone.
    """
    path = launch.folder_of(home, attempt) / files.ORDER
    if not path.exists():
        message = f"nothing is kept of attempt {attempt!r} in {str(home)!r}"
        raise NotFoundError(message, fix="run it on the machine that holds the data folder")
    return documents.adapter(AttemptOrder).validate_json(path.read_bytes())


def again(home: Path, attempt: str, *, seconds_max: float) -> Again:
    """Run an attempt's task again and return its metrics beside the old ones.

    Raises:
        NotFoundError: when its folder or an input is gone.
        FinalError: when the task fails now, with the end of what it said.
        DamagedError: when it writes no metrics now.
    """
    order = order_of(home, attempt)
    done = launch.folder_of(home, attempt)
    before = files.load(done / files.OUTPUTS / records.OUTPUTS) or {}
    with tempfile.TemporaryDirectory(prefix="berth-again-") as scratch:
        there = Path(scratch)
        repeat = replace(order, attempt_id=AttemptId("again"))
        folder = launch.folder_of(there, repeat.attempt_id)
        for name in (files.INPUTS, files.OUTPUTS, files.WORK):
            (folder / name).mkdir(parents=True)
        store = FolderArtifacts(home / "artifacts")
        for task, digest in order.inputs.items():
            store.lay_out(digest, folder / files.INPUTS / task, durable=False)
        (folder / files.PARAMETERS).write_bytes(files.dump(order.parameters))
        told = files.read_launch(done)
        variables = launch.environment(repeat, there, len(told["cpus"]) if told else 1)
        command = launch.command(repeat, launch.variables(repeat, there))
        what = f"task {order.task!r}"
        finish(command, folder / files.WORK, variables, seconds_max=seconds_max, what=what)
        if told:
            recording.record(folder, {**told, "command": command}, variables)
        written = folder / files.OUTPUTS
        after = results.read_outputs(written)
        was, now = (recording.said(place) or {} for place in (done / files.OUTPUTS, written))
    return Again(task=order.task, before=before, after=after, changed=changed(was, now))


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which data, code and environment of a record another one has otherwise."""
    return tuple(
        f"{part}.{name}"
        for part in ("data", "code", "environment")
        for name, value in sorted(before.get(part, {}).items())
        if name in after.get(part, {}) and after[part][name] != value
    )


def finish(
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    *,
    seconds_max: float,
    what: str,
) -> None:
    """Run a command to its good end, and leave nothing running that it started.

    Raises:
        FinalError: when it has none, or takes longer than it may; with the end of what it said.
    """
    # Its own errors go to a file: a pipe would last as long as anything that it started.
    with tempfile.TemporaryFile() as errors:
        mark = {_MARK: uuid.uuid4().hex}
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**variables, **mark},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        except OSError as error:
            message = f"{what} cannot be done again in {str(folder)!r}: {error.strerror}"
            raise FinalError(message, fix="bring back what it was done with") from error
        try:
            code = process.wait(seconds_max)
        except subprocess.TimeoutExpired as error:
            message = f"{what} took longer than {seconds_max:g} s"
            raise FinalError(message, fix="allow more with `--minutes`") from error
        finally:
            _end(process, mark)
        if code:
            message = f"{what} ends with {code} now: {_last_words(errors)}"
            raise FinalError(message, fix="compare the environment with `berth compare`")


def _end(process: subprocess.Popen[bytes], mark: Mapping[str, str]) -> None:
    """End a command and all that it started, also what left its group or its session."""
    if process.poll() is None:
        processes.kill_tree(process.pid)
        process.wait()
    processes.kill_having(mark)


def _last_words(errors: IO[bytes]) -> str:
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TAIL_BYTES))
    said = errors.read().decode(errors="replace").strip()
    return " ".join(said.splitlines()[-_REASON_LINES:])
