"""The pieces that pages are made of: texts with a tone or a link, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """How a state feels. Each has a colour and a shape of its own in the style sheet."""

    OK = "ok"
    BUSY = "busy"
    WARN = "warn"
    BAD = "bad"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Cell:
    """One piece of text, perhaps with a tone or a link."""

    text: str
    tone: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: `head` pairs each heading with the class of its column (`number`, `text`, "")."""

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
