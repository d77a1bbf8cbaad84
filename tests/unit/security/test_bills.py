"""Bills of materials validate, repeat, and say what the metadata says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from executors.packaging.security import components, sbom
from tests.unit.security.conftest import Signed, package

SCHEMAS = Path(__file__).parents[2] / "support" / "vendor" / "cyclonedx-1.6-schemas.json.gz"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    documents: dict[str, Any] = json.loads(gzip.decompress(SCHEMAS.read_bytes()))
    registry: Registry[Any] = Registry().with_resources(
        (f"http://cyclonedx.org/schema/{name}", Resource.from_contents(document))
        for name, document in documents.items()
    )
    main = documents["bom-1.6.SNAPSHOT.schema.json"]
    return jsonschema.Draft7Validator(main, registry=registry)


def metadata(folder: Path, name: str, *lines: str) -> None:
    place = folder / f"{name}-1.0.dist-info"
    place.mkdir(parents=True)
    text = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines])
    (place / "METADATA").write_text(text + "\n\nThe description", encoding="utf-8")


def test_the_bill_of_a_model_validates(
    signed: Signed, validator: jsonschema.Draft7Validator
) -> None:
    document = sbom.of_image(signed.layout)
    validator.validate(document)
    assert document["metadata"]["component"]["type"] == "machine-learning-model"
    assert "pkg:pypi/numpy" in str(document["components"])


def test_the_bill_of_installed_libraries_validates(
    tmp_path: Path, validator: jsonschema.Draft7Validator
) -> None:
    metadata(tmp_path, "One_Two", "License-Expression: MIT OR Apache-2.0", "Requires-Dist: other")
    metadata(tmp_path, "other", "License: strange words", "Requires-Dist: x; extra == 'y'")
    document = sbom.of_folder(tmp_path)
    validator.validate(document)
    assert [c["purl"] for c in document["components"]] == [
        "pkg:pypi/one-two@1.0",
        "pkg:pypi/other@1.0",
    ]
    needs = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
    assert needs["pkg:pypi/one-two@1.0"] == ["pkg:pypi/other@1.0"]
    assert needs["pkg:pypi/other@1.0"] == []


def test_a_broken_bill_does_not_validate(
    signed: Signed, validator: jsonschema.Draft7Validator
) -> None:
    document = sbom.of_image(signed.layout)
    document["components"][0].pop("name")
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(document)


def test_the_same_image_has_the_same_bill(tmp_path: Path) -> None:
    for name in "ab":
        package(tmp_path / name)
    assert sbom.of_image(tmp_path / "a") == sbom.of_image(tmp_path / "b")


def test_another_model_has_another_serial_number(tmp_path: Path) -> None:
    package(tmp_path / "a")
    package(tmp_path / "b", more_txt=b"x")
    first, second = (sbom.of_image(tmp_path / name)["serialNumber"] for name in "ab")
    assert first != second


@pytest.mark.parametrize(
    ("lines", "expression"),
    [
        (("License-Expression: BSD-3-Clause",), "BSD-3-Clause"),
        (("Classifier: License :: OSI Approved :: MIT License",), "MIT"),
        (("License: Apache License 2.0",), "Apache-2.0"),
        (("License: anything else",), ""),
    ],
)
def test_licences_become_expressions_where_they_are_certain(
    lines: tuple[str, ...], expression: str
) -> None:
    text = "\n".join(["Name: a", "Version: 1", *lines])
    found = components.parse(text, "a")
    assert found is not None
    assert found.expression == expression
    assert found.expression or found.licence_name == "anything else"


def test_metadata_without_a_name_is_no_component() -> None:
    assert components.parse("Version: 1", "a") is None
