"""Crash points: named, counted, recorded, and the end of the process where planned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.clocks import SystemClock
from engine.model.identifiers import AttemptId
from engine.ports import Clock, Executor, Ledger, ModelServer
from engine.testing.clocks import ManualClock
from engine.testing.crash import (
    CrashingExecutor,
    CrashingLedger,
    CrashingModelServer,
    CrashPlan,
    CrashPoints,
    planned,
    recorded,
)
from engine.testing.fakes import InstantExecutor, InstantModelServer
from engine.testing.samples import chain
from engine.testing.world import World


def test_a_plan_is_read_as_it_is_written() -> None:
    plan = CrashPlan("commit:dispatch.intend:etl:before", 3)
    assert CrashPlan.parse(str(plan)) == plan
    assert CrashPlan.parse("executor:start:after") == CrashPlan("executor:start:after", 1)


def test_it_crashes_at_the_planned_time_only() -> None:
    crashed: list[int] = []
    points = CrashPoints(CrashPlan("p", 2), crash=lambda: crashed.append(1))
    for count, point in enumerate(["p", "q", "p", "p"]):
        points.passed(point)
        assert len(crashed) == (count >= 2)


def test_the_process_is_killed_and_the_point_is_recorded(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from engine.testing.crash import planned\n"
        "points = planned('never a#2', pathlib.Path(sys.argv[1]))\n"
        "for name in 'aab': points.passed(name)\n"
    )
    record = tmp_path / "points"
    done = subprocess.run([sys.executable, "-c", code, str(record)], check=False)
    assert done.returncode == -9
    assert recorded(record) == (CrashPlan("a", 1), CrashPlan("a", 2))


def test_the_end_is_that_of_kill_9(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    CrashPoints(CrashPlan("p")).passed("p")
    assert killed == [(os.getpid(), signal.SIGKILL)]


def test_without_being_asked_there_are_no_points(tmp_path: Path) -> None:
    assert planned("", None) is None
    assert planned("a", None) is not None
    assert planned("", tmp_path / "x") is not None


def test_a_story_passes_points_around_every_commit_and_call(world: World, tmp_path: Path) -> None:
    record = tmp_path / "points"
    world.submit(chain())
    world.settle(world.engine(CrashPoints(record=record)))
    passed = [plan.point for plan in recorded(record)]
    assert {
        "commit:dispatch.intend:etl:before",
        "commit:dispatch.started:etl:after",
        "commit:dispatch.ended:package:before",
        "commit:deploy.want:heart:after",
        "commit:deploy.serving:heart:before",
        "commit:dispatch.run-ended:heart:after",
        "executor:start:before",
        "executor:observe:after",
        "server:swap:after",
    } <= set(passed)


def test_intent_comes_before_the_call_and_the_outcome_after_it(
    world: World, tmp_path: Path
) -> None:
    record = tmp_path / "points"
    world.submit(chain())
    world.engine(CrashPoints(record=record)).step()
    passed = [plan.point for plan in recorded(record)]
    order = [
        "commit:dispatch.intend:etl:after",
        "executor:start:before",
        "executor:start:after",
        "commit:dispatch.started:etl:before",
    ]
    assert [point for point in passed if point in order] == order


def test_decorators_are_the_ports_they_wrap(world: World) -> None:
    points = CrashPoints()
    assert isinstance(CrashingLedger(world.ledger, points), Ledger)
    assert isinstance(CrashingExecutor(InstantExecutor(world.clock), points), Executor)
    assert isinstance(CrashingModelServer(InstantModelServer(), points), ModelServer)


def test_a_stop_has_points_too(world: World, tmp_path: Path) -> None:
    record = tmp_path / "points"
    executor = CrashingExecutor(InstantExecutor(world.clock), CrashPoints(record=record))
    executor.stop(AttemptId("r-1.etl.1"))
    assert [plan.point for plan in recorded(record)] == [
        "executor:stop:before",
        "executor:stop:after",
    ]


class TestClocks:
    def test_a_manual_clock_moves_when_somebody_waits(self) -> None:
        clock = ManualClock(5.0)
        clock.wait(2.0)
        clock.wait(-9.0)
        assert clock.now() == 7.0

    def test_the_system_clock_moves_by_itself(self) -> None:
        clock = SystemClock()
        before, elapsed = clock.now(), clock.monotonic()
        clock.wait(0.001)
        clock.wait(-1.0)
        assert clock.now() > before
        assert clock.monotonic() > elapsed

    @pytest.mark.parametrize("clock", [ManualClock(), SystemClock()])
    def test_both_are_clocks(self, clock: object) -> None:
        assert isinstance(clock, Clock)
