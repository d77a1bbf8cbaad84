"""A task of a past run done again from what was kept of it, and its metrics held to the old ones.

The order names the command, its parameters and the digests of its inputs; the store of artefacts
still has them. Nothing of the running engine is touched: the task runs in a folder of its own.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.model import documents
from engine.model.dispatches import AttemptOrder
from engine.model.errors import FinalError, NotFoundError
from engine.model.identifiers import AttemptId
from executors.local import FolderArtifacts, files, launch
from executors.training.tracking import experiments

_SAME = 1e-9
_REASON_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Metrics of a task as they were and as they came again."""

    task: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]

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
    """
    order = order_of(home, attempt)
    old = launch.folder_of(home, attempt) / files.OUTPUTS / "outputs.json"
    before = json.loads(old.read_text(encoding="utf-8")) if old.exists() else {}
    with tempfile.TemporaryDirectory(prefix="berth-again-") as scratch:
        there = Path(scratch)
        repeat = replace(order, attempt_id=AttemptId("again"))
        folder = launch.folder_of(there, repeat.attempt_id)
        for name in (files.OUTPUTS, files.INPUTS, files.WORK):
            (folder / name).mkdir(parents=True)
        store = FolderArtifacts(home / "artifacts")
        for task, digest in order.inputs.items():
            store.lay_out(digest, folder / files.INPUTS / task, durable=False)
        (folder / files.PARAMETERS).write_bytes(files.dump(order.parameters))
        variables = launch.variables(repeat, there)
        done = _run(repeat, variables, folder / files.WORK, seconds_max)
        if done.returncode:
            reason = " ".join(done.stderr.strip().splitlines()[-_REASON_LINES:])
            message = f"task {order.task!r} ends with {done.returncode} now: {reason}"
            raise FinalError(message, fix="compare the environment with `berth compare`")
        written = folder / files.OUTPUTS / "outputs.json"
        after = json.loads(written.read_text(encoding="utf-8"))
    return Again(task=order.task, before=before, after=after)


def _run(
    order: AttemptOrder, variables: Mapping[str, str], folder: Path, seconds_max: float
) -> subprocess.CompletedProcess[str]:
    """Run a task's command to its end.

    Raises:
        FinalError: when it takes longer than it may.
    """
    try:
        return subprocess.run(
            launch.command(order, variables),
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"task {order.task!r} took longer than {seconds_max:g} s"
        raise FinalError(message, fix="allow more with `--minutes`") from error
