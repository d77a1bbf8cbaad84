"""What running services should hold, as text."""

from __future__ import annotations

from collections.abc import Sequence

from api.report import words
from api.report.tables import PLAIN, Column, Style, paragraph, table
from engine.model.sizing import ServiceSize, SizedAmount

_COLUMNS = (
    Column(title="SERVICE"),
    Column(title="RESOURCE"),
    Column(title="HOLDS", right=True),
    Column(title="USED MOST", right=True, rank=2),
    Column(title="SHOULD", right=True),
    Column(title="CHANGE"),
    Column(title="BY", rank=1),
    Column(title="SHORT IN TESTS", right=True, rank=3),
)
_SHOWN_HOURS = 24


def sizes_text(sizes: Sequence[ServiceSize], style: Style = PLAIN) -> str:
    """Return a row for each resource of each service; "" without any."""
    rows = [_row(size, amount) for size in sizes for amount in size.amounts]
    if not rows:
        return ""
    heading = style.bold("What running services should hold, by their measured hours")
    return f"{heading}\n\n{table(_COLUMNS, rows, style)}"


def size_text(size: ServiceSize, style: Style = PLAIN) -> str:
    """Return the recommendation for one service, with what speaks for it."""
    name = f"{size.pipeline}/{size.task}"
    if not size.amounts:
        return paragraph(f"What {name} should hold is not known yet: {size.note}.", style)
    lines = [
        f"{amount.resource.value}: {amount.why}; learned from {amount.hours} of its hours and "
        f"{amount.services} services, short in {words.share(amount.short)} of the tests for "
        f"{words.share(amount.allowed)} allowed, holding {amount.held_over_used:.2f} times "
        "what was used."
        for amount in size.amounts
    ]
    if size.note:
        lines.append(f"Left out: {size.note}.")
    if size.ahead:
        most = max(size.ahead[:_SHOWN_HOURS], key=lambda hour: hour.p95)
        lines.append(
            f"Requests of the next {len(size.ahead)} h keep {most.p50:.2f} cores busy in the "
            f"busiest hour, P95 {most.p95:.2f}."
        )
    told = "\n".join(paragraph(line, style) for line in lines)
    return f"{sizes_text([size], style)}\n\n{told}"


def change_lines(size: ServiceSize) -> list[str]:
    """Return a line about what a service should hold, none where nothing repays a restart."""
    told = changes_in_words(size)
    return [
        f"{size.pipeline} should hold {told}: berth profile {size.pipeline}/{size.task}"
    ] * bool(told)


def changes_in_words(size: ServiceSize | None) -> str:
    """Return the amounts that repay a restart; "" where there are none."""
    if size is None:
        return ""
    return ", ".join(
        f"{words.amount(each.wanted, each.resource.unit)} of {each.resource.value} "
        f"in place of {words.amount(each.held)}"
        for each in size.changes
    )


def _row(size: ServiceSize, amount: SizedAmount) -> list[str]:
    unit = amount.resource.unit
    return [
        f"{size.pipeline}/{size.task}",
        amount.resource.value,
        words.amount(amount.held, unit),
        words.amount(amount.used_most, unit),
        words.amount(amount.wanted, unit),
        "yes" if amount.changes else "no",
        amount.method,
        words.share(amount.short),
    ]
