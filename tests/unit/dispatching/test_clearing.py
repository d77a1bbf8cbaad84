"""What is removed of old runs, and what stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.dispatching import clearing
from engine.model.dispatches import AttemptOrder, AttemptState, Observation
from engine.model.errors import RetryableError
from engine.model.identifiers import AttemptId, Digest, TaskName
from engine.model.records import ATTEMPTS, RUNS, Delete, Put
from engine.model.specs import TaskKind, TaskSpec
from engine.testing import samples
from engine.testing.crash import CrashPoints, crashing
from engine.testing.fakes import Outcome
from engine.testing.world import World

ONE = samples.pipeline(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL))
DAY_SECONDS = 86_400.0
OLD = Digest("sha256:old")
LASTING = Outcome(state=AttemptState.RUNNING)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_text("x")
    return made


def ran(world: World, count: int) -> None:
    """Run so many runs to their end."""
    for _ in range(count):
        world.submit(ONE)
    world.settle(world.engine())


def observed(world: World) -> set[str]:
    return {each.attempt_id for each in world.executor.observe()}


def test_attempts_of_old_runs_go_but_not_those_of_the_newest(world: World) -> None:
    ran(world, 3)
    world.clock.advance(15.0 * DAY_SECONDS)
    ran(world, clearing.RUNS_KEPT - 1)
    world.engine().step()
    assert observed(world) == {f"r-{n}.etl.1" for n in range(3, 3 + clearing.RUNS_KEPT)}


def test_runs_of_these_days_stay_however_many_they_are(world: World) -> None:
    ran(world, clearing.RUNS_KEPT + 2)
    world.clock.advance(13.0 * DAY_SECONDS)
    world.engine().step()
    assert len(observed(world)) == clearing.RUNS_KEPT + 2
    world.clock.advance(1.0 * DAY_SECONDS)
    world.engine().step()
    assert len(observed(world)) == clearing.RUNS_KEPT


def test_artefacts_of_old_runs_go_with_them(world: World) -> None:
    ran(world, 1)
    old = world.task("r-1", "etl").artifact
    world.clock.advance(15.0 * DAY_SECONDS)
    ran(world, clearing.RUNS_KEPT)
    new = world.task("r-2", "etl").artifact
    assert old is not None
    assert new is not None
    world.artifacts.kept = {old: {}, new: {}}
    assert world.engine().step()
    assert set(world.artifacts.kept) == {new}


def test_what_was_put_of_late_stays_for_an_hour(world: World, file: Path) -> None:
    engine = world.engine()
    digest = world.artifacts.put(file)
    engine.step()
    world.clock.advance(3_599.0)
    world.engine().step()
    assert digest in world.artifacts.kept
    world.clock.advance(1.0)
    assert engine.step()
    assert world.artifacts.kept == {}


def test_old_runs_are_looked_at_once_an_hour(world: World) -> None:
    engine = world.engine()
    world.settle(engine)
    world.artifacts.kept = {OLD: {}}
    world.clock.advance(3_598.0)
    assert not engine.step()
    world.clock.advance(2.0)
    assert engine.step()


def test_what_an_attempt_puts_stays_until_its_end_is_known(file: Path) -> None:
    lasting = Outcome(seconds=3.0 * DAY_SECONDS)
    world = World(behave=lambda _: lasting)
    world.submit(ONE)
    engine = world.engine()
    engine.step()
    digest = world.artifacts.put(file)
    world.clock.advance(2.0 * DAY_SECONDS)
    engine.step()
    assert digest in world.artifacts.kept
    world.clock.advance(2.0 * DAY_SECONDS)
    world.settle(engine)
    world.clock.advance(2.0 * DAY_SECONDS)
    engine.step()
    assert world.artifacts.kept == {}
    world.close()


def test_what_attempts_of_active_runs_go_on_from_stays() -> None:
    world = World(behave=lambda _: LASTING)
    world.submit(ONE)
    world.engine().step()
    begins, left = Digest("sha256:begins"), Digest("sha256:left")
    attempt = replace(world.attempt("r-1.etl.1"), begins=begins, left=left)
    world.ledger.commit("test", [Put(ATTEMPTS, attempt)])
    world.artifacts.kept = {begins: {}, left: {}, OLD: {}}
    world.engine().step()
    assert set(world.artifacts.kept) == {begins, left}
    world.close()


def test_attempts_of_another_store_are_left_alone(world: World) -> None:
    ran(world, 1)
    world.ledger.commit("test", [Delete(RUNS, "r-1"), Delete(ATTEMPTS, "r-1.etl.1")])
    world.engine().step()
    assert observed(world) == {"r-1.etl.1"}


def test_attempts_whose_end_is_not_stored_yet_are_left_alone(world: World) -> None:
    ran(world, 1)
    running = replace(world.attempt("r-1.etl.1"), state=AttemptState.RUNNING)
    world.ledger.commit("test", [Delete(RUNS, "r-1"), Put(ATTEMPTS, running)])
    assert not clearing.clear(world.engine(), {})
    assert observed(world) == {"r-1.etl.1"}


def test_what_cannot_be_removed_now_is_removed_an_hour_later(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> int:
        raise RetryableError("no space is left", fix="free some")

    engine = world.engine()
    world.settle(engine)
    world.clock.advance(3_600.0)
    world.artifacts.kept = {OLD: {}}
    with monkeypatch.context() as patch:
        patch.setattr(world.artifacts, "collect", full)
        assert not engine.step()
    assert "what old runs left stays for now: no space is left" in caplog.text
    world.clock.advance(3_600.0)
    assert engine.step()
    assert world.artifacts.kept == {}


class Plain:
    """An executor that keeps nothing."""

    def start(self, order: AttemptOrder) -> None:
        raise AssertionError(order)

    def observe(self) -> Sequence[Observation]:
        return ()

    def stop(self, attempt: AttemptId) -> None:
        raise AssertionError(attempt)


def test_executors_that_keep_nothing_are_not_asked(world: World) -> None:
    engine = replace(world.engine(), executors={"plain": Plain()})
    world.artifacts.kept = {OLD: {}}
    assert engine.step()
    assert crashing(Plain(), CrashPoints()).clear(lambda _: False) == 0
