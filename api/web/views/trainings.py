"""Trainings outside pipelines, the record of any training, and two of them, as pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from api.messages.training import Difference
from api.report import words
from api.report.experiments import figure
from api.web import cells
from api.web.views.runs import short
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.trainings import Recorded

_METRICS = "metrics."


def training_list(found: Sequence[Recorded], now: float) -> cells.Table:
    """Return trainings in the order given."""
    return cells.table(
        "Trainings outside pipelines",
        [
            "Training",
            "Of",
            "By",
            "Started",
            ("Took", "number"),
            ("Quality", "number"),
            ("Loss", "number"),
        ],
        (
            (
                cells.link(one.training.run_id, "/records"),
                one.training.pipeline,
                one.training.command[0],
                cells.moment(one.training.started_at, now),
                words.duration(one.training.ended_at - one.training.started_at),
                *(_number(one.experiment.metrics, name) for name in ("quality", "loss_last")),
            )
            for one in found
        ),
    )


def _number(metrics: Mapping[str, object], name: str) -> str:
    value = metrics.get(name)
    return figure(value) if isinstance(value, int | float) else words.NOTHING


def record_tables(experiment: Experiment) -> tuple[cells.Table, cells.Table]:
    """Return the metrics of a training, and everything else that its record holds."""
    flat = experiment.flat()
    metrics = {name: text for name, text in flat.items() if name.startswith(_METRICS)}
    rest = ((*name.partition("."), text) for name, text in flat.items() if name not in metrics)
    return (
        cells.table(
            f"Metrics of {experiment.task}",
            ["Metric", ("Value", "number")],
            ((name.removeprefix(_METRICS), _figure(text)) for name, text in metrics.items()),
        ),
        cells.table(
            f"What made {experiment.task}",
            ["Part", "Name", ("Value", "text")],
            ((part, name, text or words.NOTHING) for part, _, name, text in rest),
        ),
    )


def _figure(text: str) -> str:
    """Return a metric to six digits; what is no fraction stays as it is."""
    try:
        return f"{float(text):.6g}" if "." in text else text
    except ValueError:
        return text


def beside(name: str, others: Iterable[tuple[str, float]], now: float) -> cells.Table:
    """Return links to comparisons of a run or training with others; each with when it began."""
    return cells.table(
        "Compare with",
        ["Other", "Started"],
        (
            (cells.Cell(other, href=f"/records/{name}/{other}"), cells.moment(at, now))
            for other, at in others
        ),
    )


def differences(
    first: str, second: str, found: Sequence[Difference]
) -> tuple[cells.Table, cells.Table]:
    """Return all metrics of two runs or trainings, and what else differs between them."""
    metrics = [one for one in found if one.what.startswith(_METRICS)]
    # Tasks of one run read the same data: what differs alike in several is one row.
    rest: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        if one not in metrics:
            rest.setdefault((one.what, one.first, one.second), []).append(one.task)
    return (
        cells.table(
            "Metrics",
            ["Task", "Metric", (first, "number"), (second, "number"), "Same"],
            (
                (
                    one.task,
                    one.what.removeprefix(_METRICS),
                    _figure(one.first),
                    _figure(one.second),
                    "yes" if one.first == one.second else "no",
                )
                for one in metrics
            ),
        ),
        cells.table(
            "What else differs",
            [("Tasks", "text"), "What", (first, "text"), (second, "text")],
            (
                (", ".join(tasks), what, short(mine), short(other))
                for (what, mine, other), tasks in rest.items()
            ),
        ),
    )
