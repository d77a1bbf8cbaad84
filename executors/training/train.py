"""The built-in `train` task: tunes one or more families and keeps the best model.

Writes `model.skops` (never pickle), `metrics.json`, held-out rows as `example.npy` for the
package's checks, and passes the features' schema and reference on.
"""

from __future__ import annotations

import time
import zlib

import numpy as np
from numpy.typing import NDArray

from executors.persistence import skops_io
from executors.tasks.context import Origin, Task, write_json
from executors.training import families, features, search
from executors.training.families import Classifier

_TRIALS = 8
_EXAMPLES = 512
"""Held-out rows on which the packaged form must agree with the trained one."""


def run(task: Task) -> None:
    """Tune, fit on all training rows, judge once on the held-out ones, write."""
    folder = task.upstream_folder("train.npy")
    training, held_out = features.load_split(folder)
    rows, labels = training[:, :-1], training[:, -1].astype(np.int64)
    trials = int(task.spec.get("trials") or _TRIALS)
    names = task.spec.get("model") or [*families.FAMILIES][:1]
    started = time.perf_counter()
    found = {str(name): _tune(task, str(name), rows, labels, trials=trials) for name in names}
    best = max(found, key=lambda name: found[name].quality)
    outcome = found[best]
    model = families.family(best).build(outcome.best.configuration, _seed(task, best))
    model.fit(rows, labels)
    seconds = time.perf_counter() - started
    holdout_quality = _quality(model, held_out)
    skops_io.dump(model, task.outputs / "model.skops")
    np.save(task.outputs / "example.npy", held_out[:_EXAMPLES])
    task.pass_on(folder, "schema.json", "reference.json")
    write_json(task.outputs / "metrics.json", _metrics(best, found, holdout_quality))
    task.write_outputs(
        {
            "quality": outcome.quality,
            "quality_std": outcome.quality_std,
            "holdout_quality": holdout_quality,
            "loss_first": outcome.loss_first,
            "loss_last": outcome.best.loss,
            "fit_seconds": seconds,
            "model": best,
        }
    )


def _tune(
    task: Task, name: str, rows: NDArray[np.float64], labels: NDArray[np.int64], *, trials: int
) -> search.Outcome:
    """Tune one family, with loss and precision of every fold as signals."""
    subject = f"model:{task.pipeline}/{name}"

    def report(trial: int, fold: int, loss: float, precision: float) -> None:
        labels = {"model": name, "trial": str(trial), "fold": str(fold)}
        origin = Origin("training", subject, labels)
        task.signal(origin, "loss", loss)
        task.signal(origin, "precision", precision)

    seed = _seed(task, name)
    family = families.family(name)
    return search.search(family, rows, labels, trials=trials, seed=seed, report=report)


def _seed(task: Task, family: str) -> int:
    """Return a seed of its own for each family, so that adding one changes no other."""
    return zlib.crc32(f"{task.seed}/{family}".encode())


def _quality(model: Classifier, rows: NDArray[np.float64]) -> float:
    """Return the share of held-out rows classified right; 0 without any."""
    if not len(rows):
        return 0.0
    return float((model.predict(rows[:, :-1]) == rows[:, -1]).mean())


def _metrics(
    best: str, found: dict[str, search.Outcome], holdout_quality: float
) -> dict[str, object]:
    """Return everything that was tried, for people."""
    return {
        "best": best,
        "holdout_quality": holdout_quality,
        "quality": found[best].quality,
        "quality_std": found[best].quality_std,
        "families": {
            name: {
                "quality": outcome.quality,
                "quality_std": outcome.quality_std,
                "trials": [
                    {
                        "configuration": dict(trial.configuration),
                        "score": trial.score,
                        "loss": trial.loss,
                        "precision_by_fold": list(trial.precisions),
                    }
                    for trial in outcome.trials
                ],
            }
            for name, outcome in found.items()
        },
    }
