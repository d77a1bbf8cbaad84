"""In-toto statements about images: SLSA provenance, the bill, the scan.

https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1. They hold no times, so that the
same run says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from engine.model.scans import Finding, FindingKind, FindingSeverity, ScanReport

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
SCAN_PREDICATE = "https://berth.dev/scan/v1"
BUILD_TYPE = "https://berth.dev/package/v1"
BUILDER = "https://berth.dev/builders/local"
"""Whose word an attestation is, unless an installation names its own builder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How an image came to be.

    parameters: what the run asked for. materials: what went in, name to `sha256:` digest.
    reference: the name by which the image is deployed (`registry/repository`), "" for the
    pipeline's.
    """

    pipeline: str
    task: str
    run: str
    parameters: Mapping[str, Any]
    materials: Mapping[str, str]
    version: str
    builder: str = BUILDER
    reference: str = ""


def statement(name: str, digest: str, kind: str, predicate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement about an image."""
    subject = {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
    return {
        "_type": STATEMENT,
        "subject": [subject],
        "predicateType": kind,
        "predicate": dict(predicate),
    }


def of_build(build: Build) -> dict[str, Any]:
    """Return the SLSA predicate of a build."""
    materials = [
        {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
        for name, digest in sorted(build.materials.items())
    ]
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "pipeline": build.pipeline,
                "task": build.task,
                "parameters": dict(build.parameters),
            },
            "internalParameters": {},
            "resolvedDependencies": materials,
        },
        "runDetails": {
            "builder": {"id": build.builder, "version": {"berth": build.version}},
            "metadata": {"invocationId": build.run},
        },
    }


def is_about(statement: Mapping[str, Any], digest: str, kind: str) -> bool:
    """Return whether a statement is of a kind and about the image of a digest."""
    if statement.get("_type") != STATEMENT or statement.get("predicateType") != kind:
        return False
    subjects = statement.get("subject")
    wanted = digest.removeprefix("sha256:")
    return any(
        cast("dict[str, Any]", subject.get("digest") or {}).get("sha256") == wanted
        for subject in cast("Sequence[Any]", subjects if isinstance(subjects, list) else [])
        if isinstance(subject, dict) and isinstance(subject.get("digest"), dict)
    )


def builder_of(statement: Mapping[str, Any]) -> str:
    """Return the builder that a provenance names, "" for none."""
    found: object = statement
    for key in ("predicate", "runDetails", "builder", "id"):
        found = cast("dict[str, object]", found).get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def of_scan(report: ScanReport, scanner: str) -> dict[str, Any]:
    """Return the predicate of a scan."""
    return {
        "scanner": scanner,
        "fileCount": report.file_count,
        "notRun": list(report.not_run),
        "findings": [
            {
                "kind": found.kind.value,
                "severity": found.severity.value,
                "code": found.code,
                "place": found.place,
                "message": found.message,
                "fix": found.fix,
            }
            for found in report.findings
        ],
    }


def scan_of(statement: Mapping[str, Any]) -> ScanReport:
    """Return the scan that a statement tells of.

    Raises:
        ValueError: when it is no such statement.
    """
    try:
        predicate = statement["predicate"]
        findings = tuple(
            Finding(
                kind=FindingKind(entry["kind"]),
                severity=FindingSeverity(entry["severity"]),
                code=str(entry["code"]),
                place=str(entry["place"]),
                message=str(entry["message"]),
                fix=str(entry["fix"]),
            )
            for entry in predicate["findings"]
        )
        return ScanReport(
            findings=findings,
            not_run=tuple(map(str, predicate["notRun"])),
            file_count=int(predicate["fileCount"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("it tells of no scan") from error
