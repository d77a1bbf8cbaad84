"""The record of a command of the user's own, written by the runner beside it when it ended well.

Built-in trainings write theirs themselves. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from executors.local import files
from executors.tasks import records

_KINDS = {"train", "evaluate"}
"""Kinds of task whose numbers are metrics of a model; those of others count rows."""


def record(folder: Path, launch: files.Launch, environment: Mapping[str, str]) -> None:
    """Write `experiment.json` into the outputs of an attempt, where they hold a metric.

    What cannot be read or written is left out: no attempt fails for its record.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        asked: dict[str, Any] = files.load(folder / files.PARAMETERS) or {}
        spec = asked["task"]
        outputs = folder / files.OUTPUTS
        if spec.get("command") and spec["kind"] in _KINDS and _has_metric(outputs):
            told = said(outputs)
            if told is not None:
                known = _known(asked, launch, Path(environment["BERTH_FOLDER"]))
                known["artifacts"] = records.artifacts(outputs)
                records.write(outputs, records.filled(told, known))


def said(outputs: Path) -> records.Record | None:
    """Return the record that a task wrote itself: {} for none, None where the file is another's.

    A command of one's own may write some parts of a record; the rest is added.
    """
    path = outputs / records.NAME
    if not os.path.lexists(path):
        return {}
    with contextlib.suppress(OSError):
        found = files.load(path)
        return found if records.is_record(found) else None
    return None


def _has_metric(outputs: Path) -> bool:
    values = (files.load(outputs / records.OUTPUTS) or {}).values()
    return any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _known(asked: Mapping[str, Any], launch: files.Launch, folder: Path) -> records.Record:
    """Return what made an attempt: asked: its parameters; folder: of the pipeline."""
    spec = asked["task"]
    code, data = records.named(launch["command"], folder)
    reads = folder / str(spec.get("reads") or "")
    if spec.get("reads") and (reads.is_file() or reads.is_dir()):
        data[str(spec["reads"])] = records.digest(reads)
    return {
        "task": spec["name"],
        "data": {**data, **launch.get("inputs", {})},
        "code": {
            **code,
            "command": " ".join(spec["command"]),
            "commit": launch.get("commit", ""),
        },
        "parameters": {
            **spec.get("parameters", {}),
            **asked.get("overrides", {}),
            "seed": asked.get("seed", 0),
        },
        "environment": records.environment(),
    }
