"""What is said of models in repositories: their releases, and what became of a push."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswer:
    """One test of a model."""

    name: str
    holds: bool
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAnswer:
    """A push that was taken. stages: where it serves now; seconds: by stage of the work."""

    name: str
    commit: str
    package: str
    image: str
    gates: tuple[GateAnswer, ...]
    stages: tuple[str, ...]
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEvent:
    """One line of a model's journal; `at` in seconds since 1970."""

    name: str
    at: float
    kind: str
    commit: str
    package: str
    image: str
    stage: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """A model and the packages that it serves, "" for none."""

    name: str
    repository: str
    newest: str
    test: str
    production: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAnswer:
    """A webhook's message that was taken; `commit` is "" when it is of another branch."""

    name: str
    commit: str
