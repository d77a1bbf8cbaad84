"""What people ask about images and files: bill, scan, signature, verdict.

A target is a path (a file, a folder, an OCI layout) or a packaged model of the data folder:
`NAME`, `NAME:TAG` or `NAME@sha256:...`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.model.errors import NotFoundError, RefusedError
from engine.model.identifiers import Digest
from engine.model.scans import ScanReport
from executors.packaging.registry import LATEST, OciRegistry
from executors.packaging.security import attaching, components, layouts, sbom
from executors.packaging.security.policies import gate, judging
from executors.packaging.security.policies.policy import Policy, TrustedKey, Verdict
from executors.packaging.security.policies.reading import load_policy
from executors.packaging.security.sandbox.calls import ConfinedScanner
from executors.packaging.security.scanning import auditing
from executors.packaging.security.signing import cosign, gpg, keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a question is about; digest is "" for what is no image."""

    path: Path
    name: str
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signature that was made."""

    digest: Digest
    reference: str
    by: str
    place: str


class ImageDesk:
    """Answers questions about images below a data folder, and about files."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._registry = OciRegistry(home / "models")
        self._environment = {"BERTH_HOME": str(home), **environment}

    def target(self, text: str, *, stored_only: bool = False) -> Target:
        """Return what a text means.

        stored_only: whether only packaged models may be named, as by those far away.

        Raises:
            NotFoundError: when there is no such file and no such model.
        """
        path = Path(text)
        if not stored_only and path.exists():
            digest = layouts.manifest_of(path).digest if layouts.is_layout(path) else ""
            return Target(path=path, name=path.resolve().name, digest=digest)
        name, _, wanted = text.partition("@")
        name, _, tag = name.partition(":")
        try:
            known = self._registry.images(name)
            digest = wanted or (self._registry.resolve(name, tag or LATEST) if known else "")
        except RefusedError:
            known, digest = (), ""
        if not known or digest not in known:
            message = f"there is no file, and no packaged model {text!r}"
            raise NotFoundError(message, fix="name a path, NAME, NAME:TAG or NAME@sha256:...")
        return Target(path=self._registry.layout(name), name=name, digest=digest)

    def bill(self, target: Target) -> dict[str, Any]:
        """Return the bill of an image, or of what is installed below a folder.

        Raises:
            RefusedError: for a single file.
        """
        if target.digest:
            return sbom.of_image(target.path, target.digest)
        if target.path.is_dir():
            return sbom.of_folder(target.path)
        message = f"{str(target.path)!r} is a single file"
        raise RefusedError(message, fix="name an image, or a folder with installed libraries")

    def scan(self, target: Target, *, audit: bool = False) -> ScanReport:
        """Return what a scan finds, made in a confined process.

        audit: also ask for known vulnerabilities, which needs the network.
        """
        report = ConfinedScanner().scan(target.path, target.digest or None)
        return _joined(report, self._audited(target)) if audit else report

    def policy(self, path: Path | None = None) -> Policy:
        """Return the policy of a file, else the one that holds."""
        return load_policy(path) if path else gate.current_policy(self._environment)

    def verdict(self, target: Target, policy: Policy) -> Verdict:
        """Return what a policy says of an image.

        Raises:
            RefusedError: for what is no image.
        """
        return judging.judge(target.path, policy, _image(target))

    def sign(self, target: Target, *, key: Path | None = None, reference: str = "") -> Signed:
        """Sign an image, and vouch for a scan made now, with a key or that of the data folder.

        Raises:
            RefusedError: when there is no key, or it cannot be used.
        """
        digest = _image(target)
        used = (
            keys.read_private(key, self._environment)
            if key
            else attaching.signing_key(self._environment)
        )
        if used is None:
            message = "there is no key to sign with"
            raise RefusedError(message, fix="make one with `berth image keys FILE`, name it: --key")
        report = ConfinedScanner().scan(target.path, digest)
        cosign.sign(target.path, digest, reference or target.name, used)
        attaching.attest_scan(target.path, digest, target.name, report, used)
        return Signed(
            digest=Digest(digest),
            reference=reference or target.name,
            by=used.public.identity,
            place=str(target.path),
        )

    def sign_by_gpg(
        self, target: Target, key: gpg.GpgKey, *, reference: str, lookaside: Path
    ) -> Signed:
        """Sign an image by GPG, for skopeo and podman."""
        digest = Digest(_image(target))
        passphrase = key.passphrase or keys.passphrase_of(self._environment)
        used = dataclasses.replace(key, passphrase=passphrase)
        path = gpg.sign(lookaside, reference, digest, used)
        return Signed(digest=digest, reference=reference, by=key.fingerprint, place=str(path))

    def make_key(self, path: Path) -> str:
        """Write a new key pair; return the identity of its public half."""
        return keys.make(path, passphrase=keys.passphrase_of(self._environment)).identity

    def _audited(self, target: Target) -> ScanReport:
        """Return known vulnerabilities of what is installed."""
        if target.digest:
            found = components.of_image(layouts.manifest_of(target.path, target.digest))
        elif target.path.is_dir():
            found = components.of_folder(target.path)
        else:
            found = ()
        if not found:
            return ScanReport(not_run=("known vulnerabilities: nothing is installed in it",))
        return auditing.first_that_runs([auditing.PipAudit(), auditing.Osv()], found)


def with_keys(policy: Policy, paths: list[Path]) -> Policy:
    """Return a policy that asks for a signature of one of these public keys as well."""
    trusted = tuple(TrustedKey(name=path.name, pem=keys.read_public(path).pem) for path in paths)
    return dataclasses.replace(policy, keys=(*policy.keys, *trusted)) if trusted else policy


def _image(target: Target) -> str:
    if not target.digest:
        message = f"{str(target.path)!r} is no image"
        raise RefusedError(message, fix="name an OCI layout or a packaged model")
    return target.digest


def _joined(first: ScanReport, second: ScanReport) -> ScanReport:
    order = sorted([*first.findings, *second.findings], key=lambda found: -found.severity.rank)
    return ScanReport(
        findings=tuple(order),
        not_run=(*first.not_run, *second.not_run),
        file_count=first.file_count,
    )
