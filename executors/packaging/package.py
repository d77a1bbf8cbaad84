"""The built-in `package` task: a trained model becomes an OCI image with all it takes to serve it.

The outputs folder is the image layout. With `BERTH_MODELS` set, the image is also kept in that
registry under the pipeline's name. The same model, data and run give the same digest.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import BerthError
from executors.packaging import convert, images
from executors.packaging.registry import OciRegistry
from executors.packaging.security import attaching
from executors.packaging.security.signing.provenance import Build
from executors.tasks.context import BadInputError, Task, TaskError, read_json

_EXAMPLES = 16
"""Rows kept in the package, which a server answers before it serves the model."""
_FORMATS = {"model.onnx": "onnx", "model.skops": "skops"}


def run(task: Task) -> None:
    """Convert, describe, write, keep."""
    folder = task.upstream_folder("model.skops")
    model = convert.load(folder / "model.skops")
    rows = _examples(folder / "example.npy")
    converted = convert.convert(model, folder / "model.skops", rows)
    labels = model.predict(rows).astype(np.int64)
    if converted.file == "model.onnx":
        labels = convert.run_onnx(converted.data, rows)
    example = {"rows": _with_nulls(rows[:_EXAMPLES]), "labels": labels[:_EXAMPLES].tolist()}
    description = describe(task, folder, model, converted)
    digest = images.write_image(
        task.outputs,
        {
            converted.file: converted.data,
            "metadata.json": images.canonical(description),
            "example.json": images.canonical(example),
        },
        labels=_labels(task, description),
        tag=task.run_id,
    )
    _attach(task, folder, description, digest)
    registry = task.environment.get("BERTH_MODELS")
    if registry:
        OciRegistry(Path(registry)).add(task.pipeline, task.outputs, tag=task.run_id)
    task.write_outputs({"digest": digest, "size_bytes": _size(task.outputs)})


def _attach(task: Task, folder: Path, description: dict[str, Any], digest: str) -> None:
    """Attach what is in the image, how it came to be, what a scan finds, and who says so."""
    build = Build(
        pipeline=task.pipeline,
        task=task.name,
        run=task.run_id,
        parameters=dict(task.settings),
        materials={
            "data": str(description["data_digest"]),
            "model.skops": images.digest_of((folder / "model.skops").read_bytes()),
        },
        version=metadata.version("berth"),
    )
    try:
        attaching.attach(task.outputs, digest, build, environment=task.environment)
    except BerthError as error:
        raise TaskError(f"the package cannot be signed: {error.message}") from error


def describe(
    task: Task, folder: Path, model: convert.Trained, converted: convert.Converted
) -> dict[str, Any]:
    """Return the metadata of a package: features with units and conversion, reference, quality."""
    schema = read_json(folder / "schema.json")
    outputs = read_json(folder / "outputs.json")
    return {
        "name": task.pipeline,
        "run": task.run_id,
        "family": outputs["model"],
        "file": converted.file,
        "format": _FORMATS[converted.file],
        "agreement": converted.agreement,
        "features": schema["columns"],
        "target": schema["target"],
        "probabilities": hasattr(model, "predict_proba"),
        "classes": [int(label) for label in model.classes_],
        "reference": read_json(folder / "reference.json"),
        "quality": outputs["quality"],
        "quality_std": outputs["quality_std"],
        "data_digest": schema["source"]["digest"],
        "made_with": {name: metadata.version(name) for name in ("scikit-learn", "skl2onnx")},
    }


def _labels(task: Task, description: dict[str, Any]) -> dict[str, str]:
    """Return the image's labels, by the names of the OCI annotations where there are some."""
    return {
        "org.opencontainers.image.title": task.pipeline,
        "berth.family": str(description["family"]),
        "berth.run": task.run_id,
        "berth.quality": f"{description['quality']:.4f}",
        "berth.data": str(description["data_digest"]),
    }


def _examples(path: Path) -> NDArray[np.float64]:
    """Return the example rows without their target."""
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInputError(f"{path.name} of the train task is damaged: {error}") from error
    return np.asarray(rows[:, :-1], dtype=np.float64)


def _with_nulls(rows: NDArray[np.float64]) -> list[list[float | None]]:
    """Return rows for JSON, which has no not-a-number."""
    return [[None if np.isnan(value) else float(value) for value in row] for row in rows]


def _size(layout: Path) -> int:
    """Return the bytes of the image: its manifest and all that it names."""
    entry = images.read_index(layout)[-1]
    manifest = json.loads(images.blob_path(layout, entry["digest"]).read_bytes())
    parts = [manifest["config"], *manifest["layers"]]
    return int(entry["size"]) + sum(int(part["size"]) for part in parts)
