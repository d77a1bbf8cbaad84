"""Whose document a text is, and what it becomes."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from engine.documents.foreign import argo, kubeflow
from engine.documents.foreign.tables import Note
from engine.documents.yaml_text import parse_yaml
from engine.model.errors import Fault, InvalidInputError

_DEPTH_MAX = 24
"""Levels of nesting; structures of Kubernetes in workflows are deep."""
_SPLIT = re.compile(r"^---\s*$", re.MULTILINE)
_KFP = re.compile(r"^(?:\"|')?(?:deploymentSpec|pipelineInfo)(?:\"|')?:", re.MULTILINE)
_ARGO = re.compile(r"^apiVersion:\s*[\"']?argoproj\.io/", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A pipeline of another system. `system` names it; `text` is Berth's YAML of it."""

    system: str
    mapping: Mapping[str, object]
    text: str
    notes: tuple[Note, ...]


def is_foreign(text: str) -> bool:
    """Return whether a text is a compiled KFP pipeline or a workflow of Argo."""
    return bool(_KFP.search(text) or _ARGO.search(text))


def import_pipeline(text: str, *, name: str) -> Imported:
    """Read a pipeline of Kubeflow or Argo.

    name: of the document, for messages.

    Raises:
        InvalidInputError: when it is neither, is no YAML, or has no tasks that map.
    """
    parts = _parts(text)
    first = next((part for part in parts if is_foreign(part)), None)
    if first is None:
        message = "is neither a compiled KFP pipeline nor a workflow of Argo"
        fix = "compile it first: `kfp dsl compile --py FILE --output FILE.yaml`"
        raise InvalidInputError(name, [Fault(code="S024", message=message, fix=fix)])
    root, faults = parse_yaml(first, name, depth_max=_DEPTH_MAX)
    if faults:
        raise InvalidInputError(name, faults)
    system = "Kubeflow Pipelines" if _KFP.search(first) else "Argo Workflows"
    reader = kubeflow.Reader(root) if _KFP.search(first) else argo.Reader(root)
    mapping = reader.read()
    notes = list(reader.notes.found)
    for _ in parts[1:]:
        message = "the document of its platform does not map: Berth chooses where tasks run"
        notes.append(Note(line=0, path="---", message=message))
    if not mapping.get("tasks"):
        said = "; ".join(note.message for note in notes[:3]) or "it has none"
        message = f"no task of it maps: {said}"
        raise InvalidInputError(name, [Fault(code="S024", message=message)])
    ordered = sorted(notes, key=lambda note: (note.line, note.path))
    return Imported(system=system, mapping=mapping, text=_yaml(mapping), notes=tuple(ordered))


def _parts(text: str) -> list[str]:
    """Return the documents of a text; of one that is foreign, lines are kept where they were."""
    found: list[str] = []
    start = 0
    for match in [*_SPLIT.finditer(text), None]:
        part = text[start : match.start() if match else len(text)]
        if part.strip() and not all(line.startswith("#") for line in part.split("\n") if line):
            lines = text.count("\n", 0, start) if is_foreign(part) else 0
            found.append("\n" * lines + part)
        start = match.end() if match else len(text)
    return found or [text]


def _yaml(mapping: Mapping[str, object]) -> str:
    """Return a pipeline as YAML."""
    yaml: Any = YAML(typ="safe", pure=True)  # its settings are annotated as None
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 4096
    out = io.StringIO()
    yaml.dump(mapping, out)
    return out.getvalue()
