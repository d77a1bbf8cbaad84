"""What was learned of past runs: versions of models with their scores, and how promises were kept.

Runs themselves are `profiles.RunRecord`, each with what was said of it before it began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.model.profiles import Profile, RunRecord
from engine.model.sizing import ServiceSize
from engine.model.specs import TaskKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How a model of one quantity of one kind of task did on runs that it had not seen.

    loss: mean absolute logarithm of forecast over truth; loss_before: of the version that was in
        force, None where it had no model; loss_preset: of the presets.
    """

    kind: TaskKind
    quantity: str
    run_count: int
    loss: float
    loss_before: float | None
    loss_preset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One refit of the models: what they were learned from, how they did, what became of it.

    from_seconds, to_seconds: when the first and the last run ended that it learned from.
    promoted: whether it was found better than what was in force; why: in words.
    """

    number: int
    fitted_at: float
    from_seconds: float
    to_seconds: float
    run_count: int
    scores: tuple[Score, ...]
    promoted: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekOfRuns:
    """What share of a kind's runs in one week lay at or under the quantiles that were told.

    week: ISO week (`2026-W48`); covered: level (`0.95`) to share, of durations; kept: false when
        the share at P95 is so low that chance alone makes it in one of a hundred weeks.
    """

    week: str
    kind: TaskKind
    run_count: int
    covered: Mapping[str, float]
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningReport:
    """The learning store: which version is in force, all versions, and promises kept by week.

    in_force: its number, 0 for none. note: what is wrong with the store; "" when nothing is.
    """

    in_force: int
    note: str
    versions: tuple[ModelVersion, ...]
    weeks: tuple[WeekOfRuns, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHistory:
    """A task with what is said of its next run, and the past runs behind that, newest first.

    profile: None where no plan has the task, so that nothing is known of it but its runs.
    size: what it should hold as a running service; None for a task that does not serve now.
    """

    pipeline: str
    task: str
    profile: Profile | None
    runs: tuple[RunRecord, ...]
    size: ServiceSize | None = None
