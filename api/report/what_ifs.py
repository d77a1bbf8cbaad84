"""What a change would do: the plan now against the plan then, and rows of plans for a sweep."""

from __future__ import annotations

from collections.abc import Iterator

from api.report import phrases, words
from api.report.diffs import diff_text
from api.report.tables import PLAIN, Column, Style, paragraph, table
from engine.model.plans import Plan, Promise
from engine.planning import PlanDiff, Point, Sweep

_WHAT_IF = (
    Column(title="PIPELINE"),
    Column(title="PROMISE"),
    Column(title="NOW", right=True),
    Column(title="THEN", right=True),
    Column(title="ASKED", right=True, rank=1),
)
_SWEEP = (
    Column(title="VALUE"),
    Column(title="PLAN"),
    Column(title="A RUN", right=True),
    Column(title="SERVING", right=True),
    Column(title="KEPT", right=True),
    Column(title="MOVED", right=True),
    Column(title="WHAT CHANGES HERE"),
)
_NAMED_MAX = 3


def what_if_text(now: Plan, then: Plan, difference: PlanDiff, style: Style = PLAIN) -> str:
    """Return what a change does to places, costs and promises."""
    before = {promise.pipeline: promise for promise in now.placement.promises}
    rows = [
        row
        for promise in then.placement.promises
        for row in _promises(before.get(promise.pipeline), promise)
    ]
    blocks = [diff_text(difference, style, commands=False), table(_WHAT_IF, rows, style)]
    return "\n\n".join(blocks)


def _promises(now: Promise | None, then: Promise) -> Iterator[tuple[str, ...]]:
    """Yield a line for each promise of a pipeline; its name stands on the first."""
    name: str = then.pipeline
    for title, value, asked in (
        ("a run", _run, ""),
        ("serving", _serving, ""),
        ("deadline kept", _kept, f"{then.keep_asked:.2f}"),
        ("p99", _latency, ""),
        ("availability", _availability, ""),
    ):
        after = value(then)
        before = words.NOTHING if now is None else value(now)
        if {before, after} - {words.NOTHING}:
            yield name, title, before, after, asked
            name = ""


def _run(promise: Promise) -> str:
    return words.money(promise.run_cost_micro_dollars)


def _serving(promise: Promise) -> str:
    hourly = promise.serving_micro_dollars_per_hour
    return f"{words.money(hourly)}/h" if hourly else words.NOTHING


def _kept(promise: Promise) -> str:
    return words.NOTHING if promise.keep_forecast is None else f"{promise.keep_forecast:.2f}"


def _latency(promise: Promise) -> str:
    latency = promise.latency_ms_p99
    return words.NOTHING if latency is None else words.amount(latency, "ms")


def _availability(promise: Promise) -> str:
    return words.share(promise.availability, digits=3)


def sweep_text(swept: Sweep, style: Style = PLAIN) -> str:
    """Return a row for each value, and where the answer changes."""
    blocks = [table(_SWEEP, [_row(swept, index) for index in range(len(swept.points))], style)]
    turns = [sentence for index in range(1, len(swept.points)) for sentence in _turn(swept, index)]
    text = " ".join(turns) or f"The answer is the same for every {phrases.printable(swept.key)}."
    return "\n\n".join([*blocks, paragraph(text, style)])


def _row(swept: Sweep, index: int) -> tuple[str, ...]:
    point = swept.points[index]
    if not point.is_possible:
        return (point.value, words.NOTHING, "", "", "", "", f"infeasible: {point.clash}")
    missing = f"no place for {_names(point.unplaced)}" if point.unplaced else ""
    changes = [*([missing] if missing else ()), *([_turned(point)] if point.turned else ())]
    hourly = point.serving_micro_dollars_per_hour
    return (
        point.value,
        str(point.plan_id),
        words.money(point.run_cost_micro_dollars),
        f"{words.money(hourly)}/h" if hourly else words.NOTHING,
        words.NOTHING if point.keep is None else f"{point.keep:.2f}",
        str(len(point.moved)),
        "; ".join(changes),
    )


def _turned(point: Point) -> str:
    return f"~ {_names(point.turned)}"


def _turn(swept: Sweep, index: int) -> Iterator[str]:
    """Yield a sentence where the answer differs from that for the value before."""
    before, here = swept.points[index - 1], swept.points[index]
    between = f"Between {before.value} and {here.value}"
    if before.is_possible and not here.is_possible:
        yield f"{between} it becomes infeasible."
    elif here.is_possible and not before.is_possible:
        yield f"{between} it becomes possible."
    elif here.turned:
        yield f"{between} {phrases.plural(len(here.turned), 'task')} would move."


def _names(keys: tuple[str, ...]) -> str:
    names = ", ".join(keys[:_NAMED_MAX])
    more = len(keys) - _NAMED_MAX
    return f"{names} and {more} more" if more > 0 else names
