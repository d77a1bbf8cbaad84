"""The JSON Schemas accept what is read and refuse what has the wrong form."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from engine import documents

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_schemas_are_schemas() -> None:
    jsonschema.Draft202012Validator.check_schema(documents.pipeline_schema())
    jsonschema.Draft202012Validator.check_schema(documents.fleet_schema())


def test_the_example_pipeline_is_valid() -> None:
    value = documents.plain_value((EXAMPLES / "heart.yaml").read_text(), name="x")
    jsonschema.validate(value, documents.pipeline_schema())


def test_the_example_fleet_is_valid() -> None:
    value = documents.plain_value((EXAMPLES / "fleet.yaml").read_text(), name="x")
    jsonschema.validate(value, documents.fleet_schema())


@pytest.mark.parametrize(
    "keys",
    [
        {"memroy": "4 GiB"},
        {"memory": 4},
        {"kind": "etll"},
        {"retries": -1},
        {"availability": 99.9},
        {"after": ["a", "a"]},
        {"gpu": {"cont": 1}},
    ],
)
def test_a_wrong_task_is_invalid(keys: dict[str, object]) -> None:
    value = {"pipeline": "p", "tasks": {"t": {"kind": "serve", **keys}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, documents.pipeline_schema())


def test_every_key_is_described() -> None:
    properties = documents.pipeline_schema()["properties"]["tasks"]["additionalProperties"]
    assert all(each["description"] for each in properties["properties"].values())


def test_every_code_has_a_title_and_an_explanation() -> None:
    for name, code in documents.CODES.items():
        assert code.code == name
        assert code.title
        assert len(code.explanation) > len(code.title)
