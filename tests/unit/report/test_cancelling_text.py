"""What `berth cancel` would do, and what it did, in words."""

from __future__ import annotations

import pytest

from api.report.statuses import cancelled_text, cancelling_text
from engine.model.dispatches import Run, RunCause, RunState
from engine.model.identifiers import PipelineName, PlanId, RunId


def run(state: RunState, reason: str = "") -> Run:
    return Run(
        run_id=RunId("r-1"),
        pipeline=PipelineName("heart"),
        plan_id=PlanId("p-abcdefgh"),
        cause=RunCause.SUBMITTED,
        state=state,
        created_at=0.0,
        reason=reason,
    )


@pytest.mark.parametrize(
    ("state", "serves", "told"),
    [
        (RunState.ACTIVE, False, "call off r-1 of heart"),
        (RunState.SUCCEEDED, True, "stop serving heart: withdraw the model of r-1"),
        (RunState.FAILED, False, "change nothing: r-1 of heart has ended already, failed"),
    ],
)
def test_what_would_happen_is_said_before(state: RunState, told: str, *, serves: bool) -> None:
    assert cancelling_text(run(state), serves=serves) == told


def test_a_withdrawn_model_is_named() -> None:
    text = cancelled_text(run(RunState.CANCELLED, "heart no longer serves"), now=1.0)
    assert text.startswith("heart no longer serves: the model of r-1 is withdrawn; what runs")


def test_a_run_that_served_nothing_is_called_off() -> None:
    assert cancelled_text(run(RunState.CANCELLED), now=1.0).startswith("r-1 of heart is called off")
