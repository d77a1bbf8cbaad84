"""The built-in `evaluate` task: compares trained models and holds the best one to the gates.

A model that fails a gate of its own (not-a-number, loss that did not fall, missing outputs) is
out; the best of the others must reach the bound and must not be worse than the served one by
more than is allowed. How good that one is, its package says (tag `serving` of the registry
`BERTH_MODELS`), or the parameter `served_quality`. Writes `judgement.json`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.model.errors import DamagedError, NotFoundError
from executors.packaging import images
from executors.packaging.registry import SERVING, OciRegistry
from executors.tasks.context import BadInputError, GateError, Scalar, Task, write_json
from executors.training import reported

Outputs = Mapping[str, Scalar]


def run(task: Task) -> None:
    """Judge the upstream models; ends with the failing gate and its numbers when none passes."""
    gates: Mapping[str, Any] = task.spec.get("gates") or {}
    judged = {name: task.upstream[name] for name in task.spec["after"] if task.upstream.get(name)}
    if not judged:
        raise BadInputError("no upstream task wrote outputs to judge")
    refused = {
        name: fault for name, outputs in judged.items() if (fault := own_fault(outputs, gates))
    }
    passing = {name: outputs for name, outputs in judged.items() if name not in refused}
    if not passing:
        reasons = "; ".join(f"{name}: {fault}" for name, fault in sorted(refused.items()))
        raise GateError(f"no model passed its gates: {reasons}")
    best = min(passing, key=lambda name: (-_number(passing[name], "quality"), name))
    quality = _number(passing[best], "quality")
    check_bound(best, quality, gates, served_quality(task))
    scores = {name: _number(outputs, "quality") for name, outputs in passing.items()}
    leak = reported.reported_on_test(passing)
    write_json(
        task.outputs / "judgement.json",
        {"best": best, "refused": refused, "quality": scores, "leak": str(leak or "")},
    )
    if leak is not None:
        sys.stderr.write(f"warning: {leak}; the quality of the best is too good by chance\n")
    task.write_outputs({"best": best, "quality": quality, "passed": True})


def own_fault(outputs: Outputs, gates: Mapping[str, Any]) -> str:
    """Return which gate a model fails by itself, with numbers, or ""."""
    wanted = ["quality", *gates.get("outputs", ())]
    missing = [name for name in wanted if name not in outputs]
    if missing:
        return f"outputs: expected {', '.join(missing)}, found {', '.join(sorted(outputs))}"
    numbers = {name: value for name, value in outputs.items() if isinstance(value, float)}
    broken = sorted(name for name, value in numbers.items() if not math.isfinite(value))
    if gates.get("forbid_nan", True) and broken:
        return f"not a number: {', '.join(broken)}"
    if gates.get("loss_must_fall", True) and {"loss_first", "loss_last"} <= set(outputs):
        first, last = _number(outputs, "loss_first"), _number(outputs, "loss_last")
        if not last < first:
            return f"loss: must fall, went from {first:.4g} to {last:.4g}"
    return ""


def check_bound(name: str, quality: float, gates: Mapping[str, Any], served: float | None) -> None:
    """Hold the best model to the bound and to the model in service.

    Raises:
        GateError: with the gate and its numbers.
    """
    bound = gates.get("quality_at_least")
    if bound is not None and not quality >= bound:
        raise GateError(f"quality: {name} has {quality:.4f}, needs at least {bound:g}")
    drop = gates.get("quality_drop_at_most")
    if drop is None or served is None:
        return
    least = served - float(drop)
    if quality < least:
        raise GateError(
            f"quality drop: {name} has {quality:.4f}, needs at least {least:.4f}"
            f" ({served:.4f} in service, at most {drop:g} less)"
        )


def served_quality(task: Task) -> float | None:
    """Return the quality of the model in service, or None when there is none.

    Raises:
        BadInputError: when its package is damaged.
    """
    if "served_quality" in task.settings:
        return task.number("served_quality", 0.0)
    registry = OciRegistry(Path(task.environment.get("BERTH_MODELS") or "/nonexistent"))
    try:
        digest = registry.resolve(task.pipeline, SERVING)
        image = images.read_image(registry.layout(task.pipeline), digest)
        return float(image.metadata["quality"])
    except NotFoundError:
        return None
    except (DamagedError, KeyError, ValueError) as error:
        raise BadInputError(f"the package of the model in service is damaged: {error}") from error


def _number(outputs: Outputs, name: str) -> float:
    value = outputs[name]
    if isinstance(value, str):
        raise BadInputError(f"output {name!r} is {value!r}, expected a number")
    return float(value)
