"""Licences of installed distributions: those that bind whoever passes the software on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.model.scans import Finding, FindingKind, FindingSeverity
from executors.packaging.security.components import Component

_NETWORK = re.compile(r"\b(AGPL|SSPL|BUSL|Affero|Server Side Public)", re.IGNORECASE)
_STRONG = re.compile(r"(?<![LA])\b(GPL|GNU General Public)", re.IGNORECASE)
_CLOSED = re.compile(r"proprietary|commercial|all rights reserved|\bEULA\b", re.IGNORECASE)
_CHOICE = re.compile(r"\s+OR\s+")


def findings(found: Sequence[Component]) -> Iterator[Finding]:
    """Yield what is to be known of each distribution's licence."""
    for component in found:
        words = component.expression or component.licence_name
        place = component.place or component.name
        name = f"{component.name} {component.version}"
        if not words:
            message = f"{name} names no licence"
            yield _finding("licence.unknown", place, FindingSeverity.LOW, message)
            continue
        # Where there is a choice, the mildest counts.
        choices = [severity_of(each) for each in _CHOICE.split(words)]
        severity = None if None in choices else min(choices, key=_rank)
        if severity is not None:
            code = f"licence.{'closed' if _CLOSED.search(words) else 'copyleft'}"
            yield _finding(code, place, severity, f"{name} is under {words!r}")


def severity_of(words: str) -> FindingSeverity | None:
    """Return how much a licence binds; None when it asks for little more than to be named.

    An exception for what is linked with the software, as GCC's, takes it away.
    """
    if _NETWORK.search(words):
        return FindingSeverity.MEDIUM
    if _STRONG.search(words) and "WITH" not in words and "exception" not in words:
        return FindingSeverity.LOW
    return FindingSeverity.LOW if _CLOSED.search(words) else None


def _rank(severity: FindingSeverity | None) -> int:
    return -1 if severity is None else severity.rank


def _finding(code: str, place: str, severity: FindingSeverity, message: str) -> Finding:
    return Finding(
        kind=FindingKind.LICENCE,
        severity=severity,
        code=code,
        place=place,
        message=message,
        fix="ask whoever answers for licences",
    )
