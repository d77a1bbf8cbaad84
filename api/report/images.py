"""Scans and verdicts on images, as text."""

from __future__ import annotations

from api.report import phrases
from api.report.tables import PLAIN, Column, Style, table
from engine.model.scans import ScanReport
from executors.packaging.security.policies.policy import Policy, Verdict

_FINDINGS = (
    Column(title="SEVERITY"),
    Column(title="CODE"),
    Column(title="WHERE"),
    Column(title="WHAT"),
)
_REFUSALS = (Column(title="REASON"), Column(title="WHAT"))


def scan_text(report: ScanReport, style: Style = PLAIN) -> str:
    """Return a row for each finding, then what could not be checked."""
    files = phrases.plural(report.file_count, "file")
    rows = [(f.severity.value, f.code, f.place, f.message) for f in report.findings]
    parts = [table(_FINDINGS, rows, style)] if rows else []
    parts.append(f"{phrases.plural(len(rows), 'finding')} in {files}.")
    parts += [f"Not checked: {phrases.printable(reason)}." for reason in report.not_run]
    return "\n\n".join(parts)


def verdict_text(verdict: Verdict, style: Style = PLAIN) -> str:
    """Return whether an image may be deployed, and each reason why not."""
    signed = f"signed by {', '.join(verdict.signers)}" if verdict.signers else "no signature counts"
    scanned = "scan vouched for" if verdict.scanned == "attested" else "scanned now"
    facts = f"{signed}; {scanned}, {phrases.plural(len(verdict.findings), 'finding')}"
    if verdict.is_allowed:
        return f"{verdict.digest} may be deployed by policy {verdict.policy!r} ({facts})."
    rows = [(refusal.reason.value, refusal.message) for refusal in verdict.refusals]
    fixes = dict.fromkeys(refusal.fix for refusal in verdict.refusals if refusal.fix)
    heading = f"{verdict.digest} may not be deployed by policy {verdict.policy!r} ({facts})."
    advice = "\n".join(f"  = fix: {phrases.printable(fix)}" for fix in fixes)
    return f"{style.alert(heading)}\n\n{table(_REFUSALS, rows, style)}\n\n{advice}"


def policy_text(policy: Policy) -> str:
    """Return what a policy asks for, in words."""
    trusted = ", ".join(key.name for key in policy.keys)
    count = policy.signatures_min
    lines = [
        f"Policy {policy.name!r}:",
        f"  signatures: {f'{count} of {trusted}' if trusted else 'none needed'}",
        f"  provenance: {', '.join(policy.builders) or 'none needed'}",
        f"  worst finding: {policy.worst.value}; {len(policy.allowed)} allowed by name",
        f"  formats: {', '.join(kind.value for kind in policy.formats)}",
        f"  pickle: {f'{len(policy.pickles)} signed digests' if policy.pickles else 'never'}",
    ]
    return "\n".join(phrases.printable(line) for line in lines)
