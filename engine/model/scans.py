"""What a scan of a model, an archive or an image found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingSeverity(StrEnum):
    """How bad a finding is, from the least to the worst."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Position from 0 (the least)."""
        return list(FindingSeverity).index(self)


class FindingKind(StrEnum):
    """What kind of check found something."""

    PICKLE = "pickle"
    FORMAT = "format"
    ARCHIVE = "archive"
    SECRET = "secret"  # noqa: S105 - the name of a kind, no secret
    LICENCE = "licence"
    REQUIREMENT = "requirement"
    VULNERABILITY = "vulnerability"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found.

    code: short and stable, such as `pickle.global`; policies allow findings by it.
    place: the file, with `!` before each member of an archive inside it.
    """

    kind: FindingKind
    severity: FindingSeverity
    code: str
    place: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """All findings, the worst first, and the checks that could not be made, each with its reason.

    file_count: files looked at, members of archives included.
    """

    findings: tuple[Finding, ...] = ()
    not_run: tuple[str, ...] = ()
    file_count: int = 0

    @property
    def worst(self) -> FindingSeverity | None:
        """The worst severity; None when nothing was found."""
        return max((f.severity for f in self.findings), key=lambda s: s.rank, default=None)
