"""What every `Executor` keeps; subclass `ExecutorSuite`, give it a fixture and four methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import ClassVar

import pytest

from engine.abilities import ClearingExecutor, SuspendingExecutor
from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.model.errors import UnreachableError
from engine.model.identifiers import AttemptId
from engine.ports import Executor

LIMIT_SECONDS = 300.0
"""How long a test waits for what an executor does in its own time."""


class Behaviour(Enum):
    """What the task of an order does."""

    SUCCEEDS = "writes the output `rows` with the value 3 and exits with 0"
    FAILS = "exits with another code than 0"
    LASTS = "runs until it is stopped"


def seen(executor: Executor, attempt: str) -> Observation | None:
    """Return what an executor sees of an attempt, or None."""
    found = [each for each in executor.observe() if each.attempt_id == attempt]
    assert len(found) <= 1
    return found[0] if found else None


def eventually(
    executor: Executor, attempt: str, holds: Callable[[Observation], bool]
) -> Observation:
    """Return the first observation of an attempt of which something holds."""
    end = time.monotonic() + LIMIT_SECONDS
    observation = seen(executor, attempt)
    while observation is None or not holds(observation):
        assert time.monotonic() < end, f"{attempt} is still seen as {observation!r}"
        time.sleep(0.01)
        observation = seen(executor, attempt)
    return observation


def ended(executor: Executor, attempt: str) -> Observation:
    """Return the last observation of an attempt."""
    return eventually(executor, attempt, lambda each: each.state.is_terminal)


class ExecutorSuite:
    """The contract of the port `Executor`."""

    outputs: ClassVar[Mapping[str, object]] = {"rows": 3}
    """What a command leaves that succeeds; another one may leave more."""

    @pytest.fixture
    def executor(self) -> Executor:
        """Return an executor that has started nothing."""
        raise NotImplementedError

    def order(self, attempt: AttemptId, behaviour: Behaviour) -> AttemptOrder:
        """Return an order for a cluster that answers."""
        raise NotImplementedError

    def reopened(self, executor: Executor) -> Executor:
        """Return the executor that the next engine has after this one died."""
        raise NotImplementedError

    def start_count(self, executor: Executor, attempt: AttemptId) -> int:
        """Return how often the command of an attempt was really started."""
        raise NotImplementedError

    def cut_off(self, executor: Executor, order: AttemptOrder) -> None:
        """Let the cluster of an order not answer any more."""
        raise NotImplementedError

    def begin(self, executor: Executor, behaviour: Behaviour, number: int = 1) -> AttemptId:
        """Start an attempt and return its id."""
        attempt = AttemptId(f"r-1.task.{number}")
        executor.start(self.order(attempt, behaviour))
        return attempt

    def test_nothing_is_seen_before_the_first_start(self, executor: Executor) -> None:
        """An executor invents no attempts."""
        assert list(executor.observe()) == []

    def test_success_comes_with_outputs_artefact_and_usage(self, executor: Executor) -> None:
        """The last observation says all that the store needs."""
        last = ended(executor, self.begin(executor, Behaviour.SUCCEEDS))
        assert (last.state, last.exit_code) == (AttemptState.SUCCEEDED, 0)
        assert last.outputs == self.outputs
        assert last.artifact is not None
        assert last.usage is not None

    def test_an_attempt_ends_after_it_started(self, executor: Executor) -> None:
        """Both instants are there and in order."""
        last = ended(executor, self.begin(executor, Behaviour.SUCCEEDS))
        assert last.started_at is not None
        assert last.ended_at is not None
        assert last.started_at <= last.ended_at

    def test_failure_comes_with_its_exit_code(self, executor: Executor) -> None:
        """A command that fails is told apart from one that was killed."""
        last = ended(executor, self.begin(executor, Behaviour.FAILS))
        assert (last.state, last.reason) == (AttemptState.FAILED, Reason.EXIT_CODE)
        assert last.exit_code not in {0, None}

    def test_what_lasts_is_seen_running_with_its_handle(self, executor: Executor) -> None:
        """A running attempt is not taken for an ended one."""
        attempt = self.begin(executor, Behaviour.LASTS)
        running = eventually(executor, attempt, lambda each: each.handle != "")
        assert running.state is AttemptState.RUNNING
        executor.stop(attempt)
        ended(executor, attempt)

    def test_what_is_stopped_ends(self, executor: Executor) -> None:
        """Stopping is seen as such, not as a failure of the task."""
        attempt = self.begin(executor, Behaviour.LASTS)
        executor.stop(attempt)
        executor.stop(attempt)
        assert ended(executor, attempt).state is AttemptState.STOPPED

    def test_stopping_what_has_ended_keeps_its_result(self, executor: Executor) -> None:
        """A stop that comes too late changes nothing."""
        attempt = self.begin(executor, Behaviour.SUCCEEDS)
        before = ended(executor, attempt)
        executor.stop(attempt)
        assert seen(executor, attempt) == before

    def test_stopping_what_was_never_started_is_no_error(self, executor: Executor) -> None:
        """Stop may be called for an attempt that was only intended."""
        executor.stop(AttemptId("r-1.task.9"))
        assert seen(executor, "r-1.task.9") is None

    def test_a_second_start_changes_nothing(self, executor: Executor) -> None:
        """Start is idempotent while the attempt runs and after it ended."""
        attempt = self.begin(executor, Behaviour.SUCCEEDS)
        self.begin(executor, Behaviour.SUCCEEDS)
        before = ended(executor, attempt)
        self.begin(executor, Behaviour.SUCCEEDS)
        assert seen(executor, attempt) == before
        assert self.start_count(executor, attempt) == 1

    def test_a_start_by_the_next_engine_changes_nothing(self, executor: Executor) -> None:
        """Start is idempotent across a restart of the engine."""
        attempt = self.begin(executor, Behaviour.SUCCEEDS)
        following = self.reopened(executor)
        self.begin(following, Behaviour.SUCCEEDS)
        assert ended(following, attempt).state is AttemptState.SUCCEEDED
        assert self.start_count(following, attempt) == 1

    def test_a_result_outlives_the_engine(self, executor: Executor) -> None:
        """What ended before a restart is seen the same after it."""
        attempt = self.begin(executor, Behaviour.SUCCEEDS)
        before = ended(executor, attempt)
        assert seen(self.reopened(executor), attempt) == before

    def test_what_runs_outlives_the_engine(self, executor: Executor) -> None:
        """The next engine adopts what the last one started."""
        attempt = self.begin(executor, Behaviour.LASTS)
        following = self.reopened(executor)
        running = eventually(following, attempt, lambda each: each.handle != "")
        assert running.state is AttemptState.RUNNING
        following.stop(attempt)
        assert ended(following, attempt).state is AttemptState.STOPPED

    def test_attempts_are_told_apart(self, executor: Executor) -> None:
        """Each attempt of a task has a result of its own."""
        first = self.begin(executor, Behaviour.FAILS, 1)
        second = self.begin(executor, Behaviour.SUCCEEDS, 2)
        assert ended(executor, first).state is AttemptState.FAILED
        assert ended(executor, second).state is AttemptState.SUCCEEDED

    def test_a_cluster_that_does_not_answer_starts_nothing(self, executor: Executor) -> None:
        """The caller learns that nothing was started."""
        order = self.order(AttemptId("r-1.task.1"), Behaviour.SUCCEEDS)
        self.cut_off(executor, order)
        with pytest.raises(UnreachableError):
            executor.start(order)
        assert self.start_count(executor, order.attempt_id) == 0


class ClearingExecutorSuite(ExecutorSuite):
    """The contract of the port `ClearingExecutor`, beside that of `Executor`."""

    def test_what_nobody_keeps_is_cleared(self, executor: Executor) -> None:
        """Only what has ended, and is not kept, goes."""
        assert isinstance(executor, ClearingExecutor)
        kept = self.begin(executor, Behaviour.SUCCEEDS, 1)
        gone = self.begin(executor, Behaviour.SUCCEEDS, 2)
        before = ended(executor, kept)
        ended(executor, gone)
        lasts = self.begin(executor, Behaviour.LASTS, 3)
        eventually(executor, lasts, lambda each: each.handle != "")
        assert executor.clear(lambda attempt: attempt == kept) == 1
        assert executor.clear(lambda attempt: attempt == kept) == 0
        assert seen(executor, kept) == before
        running = seen(executor, lasts)
        assert running is not None
        assert running.state is AttemptState.RUNNING
        executor.stop(lasts)
        ended(executor, lasts)


class SuspendingExecutorSuite(ExecutorSuite):
    """The contract of the port `SuspendingExecutor`, beside that of `Executor`."""

    def suspended(self, executor: Executor) -> AttemptId:
        """Start an attempt that lasts, suspend it, and return its id once it is off."""
        assert isinstance(executor, SuspendingExecutor)
        attempt = self.begin(executor, Behaviour.LASTS)
        eventually(executor, attempt, lambda each: each.started_at is not None)
        executor.suspend(attempt)
        executor.suspend(attempt)
        eventually(executor, attempt, lambda each: each.state is AttemptState.SUSPENDED)
        return attempt

    def test_what_is_suspended_goes_on_as_the_same_attempt(self, executor: Executor) -> None:
        """The next start of it lets it run again, from its beginning, until it ends."""
        attempt = self.suspended(executor)
        executor.start(self.order(attempt, Behaviour.LASTS))
        runs = eventually(executor, attempt, lambda each: each.started_at is not None)
        assert runs.state is AttemptState.RUNNING
        executor.stop(attempt)
        assert ended(executor, attempt).state is AttemptState.STOPPED

    def test_what_is_suspended_is_so_for_the_next_engine_too(self, executor: Executor) -> None:
        """That an attempt is off outlives the engine that asked for it."""
        attempt = self.suspended(executor)
        after = self.reopened(executor)
        eventually(after, attempt, lambda each: each.state is AttemptState.SUSPENDED)

    def test_what_is_suspended_can_be_stopped(self, executor: Executor) -> None:
        """It ends without going on."""
        attempt = self.suspended(executor)
        executor.stop(attempt)
        last = ended(executor, attempt)
        assert (last.state, last.started_at) == (AttemptState.STOPPED, None)

    def test_what_has_ended_or_is_not_known_is_not_suspended(self, executor: Executor) -> None:
        """Its result stays."""
        assert isinstance(executor, SuspendingExecutor)
        attempt = self.begin(executor, Behaviour.SUCCEEDS)
        ended(executor, attempt)
        executor.suspend(attempt)
        executor.suspend(AttemptId("r-9.task.1"))
        assert ended(executor, attempt).state is AttemptState.SUCCEEDED

    def test_it_says_where_it_can_suspend(self, executor: Executor) -> None:
        """On the cluster of its orders it can."""
        assert isinstance(executor, SuspendingExecutor)
        order = self.order(AttemptId("r-1.task.1"), Behaviour.LASTS)
        assert executor.can_suspend(order.cluster)
