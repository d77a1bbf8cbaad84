"""Known vulnerabilities of installed distributions: by pip-audit, or by OSV's service.

Both need the network, at least to a mirror; where neither is reached the report says so, since
"nothing found" and "not looked" are different answers. https://osv.dev and
https://github.com/pypa/pip-audit.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import httpx

from engine.model.scans import Finding, FindingKind, FindingSeverity, ScanReport
from executors.packaging.security.components import Component

OSV = "https://api.osv.dev"
_SECONDS = 120.0
_HTTP_SECONDS = 10.0
_BATCH = 500
_ANSWER_BYTES_MAX = 32 << 20


class Auditor(Protocol):
    """Knows vulnerabilities of distributions."""

    def audit(self, found: Sequence[Component]) -> ScanReport:
        """Return those known of these distributions, or in `not_run` why none could be asked."""
        ...


class PipAudit:
    """The program pip-audit, where it is installed. It asks PyPI, or what it is configured for."""

    def __init__(self, program: str = "pip-audit") -> None:
        self._program = program

    def audit(self, found: Sequence[Component]) -> ScanReport:
        """Return what pip-audit finds of pinned distributions; it installs nothing."""
        program = shutil.which(self._program)
        if program is None:
            return _not_run("pip-audit is not installed")
        with tempfile.TemporaryDirectory(prefix="berth-audit-") as scratch:
            pinned = Path(scratch) / "requirements.txt"
            lines = [f"{each.name}=={each.version}" for each in found]
            pinned.write_text("\n".join(lines) + "\n", encoding="utf-8")
            options = [
                "--no-deps",
                "--disable-pip",
                "--format",
                "json",
                "--progress-spinner",
                "off",
            ]
            try:
                done = subprocess.run(
                    [program, *options, "--requirement", str(pinned)],
                    capture_output=True,
                    check=False,
                    timeout=_SECONDS,
                )
            except subprocess.TimeoutExpired:
                return _not_run(f"pip-audit took longer than {_SECONDS:g} s")
        try:
            listed = json.loads(done.stdout)["dependencies"]
        except (ValueError, KeyError, TypeError):
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            return _not_run(f"pip-audit failed: {said[-1] if said else 'without a word'}")
        return _of_pip_audit(cast("Sequence[Mapping[str, Any]]", listed), found)


class Osv:
    """OSV's service, by its batch query."""

    def __init__(self, address: str = OSV, client: httpx.Client | None = None) -> None:
        self._address = address
        self._client = client or httpx.Client(timeout=_HTTP_SECONDS)

    def audit(self, found: Sequence[Component]) -> ScanReport:
        """Return what OSV knows; severities are not part of a batch answer, so all are high."""
        findings: list[Finding] = []
        for start in range(0, len(found), _BATCH):
            batch = found[start : start + _BATCH]
            queries = [{"package": {"purl": each.purl}} for each in batch]
            try:
                answer = self._client.post(
                    f"{self._address}/v1/querybatch", json={"queries": queries}
                ).raise_for_status()
                results = answer.json()["results"]
                for component, result in zip(batch, results, strict=True):
                    known = [str(entry["id"]) for entry in result.get("vulns") or ()]
                    findings += [_finding(component, each, "", "") for each in known]
            except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
                return _not_run(f"OSV at {self._address} does not answer: {error}")
        return ScanReport(findings=tuple(findings), file_count=len(found))


def first_that_runs(auditors: Sequence[Auditor], found: Sequence[Component]) -> ScanReport:
    """Return the report of the first that could be asked, else why none could."""
    reasons: list[str] = []
    for auditor in auditors:
        report = auditor.audit(found)
        if not report.not_run or report.findings:
            return report
        reasons += report.not_run
    return ScanReport(not_run=tuple(reasons))


def _of_pip_audit(listed: Sequence[Mapping[str, Any]], found: Sequence[Component]) -> ScanReport:
    """Return the findings of pip-audit's answer; what it could not look up is told."""
    known = {each.name: each for each in found}
    findings: list[Finding] = []
    skipped: list[str] = []
    for entry in listed:
        component = known.get(str(entry.get("name")))
        if component is None:
            continue
        if entry.get("skip_reason"):
            skipped.append(component.name)
        for vulnerability in entry.get("vulns") or ():
            fixed = ", ".join(map(str, vulnerability.get("fix_versions") or ()))
            said = str(vulnerability.get("description", ""))
            findings.append(_finding(component, str(vulnerability.get("id")), said, fixed))
    not_run = (f"pip-audit does not know {', '.join(sorted(skipped))}",) if skipped else ()
    return ScanReport(findings=tuple(findings), not_run=not_run, file_count=len(found))


def _finding(component: Component, identifier: str, said: str, fixed: str) -> Finding:
    words = " ".join(said.split())[:200]
    return Finding(
        kind=FindingKind.VULNERABILITY,
        severity=FindingSeverity.HIGH,
        code=f"vulnerability.{identifier}",
        place=component.place or component.name,
        message=f"{component.name} {component.version}: {identifier}{': ' if words else ''}{words}",
        fix=f"update to {fixed}" if fixed else "look it up, and update or replace it",
    )


def _not_run(reason: str) -> ScanReport:
    return ScanReport(not_run=(f"known vulnerabilities: {reason}",))
