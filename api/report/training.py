"""How many workers train together, and what other numbers would have meant."""

from __future__ import annotations

from api.report import words
from api.report.tables import Column, Style, table
from engine.model.plans import Plan, WorkersChoice
from engine.model.profiles import Method, Scaling

_COLUMNS = (
    Column(title="WORKERS", right=True),
    Column(title="SPEED-UP", right=True),
    Column(title="MEDIAN", right=True),
    Column(title="COST", right=True),
    Column(title="KEPT", right=True),
    Column(title="VERDICT"),
)
_SHOWN = 4
_KNOWN_BY = {
    Method.STATED: "as the pipeline states",
    Method.OWN_RUNS: "from its own runs",
    Method.PRESET: "an assumption: no run of it with several workers is known",
}


def sentence(choice: WorkersChoice) -> str:
    """Return how many workers a task gets, of how many, and why."""
    counts = [option.workers for option in choice.options]
    return (
        f"{choice.task} has {choice.workers} of {counts[0]} to {counts[-1]} workers: {choice.why}."
    )


def choice_of(plan: Plan, pipeline: str, task: str) -> WorkersChoice | None:
    """Return the choice for a task, None where there was none."""
    for choice in plan.workers:
        if (choice.pipeline, choice.task) == (pipeline, task):
            return choice
    return None


def options_text(choice: WorkersChoice, style: Style) -> str:
    """Return a row for each number that was planned: how fast, how dear, and what is against it."""
    dearest = next(o.total_micro_dollars for o in choice.options if o.workers == choice.workers)
    rows = []
    for option in choice.options:
        more = (option.total_micro_dollars or 0) - (dearest or 0)
        verdict = "chosen" if option.workers == choice.workers else f"+ {words.money(more)}"
        keep = option.keep_forecast
        rows.append(
            (
                str(option.workers),
                f"{option.speed_up:.2f}",
                words.NOTHING if option.seconds_p50 is None else words.duration(option.seconds_p50),
                words.money(option.cost_micro_dollars),
                words.NOTHING if keep is None else f"{keep:.2f}",
                f"ruled out: {option.against}" if option.against else verdict,
            )
        )
    return table(_COLUMNS, rows, style)


def known_by(scaling: Scaling) -> str:
    """Return how much faster more workers are, and how that is known, as a sentence."""
    few = [f"{count} {factor:.2f} times" for count, factor in scaling.points[:_SHOWN]]
    source = _KNOWN_BY.get(scaling.method, scaling.method.value)
    return f"More workers are faster by: {', '.join(few)} ({source})."
