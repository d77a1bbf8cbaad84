"""Trainings side by side, and trainings done again, as text."""

from __future__ import annotations

from collections.abc import Sequence

from api.report.tables import PLAIN, Column, Style, table
from executors.training.tracking.experiments import Experiment, differences
from executors.training.tracking.reproducing import Again

_AGAIN = (
    Column(title="TASK"),
    Column(title="METRIC"),
    Column(title="BEFORE", right=True),
    Column(title="AGAIN", right=True),
    Column(title="SAME"),
)


def compared_text(
    first: str,
    second: str,
    experiments: tuple[Sequence[Experiment], Sequence[Experiment]],
    style: Style = PLAIN,
) -> str:
    """Return all metrics of two runs, and what else differs between them."""
    flat = [{one.task: one.flat() for one in found} for found in experiments]
    rows = differences(flat[0], flat[1])
    if not rows:
        return "Neither run has trained anything."
    columns = (
        Column(title="TASK"),
        Column(title="WHAT"),
        Column(title=first, right=True),
        Column(title=second, right=True),
    )
    apart = [key for _, key, one, two in rows if one != two and not key.startswith("metrics.")]
    total = f"{len(apart)} differences in data, code, parameters and environment."
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
    return f"{table(_AGAIN, rows, style)}\n\n{same} of {len(found)} trainings came out the same."
