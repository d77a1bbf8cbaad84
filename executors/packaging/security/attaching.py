"""Attaches bill, provenance, scan and signature to an image: what the `package` task calls.

The key is the file `BERTH_SIGNING_KEY`, else `signing.key` in the data folder; without one all is
attached unsigned, which tells people what is in the image, but nothing of who made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.model.scans import ScanReport
from executors.packaging import images
from executors.packaging.security import attachments, sbom
from executors.packaging.security.attachments import Part, Suffix
from executors.packaging.security.scanning.offline import OfflineScanner
from executors.packaging.security.signing import cosign, envelopes, provenance
from executors.packaging.security.signing.provenance import Build

if TYPE_CHECKING:
    from executors.packaging.security.signing.keys import PrivateKey

SCANNER = "berth offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an image: its bill (CycloneDX), and what a scan found."""

    bill: Mapping[str, Any]
    report: ScanReport


def attach(
    layout: Path, digest: str, build: Build, *, environment: Mapping[str, str]
) -> ScanReport:
    """Attach all to an image of a layout; return what the scan found.

    Raises:
        RefusedError: when there is a key and it cannot be used.
    """
    known = Known(bill=sbom.of_image(layout, digest), report=OfflineScanner().scan(layout, digest))
    attach_known(layout, digest, build, known, key=signing_key(environment))
    return known.report


def attach_known(
    layout: Path,
    digest: str,
    build: Build,
    known: Known,
    *,
    key: PrivateKey | None,
    durable: bool = True,
) -> None:
    """Attach to an image what is known of it; the image itself need not stand in the layout.

    key: who vouches for it; None for nobody. durable: False for a folder that is thrown away.
    """
    bill, report = known.bill, known.report
    parts = [Part(media_type=sbom.MEDIA_TYPE, data=images.canonical(bill))]
    attachments.write(layout, digest, Suffix.BILL, parts, durable=durable)
    about = {
        provenance.PREDICATE: provenance.of_build(build),
        provenance.SCAN_PREDICATE: provenance.of_scan(report, SCANNER),
        sbom.PREDICATE_TYPE: bill,
    }
    envelopes_of = [_sealed(build.pipeline, digest, kind, about[kind], key) for kind in about]
    attachments.write(layout, digest, Suffix.ATTESTATIONS, envelopes_of, durable=durable)
    if key is not None:
        cosign.sign(layout, digest, build.reference or build.pipeline, key, durable=durable)


def attest_scan(layout: Path, digest: str, name: str, report: ScanReport, key: PrivateKey) -> None:
    """Attach a scan, vouched for by a key."""
    predicate = provenance.of_scan(report, SCANNER)
    part = _sealed(name, digest, provenance.SCAN_PREDICATE, predicate, key)
    attachments.add(layout, digest, Suffix.ATTESTATIONS, [part])


def signing_key(environment: Mapping[str, str]) -> PrivateKey | None:
    """Return the key that an environment names or its data folder has; None for none.

    Raises:
        NotFoundError: when the file that is named cannot be read.
        RefusedError: when it cannot be used.
    """
    named, home = environment.get("BERTH_SIGNING_KEY"), environment.get("BERTH_HOME")
    path = Path(named) if named else Path(home) / "signing.key" if home else None
    if path is None or not (named or path.exists()):
        return None
    # `cryptography` is an extra, needed only where there is a key.
    from executors.packaging.security.signing import keys  # noqa: PLC0415

    return keys.read_private(path, environment)


def _sealed(
    name: str, digest: str, kind: str, predicate: Mapping[str, Any], key: PrivateKey | None
) -> Part:
    statement = provenance.statement(name, digest, kind, predicate)
    return Part(
        media_type=envelopes.MEDIA_TYPE,
        data=envelopes.seal(statement, [key] if key else []),
        annotations={"predicateType": kind},
    )
