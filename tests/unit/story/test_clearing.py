"""What the demo started ends with it, also while its engine is being killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from api.cli.story import clearing
from api.client.remote import Remote
from engine.model.dispatches import AttemptState, RunState
from engine.model.errors import RefusedError, UnreachableError


class Engine:
    """An engine with one run, whose attempt ends some looks after it was cancelled."""

    def __init__(self, state: RunState, *, serves: bool, looks: int = 3) -> None:
        self.cancelled: list[str] = []
        self.killed = 0
        self._state, self._serves, self._looks = state, serves, looks

    def deployments(self) -> Sequence[object]:
        return [SimpleNamespace(run_id="r-1")] if self._serves else []

    def runs(self) -> Sequence[object]:
        return [SimpleNamespace(run_id="r-1", state=self._state)]

    def attempts(self, run_id: str) -> Sequence[object]:
        self._looks -= bool(self.cancelled)
        state = AttemptState.RUNNING if self._looks > 0 else AttemptState.STOPPED
        return [SimpleNamespace(attempt_id=f"{run_id}.serve.1", state=state)]

    def cancel(self, run_id: str) -> None:
        self.cancelled.append(run_id)
        self._state, self._serves = RunState.CANCELLED, False


def clear(engine: Engine, deaths: Callable[[], int] = lambda: 0, limit: float = 20.0) -> str:
    return clearing.clear(cast("Remote", engine), deaths, limit_seconds=limit, pause_seconds=0.001)


@pytest.mark.parametrize(
    ("state", "serves"), [(RunState.ACTIVE, False), (RunState.SUCCEEDED, True)]
)
def test_what_is_active_or_serves_is_cancelled_and_waited_for(
    state: RunState, *, serves: bool
) -> None:
    engine = Engine(state, serves=serves)
    assert clear(engine) == ""
    assert engine.cancelled == ["r-1"]


def test_what_ended_is_left_alone() -> None:
    engine = Engine(RunState.FAILED, serves=False, looks=0)
    assert clear(engine) == ""
    assert engine.cancelled == []


def test_what_is_left_after_the_limit_is_named() -> None:
    engine = Engine(RunState.FAILED, serves=False)
    assert clear(engine, limit=0.02) == "r-1.serve.1"


def test_an_engine_that_was_killed_is_asked_again_for_as_long_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(RunState.ACTIVE, serves=False)
    cancel, seconds = engine.cancel, [0.0]

    def dying(run_id: str) -> None:
        engine.killed += 1
        seconds[0] += 8.0
        if engine.killed < 5:
            raise UnreachableError("the engine was away")
        cancel(run_id)

    monkeypatch.setattr(engine, "cancel", dying)
    monkeypatch.setattr(clearing, "time", SimpleNamespace(monotonic=lambda: seconds[0], sleep=int))
    assert clear(engine, lambda: engine.killed, limit=10.0) == ""
    assert engine.killed == 5


def test_a_run_that_gave_way_meanwhile_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(RunState.SUCCEEDED, serves=True, looks=0)

    def refuse(run_id: str) -> None:
        engine._serves = False
        raise RefusedError(f"run {run_id} has ended already")

    monkeypatch.setattr(engine, "cancel", refuse)
    assert clear(engine) == ""


def test_an_engine_that_is_gone_for_good_is_told() -> None:
    def gone() -> int:
        raise RefusedError("the engine ended")

    with pytest.raises(RefusedError):
        clear(Engine(RunState.ACTIVE, serves=False), gone)
