"""The built-in `package` task: a trained model becomes an OCI image with all it takes to serve it.

The outputs folder is the image layout. With `BERTH_MODELS` set, the image is also kept in that
registry under the pipeline's name. The same model, data and run give the same digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
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
_TEMPLATE = "template.json"
"""What the train task of a model of operations says of it (`training.operations`)."""
_MADE_WITH = {"onnx": ("torch", "onnx"), "torch": ("torch",), "series": ("statsmodels",)}
_FORMATS = {"model.onnx": "onnx", "model.skops": "skops"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What goes into a package: files by name, what they say of the model, what it was made of."""

    files: Mapping[str, bytes]
    description: Mapping[str, Any]
    materials: Mapping[str, str]


def run(task: Task) -> None:
    """Convert, describe, write, keep."""
    made = _of_template(task) if list(task.upstream_folders(_TEMPLATE)) else _of_classifier(task)
    description = made.description
    digest = images.write_image(
        task.outputs, made.files, labels=_labels(task, description), tag=task.run_id
    )
    _attach(task, made.materials, digest)
    registry = task.environment.get("BERTH_MODELS")
    if registry:
        OciRegistry(Path(registry)).add(task.pipeline, task.outputs, tag=task.run_id)
    task.write_outputs({"digest": digest, "size_bytes": _size(task.outputs)})


def _of_template(task: Task) -> _Made:
    """Return the package of a model of operations, stored in its final form already."""
    folder = task.upstream_folder(_TEMPLATE)
    given = read_json(folder / _TEMPLATE)
    record = read_json(folder / "experiment.json")
    try:
        file = str(given["file"])
        weights = (folder / file).read_bytes()
        materials = {file: images.digest_of(weights), **record["data"]}
        known = {library: metadata.version(library) for library in _MADE_WITH[str(given["format"])]}
    except (OSError, KeyError, TypeError) as error:
        raise BadInputError(f"{_TEMPLATE} of the train task is damaged: {error!r}") from error
    description = {
        **given,
        "name": task.pipeline,
        "run": task.run_id,
        "data_digest": images.digest_of(images.canonical(record["data"])),
        "made_with": known,
    }
    return _Made(
        files={
            file: weights,
            "metadata.json": images.canonical(description),
            "example.json": images.canonical(read_json(folder / "example.json")),
        },
        description=description,
        materials=materials,
    )


def _of_classifier(task: Task) -> _Made:
    """Return the package of a trained scikit-learn pipeline, as ONNX where that is faithful."""
    folder = task.upstream_folder("model.skops")
    model = convert.load(folder / "model.skops")
    rows = _examples(folder / "example.npy")
    converted = convert.convert(model, folder / "model.skops", rows)
    labels = model.predict(rows).astype(np.int64)
    if converted.file == "model.onnx":
        labels = convert.run_onnx(converted.data, rows)
    example = {"rows": _with_nulls(rows[:_EXAMPLES]), "labels": labels[:_EXAMPLES].tolist()}
    description = describe(task, folder, model, converted)
    return _Made(
        files={
            converted.file: converted.data,
            "metadata.json": images.canonical(description),
            "example.json": images.canonical(example),
        },
        description=description,
        materials={
            "data": str(description["data_digest"]),
            "model.skops": images.digest_of((folder / "model.skops").read_bytes()),
        },
    )


def _attach(task: Task, materials: Mapping[str, str], digest: str) -> None:
    """Attach what is in the image, how it came to be, what a scan finds, and who says so."""
    build = Build(
        pipeline=task.pipeline,
        task=task.name,
        run=task.run_id,
        parameters=dict(task.settings),
        materials=dict(materials),
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


def _labels(task: Task, description: Mapping[str, Any]) -> dict[str, str]:
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
