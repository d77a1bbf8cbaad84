"""From the files of a commit to the files of a package: what stands in `/models` of the image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.model.errors import Fault, InvalidInputError
from executors.packaging import images
from executors.packaging.repository import settings
from executors.packaging.repository.settings import Format, ModelSettings

_CODE_SUFFIXES = (".py", ".json", ".toml", ".txt", ".yaml", ".csv")
_EXAMPLES_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A model ready to become an image. `files` by path below `/models`."""

    settings: ModelSettings
    files: Mapping[str, bytes]
    requirements: str
    history: Mapping[str, Any] | None

    @property
    def example(self) -> dict[str, Any]:
        """Rows with the answers expected."""
        found: dict[str, Any] = json.loads(self.files["example.json"])
        return found

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(len(data) for data in self.files.values())


def assemble(
    code: Mapping[str, bytes], weights: Mapping[str, bytes], given: ModelSettings
) -> Package:
    """Return the package of a commit's files and its weights.

    Raises:
        InvalidInputError: when the examples are missing or none, or the weights are not there.
    """
    example = _example(code.get(settings.GOLDEN_FILE), given)
    files: dict[str, bytes] = {}
    if given.format is Format.PYTHON:
        files = {f"weights/{name}": data for name, data in weights.items()}
        files |= {f"code/{n}": data for n, data in code.items() if n.endswith(_CODE_SUFFIXES)}
    elif given.file not in weights:
        message = f"`file` is {given.file!r}, which {settings.WEIGHTS_FILE} does not name"
        raise _fault("file", message, f"`berth model add {given.file}`")
    else:
        files = {given.file: weights[given.file]}
    files["metadata.json"] = images.canonical(_metadata(given, example))
    files["example.json"] = images.canonical(example)
    history = code.get(settings.HISTORY_FILE)
    return Package(
        settings=given,
        files=files,
        requirements=code.get(settings.REQUIREMENTS_FILE, b"").decode(errors="replace"),
        history=_object(history, settings.HISTORY_FILE) if history is not None else None,
    )


def _metadata(given: ModelSettings, example: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a server has to know; the same keys as those of the built-in `package` task."""
    classes = given.classes
    if classes is None:
        classes = tuple(sorted({int(label) for label in example.get("labels", ())}))
    return {
        "name": given.name,
        "family": given.family,
        "file": given.file,
        "format": given.format.value,
        "class": given.class_name,
        "features": [
            {"name": f.name, "unit": f.unit, "input_unit": f.unit, "factor": 1.0}
            for f in given.features
        ],
        "target": given.target,
        "classes": list(classes),
        "probabilities": bool(example.get("has_probabilities", "labels" in example)),
    }


def _example(data: bytes | None, given: ModelSettings) -> dict[str, Any]:
    """Read the rows whose answers are known.

    Raises:
        InvalidInputError: when they are missing, or do not fit the features.
    """
    name = settings.GOLDEN_FILE
    if data is None:
        raise _fault(
            name, f"{name} is missing", f'write {{"rows": [[...]], "labels": [...]}} to {name}'
        )
    example = _object(data, name)
    rows, width = example.get("rows"), len(given.features)
    if not isinstance(rows, list) or not 0 < len(rows) <= _EXAMPLES_MAX:
        raise _fault(name, f"`rows` of {name} holds no rows, or over {_EXAMPLES_MAX}", "give some")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            message = f"row {number} of {name} does not have the {width} features of the model"
            raise _fault(name, message, "change the row, or `features` in model.toml")
    answers = example.get("outputs") or {"labels": example.get("labels")}
    for key, values in answers.items():
        if not isinstance(values, list) or len(values) != len(rows):
            message = f"`{key}` of {name} does not hold an answer for each of {len(rows)} rows"
            raise _fault(name, message, "give one answer a row")
    return example


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _fault(name, f"{name} is not JSON: {error}", "write it again") from error
    if not isinstance(found, dict):
        raise _fault(name, f"{name} holds no JSON object", "write it again")
    return found


def _fault(path: str, message: str, fix: str) -> InvalidInputError:
    return InvalidInputError(
        settings.FILE, [Fault(code="M003", message=message, path=path, fix=fix)]
    )
