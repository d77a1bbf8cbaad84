"""What a run is called in a version of the learned models."""

from __future__ import annotations

from engine.model.plans import task_key
from engine.model.profiles import RunRecord


def run_key(record: RunRecord) -> str:
    """Return what tells a run from all others."""
    return f"{task_key(record.pipeline, record.task)}@{record.ended_at!r}"
