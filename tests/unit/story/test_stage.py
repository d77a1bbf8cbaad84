"""Scenes wait with patience, which begins anew whenever the engine was killed."""

import time
from types import SimpleNamespace
from typing import cast

import pytest

from api.cli.story import stage as stages
from api.cli.story.supervisor import Supervisor
from engine.model.errors import UnreachableError


class Clock:
    """Time that passes only by sleeping; the engine dies at each of the given moments."""

    def __init__(self, dies_at: list[float]) -> None:
        self.now = 0.0
        self.supervisor = SimpleNamespace(deaths=[], check=self._check)
        self._dies_at = dies_at

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def _check(self) -> None:
        self.supervisor.deaths = [at for at in self._dies_at if at <= self.now]


def waits(monkeypatch: pytest.MonkeyPatch, clock: Clock, found_at: float) -> float:
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    stage = stages.Stage.__new__(stages.Stage)
    stage.supervisor = cast("Supervisor", clock.supervisor)
    stage.patience_seconds = 10.0

    def look() -> float | None:
        if clock.now < found_at:
            raise UnreachableError("the engine was away")
        return clock.now

    return stage.until("an answer", look)


def test_what_comes_in_time_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waits(monkeypatch, Clock([]), found_at=9.0) >= 9.0


def test_what_does_not_come_is_named_with_the_last_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(stages.StoryError, match=r"10 s in vain for an answer \(the engine was"):
        waits(monkeypatch, Clock([]), found_at=11.0)


def test_each_death_of_the_engine_begins_patience_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waits(monkeypatch, Clock([5.0, 12.0]), found_at=20.0) >= 20.0


def test_patience_ends_after_the_last_death(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(stages.StoryError):
        waits(monkeypatch, Clock([5.0]), found_at=16.0)
