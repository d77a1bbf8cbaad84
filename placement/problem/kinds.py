"""What makes tasks alike for every pool: all but how long they run and what they are called.

Thousands of tasks come in few kinds, so that pools are held against a kind once.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import fields

from engine.model.profiles import Profile
from engine.model.specs import PipelineSpec, TaskSpec

_OWN_OF_TASK = {
    "name",
    "after",
    "when",
    "join",
    "command",
    "image",
    "reads",
    "writes",
    "volume_gib",
    "data_in",
    "output_gib",
    "rows",
    "target",
    "schema",
    "model",
    "trials",
    "gates",
    "retries",
    # Who stands beside whom is settled between jobs, after the pools of each are known.
    "labels",
    "beside",
    "apart_from",
}
_OWN_OF_PROFILE = {"task", "duration_seconds", "machines", "evidence", "storage"}

# Whatever is not known to be a task's own tells kinds apart: a field that is new does.
_OF_TASK = [field.name for field in fields(TaskSpec) if field.name not in _OWN_OF_TASK]
_OF_PROFILE = [field.name for field in fields(Profile) if field.name not in _OWN_OF_PROFILE]


def kind_key(pipeline: PipelineSpec, task: TaskSpec, profile: Profile) -> Hashable:
    """Return the same key for tasks that no pool tells apart but by the time they take."""
    return (
        pipeline.owner,
        pipeline.limits,
        profile.duration_seconds is None,
        # Of what it reads, only where that lies keeps it off a pool.
        pipeline.reads_outside(task),
        *(_hashable(getattr(task, name)) for name in _OF_TASK),
        *(_hashable(getattr(profile, name)) for name in _OF_PROFILE),
    )


def _hashable(value: object) -> Hashable:
    if isinstance(value, Mapping):
        # By their names alone: what they map to may be long, and is slow to spell out.
        return tuple(sorted(value.items(), key=lambda item: str(item[0])))
    return value
