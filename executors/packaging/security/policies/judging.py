"""Whether an image may be deployed: signatures, provenance, scan and formats against a policy.

What is attached to an image is believed only when a key of the policy signed it. A scan that
nobody vouches for is made again. Pickles are refused, whatever the worst severity allowed, unless
the policy names the digest and a key of it signed the image; a pickle that would import what runs
programs stays refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.model.errors import DamagedError
from engine.model.scans import Finding, FindingKind, FindingSeverity, ScanReport
from executors.packaging.security import attachments, layouts
from executors.packaging.security.attachments import Suffix
from executors.packaging.security.policies.policy import (
    HARMLESS_FORMATS,
    Policy,
    Refusal,
    RefusalReason,
    Verdict,
)
from executors.packaging.security.scanning import formats
from executors.packaging.security.scanning.formats import Format
from executors.packaging.security.scanning.limits import Limits
from executors.packaging.security.scanning.members import Member
from executors.packaging.security.scanning.offline import OfflineScanner
from executors.packaging.security.signing import cosign, envelopes, provenance

if TYPE_CHECKING:
    from executors.packaging.security.signing.keys import PublicKey

_PACKAGE = "models/"
_SHOWN_MAX = 5


def judge(
    layout: Path,
    policy: Policy,
    digest: str | None = None,
    *,
    whole: bool = True,
    report: ScanReport | None = None,
) -> Verdict:
    """Return what a policy says of an image of a layout, its newest when no digest is given.

    whole: False when only the layers of the model will be read, as by a model server. report: of a
    scan that the caller made of these layers just now; without it one is made where none is
    vouched for.

    Raises:
        NotFoundError: when the layout has no such image.
        DamagedError: when the image or what is attached to it is not what it says.
    """
    manifest = layouts.manifest_of(layout, digest)
    if not whole:
        manifest = manifest.of_the_model()
    layouts.check_layers(manifest)
    named = _public_keys(policy)
    keys = [key for _, key in named]
    signed_by = cosign.signers(layout, manifest.digest, keys) if keys else frozenset[str]()
    trusted = list(_trusted_statements(layout, manifest.digest, keys))
    report, scanned = (report, "now") if report else _report(manifest, trusted)
    refusals = [
        *_signature_refusals(policy, signed_by),
        *_provenance_refusals(policy, manifest.digest, trusted),
        *_format_refusals(policy, manifest),
        *_finding_refusals(policy, report, manifest.digest, signed=bool(signed_by)),
    ]
    holds_pickles = any(found.kind is FindingKind.PICKLE for found in report.findings)
    return Verdict(
        digest=manifest.digest,
        policy=policy.name,
        refusals=tuple(refusals),
        signers=tuple(sorted(name for name, key in named if key.identity in signed_by)),
        scanned=scanned,
        findings=report.findings,
        pickle=policy.pickle_of(manifest.digest) if holds_pickles and not refusals else None,
    )


def _public_keys(policy: Policy) -> list[tuple[str, PublicKey]]:
    """Return the keys of a policy with their names."""
    if not policy.keys:
        return []
    # `cryptography` is an extra, needed only where signatures are asked for.
    from executors.packaging.security.signing.keys import parse_public  # noqa: PLC0415

    return [(each.name, parse_public(each.pem, each.name)) for each in policy.keys]


def _trusted_statements(
    layout: Path, digest: str, keys: Sequence[PublicKey]
) -> Iterator[dict[str, Any]]:
    """Yield the attestations that a key of the policy signed; damaged ones are passed over."""
    for part in attachments.read(layout, digest, Suffix.ATTESTATIONS) if keys else ():
        try:
            if envelopes.signers(part.data, keys):
                yield envelopes.statement_of(part.data)
        except DamagedError:
            continue


def _report(
    manifest: layouts.Manifest, trusted: Sequence[dict[str, Any]]
) -> tuple[ScanReport, str]:
    """Return the scan that is vouched for, else one made now."""
    for statement in trusted:
        if provenance.is_about(statement, manifest.digest, provenance.SCAN_PREDICATE):
            try:
                return provenance.scan_of(statement), "attested"
            except ValueError:
                continue
    return OfflineScanner().scan_image(manifest), "now"


def _signature_refusals(policy: Policy, signed_by: frozenset[str]) -> Iterator[Refusal]:
    if policy.keys and len(signed_by) < policy.signatures_min:
        names = ", ".join(key.name for key in policy.keys)
        message = (
            f"{len(signed_by)} of {policy.signatures_min} signatures needed are there; "
            f"trusted are {names}"
        )
        fix = "sign it with `berth image sign`"
        yield Refusal(reason=RefusalReason.UNSIGNED, message=message, fix=fix)


def _provenance_refusals(
    policy: Policy, digest: str, trusted: Sequence[dict[str, Any]]
) -> Iterator[Refusal]:
    if not policy.builders:
        return
    found = [
        provenance.builder_of(statement)
        for statement in trusted
        if provenance.is_about(statement, digest, provenance.PREDICATE)
    ]
    if not set(found) & set(policy.builders):
        told = (
            f"it is of {', '.join(found)}" if found else "there is none that a trusted key signed"
        )
        message = f"no provenance of a trusted builder: {told}"
        fix = "package it where the key of the policy is"
        yield Refusal(reason=RefusalReason.PROVENANCE, message=message, fix=fix)


def _format_refusals(policy: Policy, manifest: layouts.Manifest) -> Iterator[Refusal]:
    """Yield a refusal for each file of the package in a format that is not allowed."""
    usual = {*policy.formats, *HARMLESS_FORMATS, Format.PICKLE}  # pickles are judged by themselves
    limit = Limits().file_bytes_max
    for entry, reader in layouts.layer_files(manifest):
        if reader is None or not entry.name.removeprefix("./").startswith(_PACKAGE):
            continue
        kind = formats.of(Member(place=entry.name, data=reader.read(limit)))
        if kind not in usual:
            message = f"{entry.name!r} is in the format `{kind.value}`, which is not allowed"
            fix = f"convert it, or add `{kind.value}` to `formats`"
            yield Refusal(reason=RefusalReason.FORMAT, message=message, fix=fix)


def _finding_refusals(
    policy: Policy, report: ScanReport, digest: str, *, signed: bool
) -> Iterator[Refusal]:
    """Yield a refusal for pickles, and one for each of the other findings that is too bad."""
    pickles = [f for f in report.findings if f.kind is FindingKind.PICKLE]
    allowed = policy.pickle_of(digest) if signed else None
    refused = [f for f in pickles if not allowed or f.severity is FindingSeverity.CRITICAL]
    if refused:
        yield _pickle_refusal(policy, refused[0], digest, signed=signed)
    bad = [found for found in report.findings if _is_too_bad(policy, found)]
    for found in bad[:_SHOWN_MAX]:
        message = f"{found.severity.value}: {found.place}: {found.message}"
        yield Refusal(reason=RefusalReason.FINDING, message=message, fix=found.fix)
    if len(bad) > _SHOWN_MAX:
        message = f"{len(bad) - _SHOWN_MAX} more findings are worse than {policy.worst.value}"
        yield Refusal(reason=RefusalReason.FINDING, message=message, fix="see `berth image scan`")


def _is_too_bad(policy: Policy, found: Finding) -> bool:
    """Return whether a finding that is no pickle is worse than allowed, and not let pass."""
    if found.kind is FindingKind.PICKLE or found.severity.rank <= policy.worst.rank:
        return False
    return not any(allowed.covers(found) for allowed in policy.allowed)


def _pickle_refusal(policy: Policy, found: Finding, digest: str, *, signed: bool) -> Refusal:
    message = f"pickle in {found.place!r}: {found.message}"
    fix = found.fix or "convert it to ONNX, safetensors or skops"
    if policy.pickle_of(digest) is None:
        fix += f"; an administrator may sign it and allow {digest} under `pickle`"
    elif not signed:
        message += f"; {digest} is allowed under `pickle`, and no key of the policy signed it"
        fix += "; or sign it with `berth image sign`"
    return Refusal(reason=RefusalReason.PICKLE, message=message, fix=fix)
