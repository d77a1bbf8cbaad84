"""What was read is written in the form in which it was meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine import documents


def written(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return a pipeline as it is written after it was read."""
    spec = documents.read_pipeline(text, name="x", as_of=0.0)
    return json.loads(json.dumps(documents.pipeline_mapping(spec)))


@pytest.mark.parametrize(
    "sla",
    ["daily 06:00 Europe/Berlin", "in 2 h", "2030-01-01T06:00:00Z"],
    ids=["daily", "in", "at"],
)
def test_deadlines(sla: str) -> None:
    text = f"pipeline: p\nsla: {{deadline: '{sla}'}}\ntasks: {{etl: {{kind: etl}}}}"
    assert written(text)["sla"]["deadline"] == sla


@pytest.mark.parametrize("trigger", ["drift", "quality below 0.91", "every 7 d"])
def test_triggers_of_retraining(trigger: str) -> None:
    text = f"pipeline: p\nretrain: {{when: [{trigger}]}}\ntasks: {{etl: {{kind: etl}}}}"
    assert trigger in str(written(text)["retrain"])


def test_parameters() -> None:
    text = "pipeline: p\ntasks: {etl: {kind: etl, parameters: {unit.chol: mg/dL, rows: 3}}}"
    assert written(text)["tasks"]["etl"]["parameters"] == {"unit.chol": "mg/dL", "rows": 3}
