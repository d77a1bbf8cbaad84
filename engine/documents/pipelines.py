"""Pipelines from YAML and from plain mappings, back again, and what was filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from engine.documents import checks, fleet_names, loops
from engine.documents.codecs.base import Schema
from engine.documents.pipeline_form import PIPELINE
from engine.documents.sources import Node, from_plain
from engine.documents.task_form import outlines
from engine.documents.yaml_text import parse_yaml
from engine.model.errors import Fault, InvalidInputError
from engine.model.fleet import Fleet
from engine.model.specs import PipelineSpec


def read_pipeline(
    text: str, *, name: str, as_of: float, fleet: Fleet | None = None
) -> PipelineSpec:
    """Read a pipeline from YAML.

    name: of the document, for messages (a file name). as_of: the instant (seconds since 1970,
    UTC) before which a deadline has passed. fleet: what `check_against` will hold the pipeline
    against; of a document with faults, the names that it has not are told with them.

    Raises:
        InvalidInputError: with all faults, each with line, column, caret length and code.
    """
    root, faults = parse_yaml(text, name)
    return _spec(root, name, as_of, faults, fleet)


def pipeline_from(
    mapping: Mapping[str, object],
    *,
    name: str,
    as_of: float | None = None,
    fleet: Fleet | None = None,
) -> PipelineSpec:
    """Read a pipeline from plain data (REST, Python client): the same keys and texts as in YAML.

    Without `as_of` no deadline counts as passed; `fleet` as for `read_pipeline`.

    Raises:
        InvalidInputError: with all faults, each placed by its path.
    """
    return _spec(from_plain(mapping, name), name, as_of, [], fleet)


def _spec(
    root: Node, name: str, as_of: float | None, faults: list[Fault], fleet: Fleet | None = None
) -> PipelineSpec:
    root = loops.expanded(root, faults)
    values = PIPELINE.gather(root, faults)
    tasks = outlines(root)
    faults.extend(checks.task_faults(root, tasks))
    faults.extend(checks.deadline_faults(root, as_of))
    if faults:
        faults.extend(fleet_names.unknown_names(root, tasks, fleet) if fleet else ())
        placed = sorted(faults, key=lambda item: (item.line, item.column))
        # Every task of a loop has the faults of the loop, at the same place.
        once = {
            (f.code, f.line, f.column) if f.line else (f.code, f.path, f.message): f
            for f in reversed(placed)
        }
        raise InvalidInputError(name, tuple(reversed(once.values())))
    return PIPELINE.build(values)


def pipeline_mapping(spec: PipelineSpec) -> dict[str, object]:
    """Return a pipeline as plain data that `pipeline_from` reads back as the same value."""
    return PIPELINE.write(spec)


def pipeline_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a pipeline document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://berth.invalid/schema/pipeline.json",
        "title": "Berth pipeline",
        **PIPELINE.schema(),
    }


@dataclass(frozen=True, slots=True)
class Filled:
    """A default that was filled in: the path of the key and the value as it would be written."""

    path: str
    value: str


def filled_defaults(text: str, *, name: str = "the document") -> tuple[Filled, ...]:
    """Return what was filled in for keys that a pipeline document leaves out.

    Raises:
        InvalidInputError: when the document has faults.
    """
    root, faults = parse_yaml(text, name)
    spec = _spec(root, name, None, faults)
    return tuple(_missing(PIPELINE.write(spec), loops.expanded(root, [])))


def _missing(written: Mapping[str, object], node: Node) -> list[Filled]:
    members = node.members or {}
    found: list[Filled] = []
    for key, value in written.items():
        member = members.get(key)
        path = f"{node.path}.{key}" if node.path else key
        if isinstance(value, Mapping):
            inner = member or Node(path, {})
            found.extend(_missing(cast("Mapping[str, object]", value), inner))
        elif member is None:
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            found.append(Filled(path, shown))
    return found
