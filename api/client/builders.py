"""Pipelines in Python: the same keys as the YAML file, so the same mapping, so the same plan.

Nothing is checked here: the engine checks the mapping, and names all faults at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.messages.questions import Document

# Words of the YAML file that Python does not allow as names of arguments.
_WORDS = {"at_most": "at most", "cool_down": "cool down"}


@dataclass(frozen=True, slots=True)
class Task:
    """One task: its name, and the mapping that stands behind it in a YAML file."""

    name: str
    mapping: Mapping[str, Any]


def etl(name: str = "etl", **keys: object) -> Task:
    """Return a task that reads raw data and lays it out as a table.

    keys: as in the YAML file (`reads`, `volume`, `target`, `schema`, `after`, `memory`, ...).
    """
    return _task(name, "etl", keys)


def features(name: str = "features", **keys: object) -> Task:
    """Return a task that makes features of a table; keys as in the YAML file."""
    return _task(name, "features", keys)


def train(name: str = "train", **keys: object) -> Task:
    """Return a task that trains; keys as in the YAML file (`after`, `model`, `trials`, ...)."""
    return _task(name, "train", keys)


def evaluate(name: str = "evaluate", **keys: object) -> Task:
    """Return a task that compares models and holds them against `gates`."""
    return _task(name, "evaluate", keys)


def package(name: str = "package", **keys: object) -> Task:
    """Return a task that packs a model as an image; keys as in the YAML file."""
    return _task(name, "package", keys)


def serve(name: str = "serve", **keys: object) -> Task:
    """Return a task that serves a model (`requests`, `p99`, `availability`, `after`, ...)."""
    return _task(name, "serve", keys)


def _task(name: str, kind: str, keys: Mapping[str, object]) -> Task:
    return Task(name, {"kind": kind, **keys})


class Pipeline:
    """A pipeline as a value: it can be planned by a `Client`.

    deadline, keep: as under `sla`; budget, regions, providers: as under `limits`; retrain: the
    mapping under `retrain`, in which `at_most` and `cool_down` may stand for `at most` and
    `cool down`; keys: anything else that stands at the top of a YAML file (`owner`, `seed`).
    folder: where relative paths of `reads` start, the working folder unless told otherwise.
    """

    def __init__(
        self,
        name: str,
        *,
        tasks: Sequence[Task],
        folder: str | os.PathLike[str] | None = None,
        **keys: object,
    ) -> None:
        self.name = name
        self.folder = os.path.abspath(folder or ".")  # noqa: PTH100 - symbolic links stay
        mapping: dict[str, Any] = {"pipeline": name}
        for group, members in (
            ("sla", ("deadline", "keep", "weight")),
            ("limits", ("budget", "regions", "providers")),
        ):
            values = {member: keys.pop(member) for member in members if member in keys}
            if values:
                mapping[group] = {**_mapping(keys.pop(group, {})), **values}
        if "retrain" in keys:
            policy = _mapping(keys.pop("retrain"))
            mapping["retrain"] = {_WORDS.get(key, key): value for key, value in policy.items()}
        mapping.update(keys)
        mapping["tasks"] = {task.name: dict(task.mapping) for task in tasks}
        self.mapping: Mapping[str, Any] = mapping

    def document(self) -> Document:
        """Return the pipeline as a document that the engine reads."""
        return Document(name=self.name, mapping=self.mapping, folder=self.folder)


def _mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping, or an empty one for what is none: the engine names that fault."""
    return value if isinstance(value, Mapping) else {}
