"""Errors as people read them: file, line, caret, reason with numbers, candidates, fix, code."""

from __future__ import annotations

from api.report import phrases
from api.report.tables import PLAIN, Style
from engine.model.errors import (
    MACHINE_WISH,
    BerthError,
    Fault,
    InfeasibleError,
    InvalidInputError,
    WorldChangedError,
)

_FAULTS_SHOWN = 20
"""A file in the wrong unit has a fault in each of its lines, and the first ones say it."""


def error_text(error: BerthError, style: Style = PLAIN) -> str:
    """Return everything a person needs to know about an error, ending with where more stands."""
    if isinstance(error, InvalidInputError) and error.faults:
        shown = [fault_text(error.document, each, style) for each in error.faults[:_FAULTS_SHOWN]]
        if len(error.faults) > len(shown):
            more = phrases.plural(len(error.faults) - len(shown), "more fault")
            shown.append(f"and {more}")
        return "\n\n".join(shown)
    lines = [_heading(error.code, error.message, style)]
    if isinstance(error, InfeasibleError) and error.clashes:
        lines += _clashes(error)
    if isinstance(error, WorldChangedError):
        lines += [f"  ~ {phrases.printable(change)}" for change in error.changes]
    return "\n".join([*lines, *_ending(error.fix, error.code)])


def fault_text(document: str, fault: Fault, style: Style = PLAIN) -> str:
    """Return one fault of a document, with the line it stands in and a caret below it."""
    heading, _, reason = fault.message.partition(": ")
    if not fault.line:
        lines = [_heading(fault.code, fault.message, style), f"  --> {_place(document, fault)}"]
        return "\n".join([*lines, *_candidates(fault), *_ending(fault.fix, fault.code)])
    margin = " " * len(str(fault.line))
    # A tab is one character for the column but several on the screen.
    source = phrases.printable(fault.source_line).replace("\t", " ").rstrip()
    caret = " " * (fault.column - 1) + "^" * max(fault.length, 1)
    lines = [
        _heading(fault.code, heading, style),
        f"{margin}--> {_place(document, fault)}",
        f"{margin} |",
        f"{fault.line} | {source}",
        f"{margin} | {style.alert(f'{caret} {phrases.printable(reason)}'.rstrip())}",
        f"{margin} |",
    ]
    return "\n".join([*lines, *_candidates(fault), *_ending(fault.fix, fault.code)])


def _heading(code: str, message: str, style: Style) -> str:
    return f"{style.alert(f'error[{code}]')}: {phrases.printable(message)}"


def _place(document: str, fault: Fault) -> str:
    """Return where a fault is: file, line and column, or the path of keys."""
    if fault.line:
        return f"{phrases.printable(document)}:{fault.line}:{fault.column}"
    return phrases.printable(f"{document}: {fault.path}" if fault.path else document)


def _candidates(fault: Fault) -> list[str]:
    listed = ", ".join(phrases.printable(candidate) for candidate in fault.candidates)
    return [f"considered: {listed}"] if listed else []


def _clashes(error: InfeasibleError) -> list[str]:
    """Return the wishes that cannot hold together, each with its cheapest relaxation."""
    width = max(len(clash.wish) for clash in error.clashes)
    if all(clash.wish.startswith(MACHINE_WISH) for clash in error.clashes):
        changes = "this changes" if len(error.clashes) == 1 else "all of these change"
        lines = [f"no machine of the fleet will do, unless {changes}:"]
    elif len(error.clashes) == 1:
        return []  # the message names the wish, and the fix how to relax it
    else:
        count = len(error.clashes)
        lines = [f"{count} wishes cannot hold together; relaxing any one of them ends this clash:"]
    return lines + [
        f"  {phrases.printable(clash.wish).ljust(width)}   {phrases.printable(clash.relaxation)}"
        for clash in error.clashes
    ]


def _ending(fix: str, code: str) -> list[str]:
    lines = [f"fix: {phrases.printable(fix)}"] if fix else []
    return [*lines, f"more: berth help {code}"]
