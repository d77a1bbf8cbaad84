"""Requirement files of pip: what is not pinned, or may come from another index than is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.model.scans import Finding, FindingKind, FindingSeverity

_FILE = re.compile(r"(requirements|constraints)[\w.-]*\.(txt|in)", re.IGNORECASE)
_PINNED = re.compile(r"^[A-Za-z0-9][\w.-]*(\[[\w,.\s-]*\])?\s*={2,3}\s*[^*\s;,]+\s*(;.*)?$")
_COMMIT = re.compile(r"@[0-9a-f]{40}\b")
_LINES_MAX = 20_000
_COMMENT = re.compile(r"(^|\s)#.*$")


def is_requirements(name: str) -> bool:
    """Return whether a file is one of requirements, by its name."""
    return _FILE.fullmatch(name) is not None


def findings(place: str, data: bytes) -> Iterator[Finding]:
    """Yield what is wrong with each line."""
    text = data.decode("utf-8", "replace").replace("\\\n", " ")
    unhashed = 0
    for number, raw in enumerate(text.splitlines()[:_LINES_MAX], start=1):
        line = _COMMENT.sub("", raw).strip()
        if not line:
            continue
        if line.startswith("-"):
            yield from _option(place, number, line)
            continue
        requirement, _, hashes = line.partition(" --hash")
        unhashed += not hashes
        yield from _requirement(place, number, requirement.strip())
    if unhashed:
        message = f"{unhashed} requirements name no hash of what is to be installed"
        fix = "write it with `uv pip compile --generate-hashes`"
        yield _finding("requirement.unhashed", place, FindingSeverity.LOW, message, fix)


def _option(place: str, number: int, line: str) -> Iterator[Finding]:
    """Yield what is wrong with an option of pip."""
    if line.startswith("--extra-index-url"):
        message = f"line {number} adds a second index: whoever takes a name there is installed"
        fix = "use one index that mirrors the other"
        yield _finding("requirement.index", place, FindingSeverity.HIGH, message, fix)
    if line.startswith("--trusted-host") or "http://" in line:
        message = f"line {number} trusts an index without a certificate"
        yield _finding("requirement.insecure", place, FindingSeverity.HIGH, message)


def _requirement(place: str, number: int, line: str) -> Iterator[Finding]:
    """Yield what is wrong with one requirement."""
    if "http://" in line:
        message = f"line {number} fetches without a certificate: {line!r}"
        yield _finding("requirement.insecure", place, FindingSeverity.HIGH, message)
    if "://" in line or line.startswith((".", "/")):
        fixed = _COMMIT.search(line) or "#sha256=" in line or line.startswith((".", "/"))
        if not fixed:
            message = f"line {number} names no commit and no hash: {line!r}"
            yield _finding("requirement.unpinned", place, FindingSeverity.MEDIUM, message)
    elif not _PINNED.match(line):
        message = f"line {number} is not pinned: {line!r}"
        fix = "write the version with `==`"
        yield _finding("requirement.unpinned", place, FindingSeverity.MEDIUM, message, fix)


def _finding(
    code: str, place: str, severity: FindingSeverity, message: str, fix: str = ""
) -> Finding:
    return Finding(
        kind=FindingKind.REQUIREMENT,
        severity=severity,
        code=code,
        place=place,
        message=message,
        fix=fix,
    )
