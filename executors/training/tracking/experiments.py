"""The record of a training: data, code, parameters, environment, metrics.

A training task writes `experiment.json` beside its model. It holds no time, so that the same
training has the same record. Metrics are the task's small outputs.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from engine.model.errors import DamagedError, NotFoundError
from executors.tasks.context import Task, write_json

NAME = "experiment.json"
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "skops")
_CHUNK_BYTES = 1 << 20
_FIELDS = ("model", "trials", "target", "reads")
TIMED = ("seconds",)
"""Endings of outputs that are measured by the clock, and so differ from run to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One training of a run.

    data: file to digest. code: versions by name; `commit` where the pipeline's folder is a git
    checkout. environment: interpreter, libraries, machine. metrics: the small outputs.
    """

    task: str
    data: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def flat(self) -> dict[str, str]:
        """Return everything as `part.name` to text."""
        parts = {
            "metrics": self.metrics,
            "parameters": self.parameters,
            "data": self.data,
            "code": self.code,
            "environment": self.environment,
        }
        return {
            f"{part}.{name}": value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for part, values in parts.items()
            for name, value in sorted(values.items())
        }


def write(task: Task, data: Sequence[Path]) -> None:
    """Write the record of a task that has read these files."""
    known = {name: task.spec[name] for name in _FIELDS if task.spec.get(name)}
    write_json(
        task.outputs / NAME,
        {
            "task": task.name,
            "data": {path.name: digest(path) for path in data},
            "code": {
                "berth": metadata.version("berth"),
                "commit": commit(Path(task.environment.get("BERTH_FOLDER", "/nonexistent"))),
            },
            "parameters": {**known, **task.settings, "seed": task.seed},
            "environment": {
                "python": platform.python_version(),
                "machine": f"{platform.system()} {platform.machine()}",
                "threads": os.environ.get("OMP_NUM_THREADS", ""),
                **{name: metadata.version(name) for name in _LIBRARIES},
            },
        },
    )


def read(outputs: Path) -> Experiment:
    """Return the record in the outputs of a task, with its metrics.

    Raises:
        NotFoundError: when the task wrote none.
        DamagedError: when it is not what `write` wrote.
    """
    path = outputs / NAME
    if not path.exists():
        fix = "only training tasks write one"
        raise NotFoundError(f"there is no record at {str(path)!r}", fix=fix)
    try:
        record = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        metrics = json.loads((outputs / "outputs.json").read_text(encoding="utf-8"))
        return Experiment(**record, metrics=metrics)
    except (OSError, ValueError, TypeError) as error:
        raise DamagedError(f"the record {str(path)!r} is damaged: {error}") from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"


def commit(folder: Path) -> str:
    """Return the commit that a folder's git checkout is at, "" where there is none.

    Read from the files of git, so that no task needs git.
    """
    for place in (folder, *folder.parents):
        head = place / ".git" / "HEAD"
        if not head.is_file():
            continue
        text = head.read_text(encoding="utf-8").strip()
        reference = text.removeprefix("ref: ")
        if reference == text:
            return text
        loose = place / ".git" / reference
        if loose.is_file():
            return loose.read_text(encoding="utf-8").strip()
        packed = place / ".git" / "packed-refs"
        lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
        return next((line.split()[0] for line in lines if line.endswith(f" {reference}")), "")
    return ""


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
