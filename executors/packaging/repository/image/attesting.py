"""What is attached to a pushed model between its build and its push, and what the policy says.

The package (the layer of the model, which servers load) and the whole image each get a bill of
materials, provenance, a scan, and with a key a signature. What the layers below the model hold is
read once and kept by their digests, for it changes only with the requirements.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.model.identifiers import Digest
from engine.model.scans import ScanReport
from executors.packaging import images
from executors.packaging.oci import bases
from executors.packaging.oci.builder import Built
from executors.packaging.oci.layers import key_of
from executors.packaging.repository.image import building
from executors.packaging.repository.package import Package
from executors.packaging.security import attaching, sbom
from executors.packaging.security.attaching import Known
from executors.packaging.security.components import Component
from executors.packaging.security.policies.gate import Gate
from executors.packaging.security.sandbox import calls
from executors.packaging.security.sandbox.calls import ConfinedScanner
from executors.packaging.security.signing import provenance
from executors.packaging.security.signing.provenance import Build

_FORM = "1"
"""Of what is kept; another one when scans find more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An image that is built, and what it was built from."""

    package: Package
    built: Built
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Below:
    """What the layers below the model hold: what is installed, and what a scan found."""

    components: tuple[Component, ...]
    report: ScanReport


class Attestor:
    """Attaches and judges. May be used from several threads.

    layers: root of the cache of layers. environment: names key and policy, by `BERTH_HOME` too.
    """

    def __init__(self, layers: Path, environment: Mapping[str, str]) -> None:
        self._layers = layers
        self._environment = environment
        self._gate = Gate(environment)
        self._scanner = ConfinedScanner()
        self._known: dict[str, _Below] = {}

    def prepare(self) -> None:
        """Begin what the next scan of a package needs; `close` ends it."""
        self._scanner.prepare()

    def close(self) -> None:
        """End what waits for a scan."""
        self._scanner.close()

    def package(self, made: Made, layout: Path, digest: Digest) -> ScanReport:
        """Attach all to the package of a layout, and ask the policy; return what a scan found.

        layout: thrown away afterwards. digest: the package's.

        Raises:
            RefusedError: when the policy refuses the package, the key cannot be used, or this
                machine cuts no process off from the network.
            DamagedError: when a limit ended the scan.
            InvalidInputError: when the policy has faults.
            NotFoundError: when the key or policy that is named is not there.
        """
        report = self._scanner.scan(layout, digest)
        self._attach(made, layout, digest, report, "")
        self._gate.check(layout, digest, report)
        return report

    def image(self, made: Made, folder: Path, report: ScanReport) -> None:
        """Attach all to the image, which does not stand in `folder`; raises as `package`.

        report: of the layer of the model, as `package` returned it.
        """
        found = _merged(self._below(made).report, report)
        self._attach(made, folder, made.built.digest, found, _name_of(made))

    def _attach(
        self, made: Made, folder: Path, digest: Digest, report: ScanReport, reference: str
    ) -> None:
        about: dict[str, Any] = json.loads(made.package.files["metadata.json"])
        below = self._below(made)
        bill = sbom.of_components(below.components, subject=sbom.subject_of(digest, about))
        known = Known(bill=bill, report=report)
        key = attaching.signing_key(self._environment)
        build = _build(made, reference)
        attaching.attach_known(folder, digest, build, known, key=key, durable=False)

    def _below(self, made: Made) -> _Below:
        """Return what the layers below the model hold; those of others are read confined."""
        layers = [layer.descriptor() for layer in building.below_model(made.built)]
        key = key_of("below", _FORM, *(layer["digest"] for layer in layers))
        found = self._known.get(key)
        if found is None:
            path = self._layers / "known" / key
            found = _read(path)
            if found is None:
                is_ours = made.package.settings.base == bases.DEBIAN
                look = calls.contents_here if is_ours else calls.contents
                document = look(str(self._layers), layers)
                found = _parsed(document)
                path.parent.mkdir(parents=True, exist_ok=True)
                images.write_file(path, images.canonical(document))
            self._known[key] = found
        return found


def _build(made: Made, reference: str) -> Build:
    """Return how the image came to be."""
    given = made.package.settings
    parameters = {"commit": made.commit, "base": given.base, "compile": given.is_compiled}
    materials = {layer.role.value: layer.digest for layer in building.below_model(made.built)}
    materials |= {
        name: images.digest_of(data)
        for name, data in made.package.files.items()
        if name not in {"metadata.json", "example.json"}
    }
    materials["requirements.txt"] = images.digest_of(made.package.requirements.encode())
    return Build(
        pipeline=given.name,
        task="push",
        run=f"git-{made.commit[:12]}",
        parameters=parameters,
        materials=materials,
        version=_version(),
        reference=reference,
    )


@functools.cache
def _version() -> str:
    return metadata.version("berth")


def _name_of(made: Made) -> str:
    """Return the name that a signature of the image is about."""
    if not made.package.settings.image:
        return ""
    reference = building.reference_of(made.package.settings)
    return f"{reference.host}/{reference.repository}"


def _merged(below: ScanReport, model: ScanReport) -> ScanReport:
    """Return the report of layers that were scanned apart, the worst first."""
    listed = dict.fromkeys([*below.findings, *model.findings])
    order = sorted(listed, key=lambda f: (-f.severity.rank, f.place, f.code, f.message))
    return ScanReport(
        findings=tuple(order),
        not_run=tuple(sorted({*below.not_run, *model.not_run})),
        file_count=below.file_count + model.file_count,
    )


def _read(path: Path) -> _Below | None:
    """Return what was kept; None when nothing was, or of another form."""
    try:
        return _parsed(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parsed(document: Mapping[str, Any]) -> _Below:
    """Return what `sandbox.calls.contents` found.

    Raises:
        ValueError, KeyError, TypeError: when it is of another form.
    """
    listed = tuple(
        replace(Component(**entry), requires=tuple(entry["requires"]))
        for entry in document["components"]
    )
    return _Below(components=listed, report=provenance.scan_of(document["scan"]))
