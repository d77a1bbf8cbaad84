"""The pieces that pages are made of: texts with a tone, a link or a bar, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from api.report import phrases, words

DAY_SECONDS = 86_400


class Tone(StrEnum):
    """How a state feels. Each has a colour and a shape of its own in the style sheet."""

    OK = "ok"
    BUSY = "busy"
    WARN = "warn"
    BAD = "bad"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Bar:
    """A span on an axis from 0 to 100: `start`, `length`, and a paler `tail` behind it."""

    start: float
    length: float
    tail: float = 0.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One piece of text, perhaps with a tone, a link, or a quieter note behind it.

    at: the instant that the text tells, for machines.
    bar: a drawing that repeats what stands in words beside it.
    """

    text: str
    tone: str = ""
    href: str = ""
    note: str = ""
    at: str = ""
    bar: Bar | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table: `head` pairs each heading with the class of its column (`number`, `text`, "").

    The first cell of a row names the row.
    """

    label: str
    head: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]


def table(
    label: str, head: Sequence[str | tuple[str, str]], rows: Iterable[Sequence[Cell | str]]
) -> Table:
    """Return a table; plain strings become headings and cells without anything special."""
    return Table(
        label=label,
        head=tuple((name, "") if isinstance(name, str) else name for name in head),
        rows=tuple(
            tuple(Cell(cell) if isinstance(cell, str) else cell for cell in row) for row in rows
        ),
    )


def moment(at: float | None, now: float) -> Cell:
    """Return an instant as people read it, with how long ago it was or how far ahead it is."""
    if at is None:
        return Cell(words.NOTHING)
    text = words.clock_time(at) if abs(now - at) < DAY_SECONDS else words.instant(at)
    away = phrases.age(abs(now - at))
    return Cell(text, note=f"{away} ago" if at <= now else f"in {away}", at=phrases.iso(at))


def link(text: str | None, folder: str) -> Cell:
    """Return a link to what has this id in a folder of pages; a dash without an id."""
    return Cell(text, href=f"{folder}/{text}") if text else Cell(words.NOTHING)


def place(cluster: str | None, pool: str | None) -> str:
    """Return a pool of a cluster; a dash where there is none."""
    return f"{cluster}/{pool}" if cluster else words.NOTHING
