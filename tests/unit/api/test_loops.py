from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from api.wiring import clocks
from api.wiring.loops import Loop, LoopPlan
from engine.model.errors import RetryableError
from tests.support.faces import until


def looping(step: Callable[[], bool]) -> Loop:
    loop = Loop(LoopPlan(name="test", step=step, pause_seconds=0.01))
    loop.start()
    return loop


def test_a_loop_steps_until_it_is_stopped() -> None:
    steps = threading.Semaphore(0)

    def step() -> bool:
        steps.release()
        return False

    loop = looping(step)
    for _ in range(3):
        assert steps.acquire(timeout=60)
    assert loop.finding().fine
    loop.stop()
    assert loop.join(60)


@pytest.mark.parametrize("error", [RetryableError("the disk is full"), ZeroDivisionError("oh")])
def test_a_failing_step_is_told_and_tried_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = [error]  # it fails until somebody was told

    def step() -> bool:
        if outcomes:
            raise outcomes[0]
        return False

    loop = looping(step)
    told = until(lambda: "" if (found := loop.finding()).fine else found.message)
    assert str(error) in told
    until(lambda: str(error) in caplog.text)
    outcomes.clear()
    until(lambda: loop.finding().fine)
    loop.stop()
    assert loop.join(60)


def test_waits_are_shorter_by_the_clock_factor_and_end_when_the_clock_stops() -> None:
    clock = clocks.ScaledClock(1_000.0)
    clock.wait(1.0)
    assert not clock.is_stopped
    clock.stop()
    clock.wait(10_000_000.0)
    assert clock.is_stopped
