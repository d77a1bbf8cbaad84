"""The `train` task of a template: writes what the `package` task needs, and what made it.

model.onnx, model.pt2 or model.arima.json      the weights
template.json                                   what a package says of them
example.json                                    golden requests
metrics.json, experiment.json, outputs.json     as every training writes them
"""

from __future__ import annotations

from typing import Any

from executors.tasks.context import BadInputError, Origin, Task, write_json
from executors.tasks.reporting import TrainingReport
from executors.training.operations import template
from executors.training.operations.template import Order, Template, Trained
from executors.training.tracking import experiments

DESCRIPTION = "template.json"
EXAMPLE = "example.json"


def run(task: Task, chosen: Template) -> None:
    """Train a template on what the task reads, and write it."""
    source = task.reads
    if not source.exists():
        raise BadInputError(f"{str(task.spec['reads'])!r} is not there")
    report = TrainingReport(task.environment)
    order = Order(source=source, settings=task.settings, seed=task.seed, report=report)
    trained = template.train(chosen, order)
    (task.outputs / trained.file).write_bytes(trained.weights)
    write_json(task.outputs / DESCRIPTION, description(trained))
    write_json(task.outputs / EXAMPLE, trained.example)
    files = [path for path in trained.data if path.is_file()]
    data = files or sorted(path for path in source.glob("*") if path.is_file())
    outputs = trained.outputs()
    write_json(task.outputs / "metrics.json", {**outputs, "losses": list(trained.losses)})
    experiments.write(task, data)
    origin = Origin("training", f"model:{task.pipeline}/{chosen.value}", {"model": chosen.value})
    for loss in trained.losses:
        task.signal(origin, "loss", loss)
    task.write_outputs(outputs)


def description(trained: Trained) -> dict[str, Any]:
    """Return what a package has to say of a trained template."""
    return {
        "family": trained.template.value,
        "file": trained.file,
        "format": trained.format.value,
        "features": [
            {"name": name, "unit": "", "input_unit": "", "factor": 1.0} for name in trained.features
        ],
        "classes": list(range(len(trained.classes))),
        "class_names": list(trained.classes),
        "probabilities": bool(trained.classes),
        "quality": trained.quality,
        "quality_std": trained.quality_std,
        "quality_is": trained.quality_name,
        "baseline": trained.baseline,
        "baseline_is": trained.baseline_name,
    }
