"""What every `RemedyChooser` keeps; subclass `RemedySuite` and give it a fixture."""

from __future__ import annotations

import dataclasses

import pytest

from engine.model import documents
from engine.model.dispatches import Attempt, AttemptState, Reason
from engine.model.failures import Failure, Place
from engine.model.identifiers import AttemptId, ClusterName, MicroDollars, RunId, TaskName
from engine.model.profiles import RunRecord
from engine.model.remedies import Diagnosis, FailureCause
from engine.model.resources import Resources
from engine.model.specs import TaskKind, TaskSpec
from engine.ports import RemedyChooser
from engine.testing import samples

TASK = TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL)
PIPELINE = samples.pipeline(TASK).name
HELD = Resources(cpu_cores=1.0, memory_gib=1.0, disk_gib=10.0)
PLACE = Place(
    cluster="a",
    pool=samples.POOL,
    room=Resources(cpu_cores=4.0, memory_gib=16.0, disk_gib=100.0),
    price_micro_dollars_per_hour=MicroDollars(100_000),
)
CAUSES = (
    FailureCause.OUT_OF_MEMORY,
    FailureCause.DISK_FULL,
    FailureCause.TIMED_OUT,
    FailureCause.INFRASTRUCTURE,
    FailureCause.UNKNOWN,
)


def failure(cause: FailureCause, *needs_gib: float) -> Failure:
    """Return a failed first attempt of a task whose past runs needed so much memory."""
    attempt = Attempt(
        attempt_id=AttemptId("r-1.etl.1"),
        run_id=RunId("r-1"),
        pipeline=PIPELINE,
        task=TASK.name,
        number=1,
        executor="fake",
        cluster=ClusterName("a"),
        pool=samples.POOL,
        held=HELD,
        state=AttemptState.FAILED,
        intended_at=0.0,
        fence=1,
        reason=Reason.EXIT_CODE,
    )
    runs = tuple(
        RunRecord(
            pipeline=PIPELINE,
            task=TASK.name,
            kind=TASK.kind,
            attributes={"volume_gib": 2.0},
            ended_at=float(number),
            duration_seconds=600.0,
            cpu_cores_mean=1.0,
            memory_gib_peak=need,
        )
        for number, need in enumerate(needs_gib)
    )
    return Failure(
        pipeline=PIPELINE,
        task=TASK,
        diagnosis=Diagnosis(cause=cause, rule="a rule"),
        attempts=(attempt,),
        planned=HELD,
        places=(PLACE,),
        attributes={"volume_gib": 2.0},
        seconds=600.0,
        retries_left=2,
        runs=runs,
    )


class RemedySuite:
    """The contract of the port `RemedyChooser`."""

    @pytest.fixture
    def chooser(self) -> RemedyChooser:
        """Return the chooser under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("cause", CAUSES)
    def test_any_cause_has_an_answer_with_its_reason(
        self, chooser: RemedyChooser, cause: FailureCause
    ) -> None:
        """The diagnosis is repeated and the choice is said in words, without any past."""
        remedy = chooser.choose(failure(cause))
        assert remedy.diagnosis.cause is cause
        assert remedy.why

    @pytest.mark.parametrize("cause", CAUSES)
    def test_what_does_not_follow_has_no_configuration(
        self, chooser: RemedyChooser, cause: FailureCause
    ) -> None:
        """Only a retry changes anything, and its chance is a probability."""
        remedy = chooser.choose(failure(cause, 2.0, 3.0))
        assert remedy.retries or remedy.configuration is None
        assert remedy.success is None or 0.0 <= remedy.success <= 1.0

    def test_after_too_little_memory_there_is_more_where_it_fits(
        self, chooser: RemedyChooser
    ) -> None:
        """The next try holds more than the failed one, and no more than the place has."""
        remedy = chooser.choose(failure(FailureCause.OUT_OF_MEMORY, *(2.0,) * 8))
        assert remedy.retries
        assert remedy.configuration is not None
        assert remedy.configuration.memory_gib is not None
        assert HELD.memory_gib < remedy.configuration.memory_gib <= PLACE.room.memory_gib

    def test_the_same_failure_gives_the_same_bytes(self, chooser: RemedyChooser) -> None:
        """What is remembered from call to call changes no answer."""
        asked = failure(FailureCause.OUT_OF_MEMORY, 2.0, 2.5, 3.0)
        first = chooser.choose(asked)
        chooser.choose(failure(FailureCause.UNKNOWN, 9.0))
        assert documents.encode(chooser.choose(asked)) == documents.encode(first)

    def test_a_free_place_is_no_fault(self, chooser: RemedyChooser) -> None:
        """Machines without a price are chosen for as others are."""
        free = dataclasses.replace(PLACE, price_micro_dollars_per_hour=MicroDollars(0))
        asked = dataclasses.replace(failure(FailureCause.OUT_OF_MEMORY, 2.0), places=(free,))
        assert chooser.choose(asked).retries
