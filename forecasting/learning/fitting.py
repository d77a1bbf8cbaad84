"""A refit of the models of all kinds of task, and whether it is better than what is in force.

Tasks are cut into folds, so that a task is told by trees that never saw it. The score is taken on
the latest runs: of trees that were learned from nothing later, against what the version in force
honestly says of the same runs, and against the presets. A refit is promoted when it is better
than both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from engine.model.learning import ModelVersion, Score
from engine.model.plans import task_key
from engine.model.profiles import RunRecord
from engine.model.specs import TaskKind
from forecasting.learning import replaying
from forecasting.learning.features import families_of, row
from forecasting.learning.keys import run_key
from forecasting.learning.learned import Learned, Oracle, TreeModel
from forecasting.learning.store import LearningStore
from forecasting.learning.timed import DurationModel
from forecasting.methods.question import FLOOR, Mask
from forecasting.presets import Quantity, preset
from forecasting.profiles.rowtrees import RowTrees, nodes_of
from forecasting.runs import Vector

FEWEST_RUNS = 40
_FEWEST_TASKS = 3
_MOST_RUNS = 5_000
_FOLDS = 5
_EARLIER = 0.8
"""Share of the runs before those that are scored."""
_FEWEST_SCORED = 5
_MOST_FAMILIES = 20
_QUANTITIES = (Quantity.DURATION, Quantity.CPU, Quantity.MEMORY, Quantity.GPU_MEMORY)


def refit(
    history: Sequence[RunRecord], in_force: Oracle | None, *, number: int, now: float, seed: int
) -> Learned | None:
    """Return new models with their scores and the decision; None when there are too few runs.

    Args:
        history: Past runs of any task in any order.
        in_force: The version that a refit has to beat.
        number: Of the new version.
        now: In seconds; runs that ended later are not looked at.
        seed: Of the trees.
    """
    records = sorted(
        (r for r in history if r.succeeded and r.ended_at <= now),
        key=lambda r: (r.ended_at, r.pipeline, r.task),
    )
    lessons = _lessons(records, in_force, seed)
    replays = _replays(records, in_force, seed)
    if not lessons and not replays:
        return None
    models = tuple(model for model, _ in lessons)
    scores = (*(score for _, score in lessons), *(score for _, score in replays))
    promoted, why = _decision(scores, in_force)
    kinds = {score.kind for score in scores}
    used = [record for record in records if record.kind in kinds]
    version = ModelVersion(
        number=number,
        fitted_at=now,
        from_seconds=used[0].ended_at,
        to_seconds=used[-1].ended_at,
        run_count=len(used),
        scores=scores,
        promoted=promoted,
        why=why,
    )
    return Learned(version=version, models=models, durations=tuple(m for m, _ in replays))


def _lessons(
    records: Sequence[RunRecord], in_force: Oracle | None, seed: int
) -> list[tuple[TreeModel, Score]]:
    """Return a model and its score for each kind and quantity with enough runs."""
    found: list[tuple[TreeModel, Score]] = []
    for kind in TaskKind:
        runs = [record for record in records if record.kind is kind][-_MOST_RUNS:]
        on_gpus = [record for record in runs if record.gpu_count > 0]
        for quantity in _QUANTITIES:
            kept = on_gpus if quantity is Quantity.GPU_MEMORY else runs
            if len(kept) >= FEWEST_RUNS and len(set(map(_task, kept))) >= _FEWEST_TASKS:
                found.append(_lesson(kept, quantity, in_force, seed))
    return found


def _replays(
    records: Sequence[RunRecord], in_force: Oracle | None, seed: int
) -> list[tuple[DurationModel, Score]]:
    """Return a model of durations and its score for each kind with enough runs."""
    found: list[tuple[DurationModel, Score]] = []
    for kind in TaskKind:
        runs = [record for record in records if record.kind is kind][-_MOST_RUNS:]
        if kind is TaskKind.SERVE or len(runs) < replaying.FEWEST_RUNS:
            continue
        scored_from = runs[int(_EARLIER * len(runs))].ended_at
        before = None if in_force is None else in_force.timed(kind)
        replayed = replaying.replay(runs, before, scored_from=scored_from, seed=seed)
        found += [] if replayed is None else [replayed]
    return found


def _decision(scores: Sequence[Score], in_force: Oracle | None) -> tuple[bool, str]:
    """Return whether a refit shall be in force, and why."""
    new = sum(score.loss for score in scores) / len(scores)
    preset_loss = sum(score.loss_preset for score in scores) / len(scores)
    if new >= preset_loss:
        return False, f"loss {new:.3f}, and {preset_loss:.3f} with presets"
    if in_force is None:
        return True, f"loss {new:.3f}, {preset_loss:.3f} with presets; nothing was in force"
    old = sum(s.loss_preset if s.loss_before is None else s.loss_before for s in scores)
    old /= len(scores)
    said = f"loss {new:.3f}, {old:.3f} with version {in_force.number} on the same runs"
    return new < old, said


def _lesson(
    records: Sequence[RunRecord], quantity: Quantity, in_force: Oracle | None, seed: int
) -> tuple[TreeModel, Score]:
    """Return the model of one quantity of one kind from runs in order of time, and its score."""
    families = tuple(sorted({f for r in records for f in families_of(r.attributes)}))
    families = families[:_MOST_FAMILIES]
    known = np.array([row(record.attributes, families) for record in records])
    target = np.array([_ratio(record, quantity) for record in records])
    left_out = np.empty(len(records))
    for learn, told in _folds(records):
        left_out[told] = _fitted(known[learn], target[learn], seed, known[told])
    model = TreeModel(
        kind=records[0].kind,
        quantity=quantity.label,
        families=families,
        nodes=nodes_of(_model(known, target, seed)),
        left_out={run_key(r): float(v) for r, v in zip(records, left_out, strict=True)},
    )
    start = min(int(_EARLIER * len(records)), len(records) - _FEWEST_SCORED)
    new = _fitted(known[:start], target[:start], seed, known[start:])
    before = [None if in_force is None else in_force.said(r, quantity) for r in records[start:]]
    truth = target[start:]
    old = [abs(b - t) for b, t in zip(before, truth, strict=True) if b is not None]
    score = Score(
        kind=records[0].kind,
        quantity=quantity.label,
        run_count=len(records),
        loss=float(np.abs(new - truth).mean()),
        loss_before=float(np.mean(old)) if len(old) == len(truth) else None,
        loss_preset=float(np.abs(truth).mean()),
    )
    return model, score


def _folds(records: Sequence[RunRecord]) -> Iterator[tuple[Mask, Mask]]:
    """Yield masks of runs to learn from and to tell: no task is in both."""
    tasks = {task: place for place, task in enumerate(dict.fromkeys(map(_task, records)))}
    folds = min(_FOLDS, len(tasks))
    of = np.array([tasks[_task(record)] % folds for record in records])
    for fold in range(folds):
        yield of != fold, of == fold


def _task(record: RunRecord) -> str:
    return task_key(record.pipeline, record.task)


def _ratio(record: RunRecord, quantity: Quantity) -> float:
    """Return the logarithm of what was measured over the preset."""
    measured = max(float(getattr(record, quantity.value)), FLOOR)
    return math.log(measured / max(preset(record.kind, record.attributes)[quantity], FLOOR))


def _fitted(known: Vector, target: Vector, seed: int, asked: Vector) -> Vector:
    """Return what trees learned from some rows say of others."""
    trees = RowTrees(nodes_of(_model(known, target, seed)))
    return np.array([trees.predict(each) for each in asked])


def _model(known: Vector, target: Vector, seed: int) -> HistGradientBoostingRegressor:
    """Return fitted trees of the median."""
    model = HistGradientBoostingRegressor(loss="absolute_error", random_state=seed).set_params(
        early_stopping=False,
        learning_rate=0.1,
        max_iter=60,
        max_leaf_nodes=8,
        min_samples_leaf=max(3, min(20, len(known) // 12)),
    )
    return model.fit(np.where(np.isnan(known).all(axis=0), 0.0, known), target)


def learn(
    store: LearningStore, history: Sequence[RunRecord], *, now: float, seed: int
) -> ModelVersion | None:
    """Learn anew, keep the version, and put it in force where it is better.

    Returns:
        The version, promoted or not; None when there are too few runs to learn from.
    """
    oracle, _ = store.in_force()
    learned = refit(history, oracle, number=store.next_number(), now=now, seed=seed)
    if learned is None:
        return None
    store.keep(learned)
    return learned.version
