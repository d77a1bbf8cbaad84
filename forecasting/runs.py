"""Past runs of one kind of task, and how far each of them is from a task to forecast."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.model.plans import task_key
from engine.model.profiles import RunRecord
from engine.model.specs import PipelineSpec, Scalar, TaskKind, TaskSpec
from forecasting.networks import number
from forecasting.presets import size_of

Vector = NDArray[np.float64]

MOST_RUNS_READ = 2_000
"""Latest runs of the kind that are looked at."""
MOST_RUNS_KEPT = 120
"""Nearest of them that are learned from."""
_OTHER_TASK = 0.25
_OTHER_MODEL = 1.0
_OTHER_COMMAND = 1.0


@dataclass(frozen=True, slots=True)
class Past:
    """Runs of one kind, nearest first, as arrays of n rows.

    distance: (n,) from the task in question; between: (n, n) among the runs. A tenfold
        difference in one size counts 1, another model family or command 1, another task 0.25.
    features: (n, k) and target: (k,) of one regression: log sizes and model families.
    own: (n,) whether the run is of the same pipeline and task; group: (n,) which task it is of.
    task: `PIPELINE/TASK` in question; latest: the last runs of the kind, near or not, newest first.
    """

    kind: TaskKind
    attributes: Mapping[str, Scalar]
    records: tuple[RunRecord, ...]
    distance: Vector
    between: Vector
    features: Vector
    target: Vector
    own: NDArray[np.bool_]
    group: NDArray[np.int64]
    task: str
    latest: tuple[RunRecord, ...]


def known_attributes(
    pipeline: PipelineSpec, task: TaskSpec, history: Sequence[RunRecord]
) -> dict[str, Scalar]:
    """Return what is known of a task: stated by it or upstream, else of its last run.

    Pipelines recur, so a size that nobody states is that of the last run. Rows are also taken
    from there while the stated volume is still what it was then.
    """
    stated = _upstream(pipeline, task) | task.attributes
    last = max(
        (r for r in history if r.succeeded and (r.pipeline, r.task) == (pipeline.name, task.name)),
        key=lambda r: r.ended_at,
        default=None,
    )
    seen = {} if last is None else dict(last.attributes)
    if seen.get("volume_gib", stated.get("volume_gib")) != stated.get("volume_gib"):
        seen.pop("rows", None)
    return seen | stated


def gather(
    pipeline: PipelineSpec, task: TaskSpec, history: Sequence[RunRecord], *, failed: bool
) -> Past:
    """Return the runs that speak for a task; those that failed only when asked for."""
    same = _speaking(pipeline, task, history, failed=failed)
    attributes = known_attributes(pipeline, task, history)
    names = [task_key(pipeline.name, task.name), *(task_key(r.pipeline, r.task) for r in same)]
    models = [_model(attributes), *(_model(r.attributes) for r in same)]
    commands = [_command(attributes), *(_command(r.attributes) for r in same)]
    sizes = np.array([_sizes(a) for a in (attributes, *(r.attributes for r in same))])
    words = ((names, _OTHER_TASK), (models, _OTHER_MODEL), (commands, _OTHER_COMMAND))
    far = _distance(sizes, words, rows=1)[0]
    order = np.argsort(far[1:], kind="stable")[:MOST_RUNS_KEPT] + 1
    features = _features(sizes, models)[[0, *order]]
    groups = {name: index for index, name in enumerate(dict.fromkeys(names))}
    group = np.array([groups[names[i]] for i in order], dtype=np.int64)
    return Past(
        kind=task.kind,
        attributes=attributes,
        records=tuple(same[i - 1] for i in order),
        distance=far[order],
        between=_distance(sizes[order], [([each[i] for i in order], adds) for each, adds in words]),
        features=features[1:],
        target=features[0],
        own=group == 0,
        group=group,
        task=names[0],
        latest=tuple(same),
    )


def only(past: Past, keep: Callable[[RunRecord], bool]) -> Past:
    """Return the same with those runs alone for which `keep` holds."""
    kept = np.array([keep(record) for record in past.records], dtype=np.bool_)
    return dataclasses.replace(
        past,
        records=tuple(itertools.compress(past.records, kept)),
        distance=past.distance[kept],
        between=past.between[np.ix_(kept, kept)],
        features=past.features[kept],
        own=past.own[kept],
        group=past.group[kept],
        latest=tuple(record for record in past.latest if keep(record)),
    )


def _speaking(
    pipeline: PipelineSpec, task: TaskSpec, history: Sequence[RunRecord], *, failed: bool
) -> list[RunRecord]:
    """Return the last runs of the kind, newest first.

    What Berth runs itself says nothing about a command of somebody's own, nor the other way round:
    a command may need a thousandth, and a task that is given that little dies as it starts.
    """
    own = (pipeline.name, task.name)
    found = [
        run
        for run in history
        if run.kind == task.kind
        and (failed or run.succeeded)
        and ((run.pipeline, run.task) == own or ("command" in run.attributes) == bool(task.command))
    ]
    found.sort(key=lambda run: (-run.ended_at, run.pipeline, run.task))
    return found[:MOST_RUNS_READ]


def _upstream(pipeline: PipelineSpec, task: TaskSpec) -> dict[str, Scalar]:
    """Return the size of the nearest upstream task that states one, and its model families."""
    found: dict[str, Scalar] = {}
    waiting, seen = list(task.after), set(task.after)
    while waiting:
        near = pipeline.task(waiting.pop(0))
        for name, value in near.attributes.items():
            trained = name == "model" and task.kind in {TaskKind.PACKAGE, TaskKind.SERVE}
            if name in {"rows", "volume_gib"} or trained:
                found.setdefault(name, value)
        waiting += [name for name in near.after if name not in seen]
        seen.update(near.after)
    return found


def _sizes(attributes: Mapping[str, Scalar]) -> tuple[float, float, float, float]:
    """Return sizes in powers of ten: rows, columns, trials, requests."""
    size = size_of(attributes)
    requests = number(attributes, "requests") or 0.0
    rows, columns, trials, calls = np.log10([size.rows, size.columns, size.trials, 1.0 + requests])
    return (float(rows), float(columns), float(trials), float(calls))


def _features(sizes: Vector, models: Sequence[str]) -> Vector:
    """Return (n, k) of sizes and one column for each model family, 1 where it is that."""
    families = sorted(set(models))
    is_family = [[float(model == family) for family in families] for model in models]
    return np.hstack([sizes, np.array(is_family, dtype=np.float64)])


def _model(attributes: Mapping[str, Scalar]) -> str:
    """Return the model families as one word."""
    return str(attributes.get("model", ""))


def _command(attributes: Mapping[str, Scalar]) -> str:
    return str(attributes.get("command", ""))


def _distance(
    sizes: Vector, words: Sequence[tuple[Sequence[str], float]], *, rows: int | None = None
) -> Vector:
    """Return the (n, n) distances; 0 between runs of the same task with equal attributes.

    words: names, each with what it adds where two of them differ.
    rows: so many of them, all unless said.
    """
    far = np.abs(sizes[:rows, None, :] - sizes[None, :, :]).sum(axis=2)
    for names, adds in words:
        far += adds * _differs(names, rows)
    return np.asarray(far, dtype=np.float64)


def _differs(words: Sequence[str], rows: int | None) -> NDArray[np.bool_]:
    """Return (rows, n): whether two words differ."""
    codes = {word: index for index, word in enumerate(dict.fromkeys(words))}
    column = np.array([codes[word] for word in words], dtype=np.int64)
    return np.not_equal(column[:rows, None], column[None, :])
