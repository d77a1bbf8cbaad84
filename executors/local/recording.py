"""The record of a command of the user's own, written by the runner beside it when it ended well.

Built-in trainings write theirs themselves. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
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
        asked = json.loads((folder / files.PARAMETERS).read_bytes())
        spec = asked["task"]
        outputs = folder / files.OUTPUTS
        if spec.get("command") and spec["kind"] in _KINDS and _has_metric(outputs):
            said = records.said(outputs)
            if said is not None:
                known = _known(asked, launch, Path(environment["BERTH_FOLDER"]))
                known["artifacts"] = records.artifacts(outputs)
                records.write(outputs, records.filled(said, known))


def _has_metric(outputs: Path) -> bool:
    values = json.loads((outputs / records.OUTPUTS).read_bytes()).values()
    return any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _known(asked: Mapping[str, Any], launch: files.Launch, folder: Path) -> records.Record:
    """Return what made an attempt: asked: its parameters; folder: of the pipeline."""
    spec = asked["task"]
    code, data = records.named(launch["command"], folder)
    reads = folder / str(spec.get("reads") or "")
    if spec.get("reads") and reads.exists():
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
