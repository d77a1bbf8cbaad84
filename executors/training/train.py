"""The built-in `train` task: tunes one or more families, in a race, and keeps the best model.

Writes `model.skops` (never pickle), `metrics.json`, `experiment.json` (what made it), held-out rows
as `example.npy` for the package's checks, and passes the features' schema and reference on.
"""

from __future__ import annotations

import time
import zlib

import numpy as np
from numpy.typing import NDArray

from executors.persistence import skops_io
from executors.tasks.context import Origin, Task, write_json
from executors.training import families, features, leaks, racing, reported, search
from executors.training.families import Classifier
from executors.training.operations import task as operations
from executors.training.operations import template
from executors.training.tracking import experiments

_TRIALS = 8
_EXAMPLES = 512
"""Held-out rows on which the packaged form must agree with the trained one."""


def run(task: Task) -> None:
    """Tune, fit on all training rows, judge once on the held-out ones, write.

    The models of operations are templates that are trained on data of their own.
    """
    chosen = template.template_of([str(name) for name in task.spec.get("model") or ()])
    if chosen is not None:
        operations.run(task, chosen)
        return
    folder = task.upstream_folder("train.npy")
    training, held_out = features.load_split(folder)
    rows, labels = training[:, :-1], training[:, -1].astype(np.int64)
    trials = int(task.spec.get("trials") or _TRIALS)
    names = task.spec.get("model") or [*families.FAMILIES][:1]
    started = time.perf_counter()
    folds = search.assign_folds(labels, seed=task.seed)
    course = racing.Course(rows=rows, labels=labels, folds=folds, seed=task.seed)
    found = {str(name): _tune(task, str(name), course, trials=trials) for name in names}
    choice = search.choice_of(found, course, rules=racing.Rules())
    best, outcome = choice.family, choice.outcome
    model = families.family(best).build(outcome.best.configuration, task.seed)
    began = time.perf_counter()
    model.fit(rows, labels)
    fitted = time.perf_counter()
    origin = Origin("training", f"model:{task.pipeline}/{best}", {"model": best})
    rate = len(rows) / max(fitted - began, 1e-9)
    task.signal(origin, "samples_per_second", rate, unit="samples/s")
    seconds = fitted - started
    holdout_quality = _quality(model, held_out)
    _, leak = leaks.shared_rows(training, held_out)
    skops_io.dump(model, task.outputs / "model.skops")
    np.save(task.outputs / "example.npy", held_out[:_EXAMPLES])
    task.pass_on(folder, "schema.json", "reference.json")
    write_json(task.outputs / "metrics.json", _metrics(choice, holdout_quality, leak))
    experiments.write(task, [folder / "train.npy", folder / "holdout.npy"])
    task.write_outputs(
        {
            "quality": choice.quality,
            "quality_std": choice.quality_std,
            "holdout_quality": holdout_quality,
            "loss_first": outcome.loss_first,
            "loss_last": outcome.best.loss,
            "fit_seconds": seconds,
            "model": best,
        }
    )


def _tune(task: Task, name: str, course: racing.Course, *, trials: int) -> search.Outcome:
    """Tune one family, with loss and precision of every fold as signals."""
    subject = f"model:{task.pipeline}/{name}"

    def report(trial: int, fold: int, loss: float, precision: float) -> None:
        labels = {"model": name, "trial": str(trial), "fold": str(fold)}
        origin = Origin("training", subject, labels)
        task.signal(origin, "loss", loss)
        task.signal(origin, "precision", precision)

    family = families.family(name)
    configurations = family.configurations(trials, _seed(task, name))
    return search.search(family, configurations, course, report=report)


def _seed(task: Task, family: str) -> int:
    """Return a seed of its own for each family, so that adding one changes no other's draws."""
    return zlib.crc32(f"{task.seed}/{family}".encode())


def _quality(model: Classifier, rows: NDArray[np.float64]) -> float:
    """Return the share of held-out rows classified right; 0 without any."""
    if not len(rows):
        return 0.0
    return float((model.predict(rows[:, :-1]) == rows[:, -1]).mean())


def _metrics(
    choice: search.Choice, holdout_quality: float, leak: reported.Leak | None
) -> dict[str, object]:
    """Return everything that was tried, for people."""
    return {
        "best": choice.family,
        "tied": list(choice.tied),
        "holdout_quality": holdout_quality,
        "quality": choice.quality,
        "quality_std": choice.quality_std,
        "leak": "" if leak is None else str(leak),
        "families": {
            name: {
                "quality": outcome.quality,
                "quality_std": outcome.quality_std,
                "operations": outcome.best.operations,
                "trials": [
                    {
                        "configuration": dict(trial.configuration),
                        "score": trial.score,
                        "folds": len(trial.losses),
                        "loss": trial.loss if trial.losses else None,
                        "precision_by_fold": list(trial.precisions),
                    }
                    for trial in outcome.trials
                ],
            }
            for name, outcome in choice.outcomes.items()
        },
    }
