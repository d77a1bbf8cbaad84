"""What was read is written in the form in which it was meant."""

from __future__ import annotations

import pytest

from engine import documents


@pytest.mark.parametrize(
    "sla",
    ["daily 06:00 Europe/Berlin", "in 2 h", "2030-01-01T06:00:00Z"],
    ids=["daily", "in", "at"],
)
def test_deadlines(sla: str) -> None:
    text = f"pipeline: p\nsla: {{deadline: '{sla}'}}\ntasks: {{etl: {{kind: etl}}}}"
    written = documents.pipeline_mapping(documents.read_pipeline(text, name="x", as_of=0.0))
    assert written["sla"]["deadline"] == sla


@pytest.mark.parametrize("trigger", ["drift", "quality below 0.91", "every 7 d"])
def test_triggers_of_retraining(trigger: str) -> None:
    text = f"pipeline: p\nretrain: {{when: [{trigger}]}}\ntasks: {{etl: {{kind: etl}}}}"
    written = documents.pipeline_mapping(documents.read_pipeline(text, name="x", as_of=0.0))
    assert trigger in str(written["retrain"])


def test_parameters() -> None:
    text = "pipeline: p\ntasks: {etl: {kind: etl, parameters: {unit.chol: mg/dL, rows: 3}}}"
    written = documents.pipeline_mapping(documents.read_pipeline(text, name="x", as_of=0.0))
    assert written["tasks"]["etl"]["parameters"] == {"unit.chol": "mg/dL", "rows": 3}
