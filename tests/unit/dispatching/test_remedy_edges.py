"""What remedies change in the next attempt, and which of them later remedies learn from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.dispatching import diagnosing, remedying
from engine.dispatching.dispatcher import Dispatcher
from engine.model.dispatches import Attempt, AttemptOrder, AttemptState, Reason, TaskState
from engine.model.failures import Failure
from engine.model.identifiers import TaskName
from engine.model.records import TASK_RUNS, Delete, task_run_key
from engine.model.remedies import Configuration, Diagnosis, FailureCause, Remedy, RemedyStep
from engine.model.specs import PipelineSpec, Scalar, TaskKind, TaskSpec
from engine.testing import samples
from engine.testing.fakes import Outcome
from engine.testing.world import World
from tests.unit.dispatching.test_rules import attempt

WORDS = ("first", "second", "third", "fourth")


class Halving:
    """Halves the batch where there is one (port `RemedyChooser`). seen: what it was asked."""

    def __init__(self) -> None:
        self.seen: list[Failure] = []

    def choose(self, failure: Failure) -> Remedy:
        """Return half of the batch, or the same again."""
        self.seen.append(failure)
        half = failure.batch_size // 2 if failure.batch_size is not None else None
        return Remedy(
            diagnosis=failure.diagnosis,
            step=RemedyStep.SAME if half is None else RemedyStep.SMALLER_BATCH,
            why="a test says so",
            configuration=None if half is None else Configuration(batch_size=half),
        )


def number_of(order: AttemptOrder) -> int:
    return int(order.attempt_id.rpartition(".")[2])


def failing(times: int) -> World:
    """A world in which the first attempts of a task fail, each with other words."""

    def behave(order: AttemptOrder) -> Outcome:
        number = number_of(order)
        if number > times:
            return Outcome()
        words = f"the {WORDS[number - 1]} failure"
        return Outcome(state=AttemptState.FAILED, reason=Reason.EXIT_CODE, message=words)

    return World(behave=behave)


def training(**parameters: Scalar) -> PipelineSpec:
    return samples.pipeline(
        TaskSpec(name=TaskName("train"), kind=TaskKind.ETL, parameters=parameters)
    )


def ended(
    number: int, cause: FailureCause, step: RemedyStep, *, reason: Reason = Reason.EXIT_CODE
) -> Attempt:
    """A failed attempt with the remedy that followed it."""
    remedy = Remedy(diagnosis=Diagnosis(cause=cause, rule=""), step=step, why="")
    return replace(attempt(number, reason=reason), ended_at=float(number), remedy=remedy)


def engine(world: World) -> tuple[Dispatcher, Halving]:
    chooser = Halving()
    return replace(world.engine(), remedies=chooser), chooser


class TestBatches:
    def test_each_attempt_is_asked_with_the_batch_that_the_last_remedy_halved(self) -> None:
        world = failing(times=2)
        run = world.submit(training(batch_size=64))
        dispatcher, chooser = engine(world)
        world.settle(dispatcher)
        asked = [order.parameters["overrides"] for order in world.executor.orders.values()]
        assert asked == [{}, {"batch_size": 32}, {"batch_size": 16}]
        assert [failure.batch_size for failure in chooser.seen] == [64, 32]
        assert world.task(run.run_id, "train").state is TaskState.SUCCEEDED
        world.close()

    @pytest.mark.parametrize("given", [1, 0, True, "64", 64.0])
    def test_what_cannot_be_halved_is_no_batch_size(self, given: Scalar) -> None:
        world = failing(times=1)
        world.submit(training(batch_size=given))
        dispatcher, chooser = engine(world)
        world.settle(dispatcher)
        assert [failure.batch_size for failure in chooser.seen] == [None]
        world.close()


class TestPastRetries:
    def test_an_engine_that_starts_learns_from_the_retries_in_the_store(self) -> None:
        world = failing(times=2)
        world.submit(training())
        world.settle(world.engine())
        retries = remedying.known_retries(world.engine())
        assert [(each.kind, each.repeat, each.succeeded) for each in retries] == [
            (TaskKind.ETL, 1, False),
            (TaskKind.ETL, 2, True),
        ]
        assert [each.words for each in retries] == ["the first failure", "the second failure"]
        world.close()

    def test_retries_are_read_once_and_told_to_remedies_of_later_runs(self) -> None:
        world = failing(times=1)
        dispatcher, chooser = engine(world)
        for _ in range(2):
            world.submit(training())
            world.settle(dispatcher)
        assert [len(failure.retries) for failure in chooser.seen] == [0, 1]
        known = remedying.known_retries(dispatcher)
        assert [each.succeeded for each in known] == [True, True]
        assert remedying.known_retries(dispatcher) is known
        world.close()

    def test_a_retry_of_a_task_that_is_gone_counts_as_training(self) -> None:
        world = failing(times=1)
        run = world.submit(training())
        world.settle(world.engine())
        world.ledger.commit("test", [Delete(TASK_RUNS, task_run_key(run.run_id, "train"))])
        (retry,) = remedying.known_retries(world.engine())
        assert retry.kind is TaskKind.TRAIN
        world.close()

    def test_an_attempt_after_the_end_of_retries_teaches_nothing_of_a_remedy(self) -> None:
        given_up = ended(1, FailureCause.USER_ERROR, RemedyStep.NONE)
        asked_for = replace(attempt(2, AttemptState.SUCCEEDED), ended_at=9.0)
        assert remedying.retry_of([given_up, asked_for], TaskKind.ETL) is None

    def test_a_retry_that_the_cluster_ended_teaches_nothing_of_the_remedy(self) -> None:
        first = ended(1, FailureCause.DISK_FULL, RemedyStep.MORE_DISK)
        evicted = ended(2, FailureCause.INFRASTRUCTURE, RemedyStep.SAME, reason=Reason.EVICTED)
        full = ended(2, FailureCause.DISK_FULL, RemedyStep.MORE_DISK)
        assert remedying.retry_of([first, evicted], TaskKind.ETL) is None
        retry = remedying.retry_of([first, full], TaskKind.ETL)
        assert retry is not None
        assert (retry.step, retry.succeeded) == (RemedyStep.MORE_DISK, False)


@pytest.mark.parametrize(
    ("before", "cause"),
    [
        (FailureCause.UNKNOWN, FailureCause.HOPELESS),
        (FailureCause.TIMED_OUT, FailureCause.UNKNOWN),
        (None, FailureCause.UNKNOWN),
    ],
)
def test_a_failure_is_hopeless_only_where_the_one_before_had_the_same_cause(
    before: FailureCause | None, cause: FailureCause
) -> None:
    first, last = (replace(attempt(n), exit_code=1, message="bad block") for n in (1, 2))
    if before is not None:
        said = Diagnosis(cause=before, rule="", words="bad block")
        first = replace(first, remedy=Remedy(diagnosis=said, step=RemedyStep.SAME, why=""))
    assert diagnosing.diagnose([first, last]).cause is cause
