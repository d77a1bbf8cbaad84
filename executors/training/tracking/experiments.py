"""The record of a training: data, code, parameters, environment, artefacts, metrics.

A training task writes `experiment.json` beside its model (`executors.tasks.records`). Metrics are
the task's small outputs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TypeGuard, cast

from engine.model.errors import DamagedError, NotFoundError
from executors.local import files
from executors.tasks import records
from executors.tasks.context import Task

NAME = records.NAME
_FIELDS = ("model", "trials", "target", "reads")
TIMED = ("seconds", "_ms", "per_second", "faster")
"""Endings of outputs that are measured by the clock, and so differ from run to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One training of a run.

    data: file, or task before it, to digest. code: versions and digests by name; `commit` where the
    pipeline's folder is a git checkout. environment: interpreter, libraries, machine.
    artifacts: file that was written to digest. metrics: the small outputs.
    """

    task: str
    data: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def flat(self) -> dict[str, str]:
        """Return everything as `part.name` to text."""
        parts = {
            "metrics": self.metrics,
            "parameters": self.parameters,
            "data": self.data,
            "code": self.code,
            "environment": self.environment,
            "artifacts": self.artifacts,
        }
        return {
            f"{part}.{name}": value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for part, values in parts.items()
            for name, value in sorted(values.items())
        }


def write(task: Task, data: Sequence[Path]) -> None:
    """Write the record of a built-in task that has read these files and written all others."""
    known = {name: task.spec[name] for name in _FIELDS if task.spec.get(name)}
    folder = Path(task.environment.get("BERTH_FOLDER", "/nonexistent"))
    record = {
        "task": task.name,
        "data": {path.name: records.digest(path) for path in data},
        "code": {"berth": metadata.version("berth"), "commit": records.commit(folder)},
        "parameters": {**known, **task.settings, "seed": task.seed},
        "environment": records.environment(),
        "artifacts": records.artifacts(task.outputs),
    }
    records.write(task.outputs, record)


def find(outputs: Path) -> Experiment | None:
    """Return the record in the outputs of a task; None for none, and for a file of the task's own.

    Raises:
        DamagedError: as `read`.
    """
    if not os.path.lexists(outputs / NAME):
        return None
    found = _json(outputs / NAME)
    return _with_metrics(found, outputs) if _is_whole(found) else None


def read(outputs: Path) -> Experiment:
    """Return the record in the outputs of a task, with its metrics.

    Raises:
        NotFoundError: when the task wrote none.
        DamagedError: when it is not what `write` wrote.
    """
    path = outputs / NAME
    if not os.path.lexists(path):
        fix = "only training tasks write one"
        raise NotFoundError(f"there is no record at {str(path)!r}", fix=fix)
    found = _json(path)
    if not _is_whole(found):
        raise DamagedError(f"the record {str(path)!r} is damaged: it names no task, or other parts")
    return _with_metrics(found, outputs)


def _is_whole(found: object) -> TypeGuard[records.Record]:
    return records.is_record(found) and "task" in found


def _with_metrics(record: records.Record, outputs: Path) -> Experiment:
    metrics = _json(outputs / records.OUTPUTS)
    if not isinstance(metrics, dict):
        place = str(outputs / records.OUTPUTS)
        raise DamagedError(f"the metrics {place!r} of a record are damaged: they are no object")
    return Experiment(**record, metrics=cast("dict[str, Any]", metrics))


def _json(path: Path) -> object:
    """Return what a file says, which a task may have written, or put a link or pipe there.

    Raises:
        DamagedError: when it is no plain file of JSON.
    """
    try:
        return files.read(path)
    except (OSError, ValueError) as error:
        raise DamagedError(f"the record {str(path)!r} is damaged: {error}") from error


def differences(
    first: Mapping[str, Mapping[str, str]], second: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, str, str, str]]:
    """Return task, key and both values of what two runs differ in; all metrics always.

    first, second: by task, its record by `flat`.
    """
    found: list[tuple[str, str, str, str]] = []
    for task in [*first, *(name for name in second if name not in first)]:
        mine, other = first.get(task, {}), second.get(task, {})
        for key in [*mine, *(name for name in other if name not in mine)]:
            one, two = mine.get(key, "-"), other.get(key, "-")
            if one != two or key.startswith("metrics."):
                found.append((task, key, one, two))
    return found
