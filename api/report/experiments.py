"""Trainings side by side, and trainings done again, as text."""

from __future__ import annotations

from collections.abc import Sequence

from api.messages.training import apart, differences
from api.report import phrases, words
from api.report.tables import PLAIN, Column, Style, following, table
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.reproducing import Again
from executors.training.tracking.trainings import Recorded

_TRAININGS = (
    Column(title="TRAINING"),
    Column(title="OF"),
    Column(title="BY"),
    Column(title="STARTED", right=True),
    Column(title="TOOK", right=True),
    Column(title="QUALITY", right=True),
    Column(title="LOSS", right=True),
)

_AGAIN = (
    Column(title="TASK"),
    Column(title="METRIC"),
    Column(title="BEFORE", right=True),
    Column(title="AGAIN", right=True),
    Column(title="SAME"),
)


def trainings_text(found: Sequence[Recorded], style: Style = PLAIN, *, now: float) -> str:
    """Return a line for each training outside a pipeline; now: seconds since 1970."""
    rows = [
        (
            one.training.run_id,
            one.training.pipeline,
            one.training.command[0],
            phrases.clock(one.training.started_at, near=now, zone=style.zone, seconds=True),
            words.duration(one.training.ended_at - one.training.started_at),
            *(figure(one.experiment.metrics.get(name)) for name in ("quality", "loss_last")),
        )
        for one in found
    ]
    more = following(f"berth reproduce {found[0].training.run_id}")
    return f"{table(_TRAININGS, rows, style)}\n\n{more}"


def figure(value: object) -> str:
    """Return a metric to six digits, a dash for what is no number."""
    return f"{value:.6g}" if isinstance(value, int | float) else "-"


def compared_text(
    first: str,
    second: str,
    experiments: tuple[Sequence[Experiment], Sequence[Experiment]],
    style: Style = PLAIN,
) -> str:
    """Return all metrics of two runs, and what else differs between them."""
    found = differences(*experiments)
    if not found:
        return "Neither run has trained anything."
    columns = (
        Column(title="TASK"),
        Column(title="WHAT"),
        Column(title=first, right=True),
        Column(title=second, right=True),
    )
    rows = [(one.task, one.what, one.first, one.second) for one in found]
    count = phrases.plural(apart(found), "difference")
    total = f"{count} in data, code, parameters and environment."
    return f"{table(columns, rows, style)}\n\n{total}"


def again_text(found: Sequence[Again], style: Style = PLAIN) -> str:
    """Return the metrics of tasks that were done again beside the old ones."""
    rows = [
        (
            one.task,
            name,
            str(one.before.get(name, "-")),
            str(one.after.get(name, "-")),
            "yes" if one.same(name) else "NO",
        )
        for one in found
        for name in one.names
    ]
    same = sum(one.reproduced for one in found)
    total = f"{same} of {phrases.plural(len(found), 'training')} came out the same."
    changed = [f"{one.task}: {', '.join(one.changed)}" for one in found if one.changed]
    said = f"\nNot as it was: {'; '.join(changed)}." if changed else ""
    return f"{table(_AGAIN, rows, style)}\n\n{total}{said}"
