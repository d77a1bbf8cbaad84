"""The rules of what may be deployed, as values; `reading` makes them of a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.model.identifiers import Digest
from engine.model.scans import Finding, FindingSeverity
from executors.packaging.security.scanning.formats import Format

DEFAULT_FORMATS = (
    Format.ONNX,
    Format.SKOPS,
    Format.SAFETENSORS,
    Format.UBJ,
    Format.NUMPY,
    Format.ARCHIVE,
    Format.PYTHON,
)
HARMLESS_FORMATS = frozenset({Format.JSON, Format.TEXT})
"""Need no permission: nothing that reads them runs anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A key whose signatures count: the file it was read from, and its PEM text."""

    name: str
    pem: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedFinding:
    """Findings of a code that do not count, and why. place: "" for anywhere."""

    code: str
    because: str
    place: str = ""

    def covers(self, finding: Finding) -> bool:
        """Return whether a finding is allowed by this."""
        return finding.code == self.code and self.place in {"", finding.place}


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPickle:
    """One signed image that may hold pickles: who allowed it, and why."""

    digest: Digest
    by: str
    because: str

    @property
    def said(self) -> str:
        """Who allowed what, and why, in words."""
        return f"{self.digest}, allowed by {self.by}: {self.because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What may be deployed.

    keys: any of them may sign; empty when no signature is asked for. signatures_min: how many
    different ones must have. builders: whose provenance counts; empty when none is asked for.
    worst: the worst severity of a finding that may still be deployed.
    """

    name: str = "default"
    keys: tuple[TrustedKey, ...] = ()
    signatures_min: int = 1
    builders: tuple[str, ...] = ()
    worst: FindingSeverity = FindingSeverity.MEDIUM
    allowed: tuple[AllowedFinding, ...] = ()
    formats: tuple[Format, ...] = DEFAULT_FORMATS
    pickles: tuple[AllowedPickle, ...] = ()

    def pickle_of(self, digest: str) -> AllowedPickle | None:
        """Return the permission for the pickles of an image; None when there is none."""
        return next((each for each in self.pickles if each.digest == digest), None)


class RefusalReason(StrEnum):
    """Why an image may not be deployed."""

    UNSIGNED = "unsigned"
    PROVENANCE = "provenance"
    FINDING = "finding"
    FORMAT = "format"
    PICKLE = "pickle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One reason why an image may not be deployed."""

    reason: RefusalReason
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a policy says of an image.

    signers: names of the keys that signed it. scanned: "attested" when a signed report of the
    scan was believed, else "now". pickle: by whose leave it holds pickles, None when it holds none.
    """

    digest: Digest
    policy: str
    refusals: tuple[Refusal, ...]
    signers: tuple[str, ...] = ()
    scanned: str = "now"
    findings: tuple[Finding, ...] = ()
    pickle: AllowedPickle | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether the image may be deployed."""
        return not self.refusals
