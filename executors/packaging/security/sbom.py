"""Software bills of materials: CycloneDX 1.6 JSON, written straight from metadata.

The document holds no time and no random number: its serial number is a hash of what it lists, so
the same image always has the same bill. https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from executors.packaging import images
from executors.packaging.security import components, layouts
from executors.packaging.security.components import Component

MEDIA_TYPE = "application/vnd.cyclonedx+json"
PREDICATE_TYPE = "https://cyclonedx.org/bom"
_SPEC_VERSION = "1.6"
_METADATA_FILE = "models/metadata.json"
_METADATA_BYTES_MAX = 4 << 20
_RUNTIMES = {
    "onnx": ("onnxruntime", "numpy"),
    "skops": ("skops", "scikit-learn", "numpy"),
}
"""What serves a model of a format; listed when the image itself brings no libraries."""


def of_components(
    found: Sequence[Component], *, subject: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the bill of some distributions, for `subject`, a component of CycloneDX."""
    known = {component.name: component for component in found}
    listed = [_component(component) for component in found]
    dependencies = [
        {
            "ref": component.purl,
            "dependsOn": sorted(known[n].purl for n in component.requires if n in known),
        }
        for component in found
    ]
    metadata: dict[str, Any] = {
        "tools": {"components": [{"type": "application", "name": "berth"}]},
    }
    if subject is not None:
        metadata["component"] = dict(subject)
        refs = sorted(component.purl for component in found)
        dependencies.insert(0, {"ref": str(subject["bom-ref"]), "dependsOn": refs})
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": _SPEC_VERSION,
        "version": 1,
        "metadata": metadata,
        "components": listed,
        "dependencies": dependencies,
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, images.digest_of(images.canonical(content)))
    return {**content, "serialNumber": f"urn:uuid:{serial}"}


def of_image(layout: Path, digest: str | None = None) -> dict[str, Any]:
    """Return the bill of an image: the model that it holds, and what is installed in its layers.

    Raises:
        NotFoundError: when the layout has no such image.
        DamagedError: when the image is not what it says.
    """
    manifest = layouts.manifest_of(layout, digest)
    about = _about(manifest)
    found = components.of_image(manifest)
    if not found and about:
        made_with = cast("Mapping[str, object]", about.get("made_with") or {})
        runtimes = _RUNTIMES.get(str(about.get("format")), ())
        found = components.of_names((*runtimes, *map(str, made_with)))
    return of_components(found, subject=subject_of(manifest.digest, about))


def of_folder(folder: Path) -> dict[str, Any]:
    """Return the bill of what is installed below a folder, such as a virtual environment."""
    name = folder.resolve().name
    return of_components(
        components.of_folder(folder),
        subject={"type": "application", "name": name, "bom-ref": f"berth:{name}"},
    )


def _about(manifest: layouts.Manifest) -> dict[str, Any]:
    """Return what a package of ours says of its model; nothing for other images."""
    found: dict[str, Any] = {}
    for entry, reader in layouts.layer_files(manifest):
        if reader and entry.name == _METADATA_FILE:
            found = layouts.json_object(reader.read(_METADATA_BYTES_MAX), entry.name)
    return found


def subject_of(digest: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the component that the bill of an image is of.

    about: what `metadata.json` of a package says of its model; empty for other images.
    """
    hexadecimal = digest.removeprefix("sha256:")
    subject: dict[str, Any] = {
        "type": "machine-learning-model" if about else "container",
        "name": str(about.get("name") or "image"),
        "version": digest,
        "bom-ref": f"oci:{digest}",
        "hashes": [{"alg": "SHA-256", "content": hexadecimal}],
    }
    if about:
        subject["modelCard"] = _model_card(about)
    return subject


def _model_card(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return family, inputs and quality of a model as a model card."""
    features = about.get("features")
    columns = features if isinstance(features, list) else []
    names = [str(column.get("name")) for column in columns if isinstance(column, dict)]
    parameters: dict[str, Any] = {
        "approach": {"type": "supervised"},
        "task": "classification" if about.get("classes") else "regression",
        "architectureFamily": str(about.get("family", "")),
        "inputs": [{"format": f"feature {name}"} for name in names],
        "outputs": [{"format": f"target {about.get('target')}"}],
    }
    if about.get("data_digest"):
        data = str(about["data_digest"])
        parameters["datasets"] = [{"type": "dataset", "name": data}]
    card: dict[str, Any] = {"modelParameters": parameters}
    if "quality" in about:
        metric = {"type": "quality", "value": str(about["quality"])}
        card["quantitativeAnalysis"] = {"performanceMetrics": [metric]}
    return card


def _component(component: Component) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": "library",
        "bom-ref": component.purl,
        "name": component.name,
        "version": component.version,
        "purl": component.purl,
    }
    if component.summary:
        document["description"] = component.summary
    if component.expression:
        document["licenses"] = [{"expression": component.expression}]
    elif component.licence_name:
        document["licenses"] = [{"license": {"name": component.licence_name}}]
    return document
