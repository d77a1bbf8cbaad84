"""A failed attempt with everything that speaks for what to do next: what choosers are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.model.dispatches import Attempt
from engine.model.identifiers import MicroDollars
from engine.model.profiles import Profile, RunRecord
from engine.model.remedies import Diagnosis, Retry
from engine.model.resources import Resources
from engine.model.specs import Scalar, TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A pool on which the next attempt could run.

    room: of the nodes that the task takes, together. price_micro_dollars_per_hour: of those
    nodes. speed: reference seconds in a second there.
    """

    cluster: str
    pool: str
    room: Resources
    price_micro_dollars_per_hour: MicroDollars
    speed: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed attempt that rules do not forbid to repeat.

    attempts: of the task in this run, the failed one last. planned: what the plan holds for it on
        all its nodes. places: where it may run, that of the failed attempt first.
    attributes: what was known of it before it ran. runs: past runs of this very task, oldest
        first. retries: past retries of any task, oldest first.
    batch_size: of the failed attempt; None where the task has none.
    retries_left: so many more attempts the task may have, this one included.
    seconds: expected of one attempt, on a machine of speed 1.
    """

    pipeline: str
    task: TaskSpec
    diagnosis: Diagnosis
    attempts: tuple[Attempt, ...]
    planned: Resources
    places: tuple[Place, ...]
    attributes: Mapping[str, Scalar]
    seconds: float
    retries_left: int = 1
    batch_size: int | None = None
    profile: Profile | None = None
    runs: tuple[RunRecord, ...] = ()
    retries: tuple[Retry, ...] = ()
