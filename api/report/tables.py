"""Tables of at most 100 columns on a terminal, tab-separated and uncut everywhere else.

Identifiers are never cut: when a table is too wide, the gaps shrink, then its optional columns go,
and the last column wraps. Cells are plain text; nothing in them is read as markup.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from api.report import phrases

WIDTH = 100
_WIDE_GAP = 3
_NARROW_GAP = 2
_NARROWEST_LAST = 16
_NEXT = "Next:  "
_BETWEEN = "    "


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How text is laid out.

    width: most characters of a line of a table; tabs: cells separated by tabs, uncut.
    zone: IANA name of the zone in which times are told; colour: ANSI colours beside the words.
    """

    width: int = WIDTH
    tabs: bool = False
    zone: str = "UTC"
    colour: bool = False

    def bold(self, text: str) -> str:
        """Return a text in bold where colours are allowed."""
        return f"\x1b[1m{text}\x1b[0m" if self.colour else text

    def alert(self, text: str) -> str:
        """Return a text in bold red where colours are allowed."""
        return f"\x1b[1;31m{text}\x1b[0m" if self.colour else text


PLAIN = Style()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    rank: above 0 for an optional column, which goes when all its cells are empty or there is no
    room; the highest goes first.
    """

    title: str
    right: bool = False
    rank: int = 0


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], style: Style = PLAIN) -> str:
    """Return a table with a header line.

    rows: one cell for each column; a row shorter than the columns is filled with empty cells.
    """
    cells = [
        [phrases.printable(cell).replace("\n", " ").replace("\t", " ") for cell in row]
        + [""] * (len(columns) - len(row))
        for row in rows
    ]
    titles = [column.title for column in columns]
    if style.tabs:
        return "\n".join("\t".join(row) for row in [titles, *cells])
    kept, gap = _fitting(columns, cells, style.width)
    shown = [columns[index] for index in kept]
    widths = [_width(columns, cells, index) for index in kept]
    free = style.width - sum(widths[:-1]) - gap * (len(kept) - 1)
    widths[-1] = min(widths[-1], max(free, _NARROWEST_LAST))
    header = _line(shown, [titles[index] for index in kept], widths, gap)
    rule = "─" * min(style.width, sum(widths) + gap * (len(kept) - 1))
    lines = [style.bold(header[0]), rule]
    for row in cells:
        lines += _line(shown, [row[index] for index in kept], widths, gap)
    return "\n".join(lines)


def _width(columns: Sequence[Column], cells: Sequence[Sequence[str]], index: int) -> int:
    """Return the width that a column asks for."""
    return max([len(columns[index].title), *(len(row[index]) for row in cells)])


def _fitting(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int
) -> tuple[list[int], int]:
    """Return the indices of the columns that fit, the last of them wrapped, and the gap."""
    kept, optional = _kept(columns, cells)
    for gone in range(len(optional)):
        left = [index for index in kept if index not in optional[:gone]]
        gap = _gap(columns, cells, left, width)
        if gap:
            return left, gap
    left = [index for index in kept if index not in optional]
    return left, _gap(columns, cells, left, width) or _NARROW_GAP


def _kept(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
    """Return the indices of columns with something to say, and which of them may go, in order."""
    filled = {index for row in cells for index, cell in enumerate(row) if cell}
    kept = [i for i, column in enumerate(columns) if i in filled or not column.rank]
    optional = sorted((i for i in kept if columns[i].rank), key=lambda i: -columns[i].rank)
    return kept, optional


def _gap(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], kept: Sequence[int], width: int
) -> int:
    """Return the gap with which columns fit, 0 when they do not even with the last one wrapped."""
    asked = [_width(columns, cells, index) for index in kept]
    if sum(asked) + _WIDE_GAP * (len(kept) - 1) <= width:
        return _WIDE_GAP
    asked[-1] = min(asked[-1], max(len(columns[kept[-1]].title), _NARROWEST_LAST))
    return _NARROW_GAP if sum(asked) + _NARROW_GAP * (len(kept) - 1) <= width else 0


def _line(
    columns: Sequence[Column], row: Sequence[str], widths: Sequence[int], gap: int
) -> list[str]:
    """Return one row as lines; only the last cell may take more than one."""
    head = [
        cell.rjust(width) if column.right else cell.ljust(width)
        for column, cell, width in zip(columns[:-1], row[:-1], widths[:-1], strict=True)
    ]
    wrapped = textwrap.wrap(row[-1], widths[-1], break_long_words=False, break_on_hyphens=False)
    last = wrapped or [""]
    if columns[-1].right:
        last = [part.rjust(widths[-1]) for part in last]
    first = (" " * gap).join([*head, last[0]]).rstrip()
    indent = " " * (sum(widths[:-1]) + gap * (len(widths) - 1))
    return [first, *(indent + part for part in last[1:])]


def paragraph(text: str, style: Style = PLAIN, *, indent: str = "") -> str:
    """Return a sentence wrapped to the width; continuation lines start with `indent`."""
    if style.tabs:
        return phrases.printable(text)
    return textwrap.fill(
        phrases.printable(text),
        style.width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def following(*commands: str) -> str:
    """Return the lines that end each output: the next sensible commands."""
    lines = [_NEXT + commands[0]]
    for command in commands[1:]:
        if len(lines[-1]) + len(command) + len(_BETWEEN) <= WIDTH:
            lines[-1] += _BETWEEN + command
        else:
            lines.append(" " * len(_NEXT) + command)
    return "\n".join(lines)
