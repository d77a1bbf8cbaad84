"""A task of a past run done again from what was kept of it, and its metrics held to the old ones.

The order names the command, its parameters and the digests of its inputs; the store of artefacts
still has them. Nothing of the running engine is touched: the task runs in a folder of its own.
"""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.model import documents
from engine.model.dispatches import AttemptOrder
from engine.model.errors import FinalError, NotFoundError
from engine.model.identifiers import AttemptId
from executors.local import FolderArtifacts, files, launch, recording, results
from executors.tasks import records
from executors.training.tracking import experiments

_SAME = 1e-9
_REASON_LINES = 3


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
    """Run a command to its good end.

    Raises:
        FinalError: when it has none, or takes longer than it may; with the end of what it said.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{what} took longer than {seconds_max:g} s"
        raise FinalError(message, fix="allow more with `--minutes`") from error
    except OSError as error:
        message = f"{what} cannot be done again in {str(folder)!r}: {error.strerror}"
        raise FinalError(message, fix="bring back what it was done with") from error
    if done.returncode:
        reason = " ".join(done.stderr.strip().splitlines()[-_REASON_LINES:])
        message = f"{what} ends with {done.returncode} now: {reason}"
        raise FinalError(message, fix="compare the environment with `berth compare`")
