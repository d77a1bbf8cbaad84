"""Remedies are chosen by what past retries came to and past runs needed, against their cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.dispatches import Reason
from engine.model.failures import Failure, Place
from engine.model.identifiers import MicroDollars
from engine.model.profiles import RunRecord
from engine.model.remedies import Diagnosis, FailureCause, RemedyStep, Retry
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from engine.ports import RemedyChooser
from forecasting import LearnedRemedies
from forecasting.remedies.memory import Needs
from tests.unit.dispatching.test_rules import ETL, attempt

SMALL = Place(
    cluster="a",
    pool="small",
    room=Resources(cpu_cores=4.0, memory_gib=8.0, disk_gib=100.0),
    price_micro_dollars_per_hour=MicroDollars(100_000),
)
LARGE = replace(
    SMALL,
    pool="large",
    room=Resources(cpu_cores=8.0, memory_gib=64.0, disk_gib=400.0),
    price_micro_dollars_per_hour=MicroDollars(500_000),
)


def failure(cause: FailureCause, *, held_gib: float = 1.0, words: str = "") -> Failure:
    held = Resources(cpu_cores=1.0, memory_gib=held_gib, disk_gib=10.0)
    return Failure(
        pipeline="heart",
        task=ETL,
        diagnosis=Diagnosis(cause=cause, rule="a rule", words=words),
        attempts=(attempt(reason=Reason.EXIT_CODE, held=held),),
        planned=held,
        places=(SMALL, LARGE),
        attributes={"volume_gib": 2.0},
        seconds=600.0,
        retries_left=2,
    )


def runs(*needs_gib: float, volume_gib: float = 2.0) -> tuple[RunRecord, ...]:
    return tuple(
        RunRecord(
            pipeline="heart",
            task="etl",
            kind=TaskKind.ETL,
            attributes={"volume_gib": volume_gib},
            ended_at=float(place),
            duration_seconds=600.0,
            cpu_cores_mean=1.0,
            memory_gib_peak=need,
        )
        for place, need in enumerate(needs_gib)
    )


def retry(*, succeeded: bool, words: str = "", cause: FailureCause = FailureCause.UNKNOWN) -> Retry:
    return Retry(
        pipeline="heart",
        task="etl",
        kind=TaskKind.ETL,
        cause=cause,
        step=RemedyStep.SAME,
        repeat=1,
        succeeded=succeeded,
        ended_at=1.0,
        words=words,
    )


def test_it_is_a_chooser() -> None:
    assert isinstance(LearnedRemedies(), RemedyChooser)


def test_memory_grows_to_what_runs_that_needed_more_needed() -> None:
    asked = replace(failure(FailureCause.OUT_OF_MEMORY), runs=runs(*[0.9, 1.9, 2.0] * 6))
    remedy = LearnedRemedies().choose(asked)
    assert remedy.step is RemedyStep.MORE_MEMORY
    assert remedy.configuration is not None
    assert remedy.configuration.memory_gib == pytest.approx(2.0, rel=0.1)
    assert remedy.learned_from >= 18


def test_without_runs_memory_grows_by_half() -> None:
    remedy = LearnedRemedies().choose(failure(FailureCause.OUT_OF_MEMORY))
    assert remedy.configuration is not None
    assert remedy.configuration.memory_gib == pytest.approx(1.5)


def test_a_larger_machine_is_taken_where_this_one_has_no_more() -> None:
    remedy = LearnedRemedies().choose(failure(FailureCause.OUT_OF_MEMORY, held_gib=8.0))
    assert remedy.step is RemedyStep.OTHER_MACHINE
    assert remedy.configuration is not None
    assert remedy.configuration.pool == "large"
    assert remedy.configuration.memory_gib == pytest.approx(12.0)


def test_where_no_machine_has_more_nothing_is_tried() -> None:
    asked = replace(failure(FailureCause.OUT_OF_MEMORY, held_gib=8.0), places=(SMALL,))
    remedy = LearnedRemedies().choose(asked)
    assert not remedy.retries


def test_a_batch_that_does_not_fit_a_gpu_is_halved() -> None:
    asked = replace(failure(FailureCause.OUT_OF_GPU_MEMORY), batch_size=64)
    remedy = LearnedRemedies().choose(asked)
    assert remedy.step is RemedyStep.SMALLER_BATCH
    assert remedy.configuration is not None
    assert remedy.configuration.batch_size == 32


@pytest.mark.parametrize(
    ("cause", "step"),
    [
        (FailureCause.DISK_FULL, RemedyStep.MORE_DISK),
        (FailureCause.TIMED_OUT, RemedyStep.MORE_TIME),
        (FailureCause.UNKNOWN, RemedyStep.SAME),
    ],
)
def test_each_cause_has_its_change(cause: FailureCause, step: RemedyStep) -> None:
    remedy = LearnedRemedies().choose(failure(cause))
    assert remedy.step is step
    assert remedy.options[0].step is step
    assert remedy.cost_micro_dollars


def test_what_never_passed_is_not_tried_again() -> None:
    asked = replace(failure(FailureCause.UNKNOWN), retries=(retry(succeeded=False),) * 20)
    remedy = LearnedRemedies().choose(asked)
    assert not remedy.retries
    assert remedy.options


def test_words_after_which_it_passed_speak_more_than_all_others() -> None:
    past = (*[retry(succeeded=False)] * 20, *[retry(succeeded=True, words="shard #")] * 4)
    asked = replace(failure(FailureCause.UNKNOWN, words="shard 17"), retries=past)
    remedy = LearnedRemedies().choose(asked)
    assert remedy.step is RemedyStep.SAME


def test_each_outcome_moves_the_estimate_at_once() -> None:
    chances = [
        LearnedRemedies()
        .choose(replace(failure(FailureCause.UNKNOWN), retries=(retry(succeeded=True),) * count))
        .success
        or 0.0
        for count in range(4)
    ]
    assert chances == sorted(set(chances))


def test_the_same_failure_gives_the_same_remedy_whatever_was_asked_before() -> None:
    chooser = LearnedRemedies()
    first = replace(failure(FailureCause.OUT_OF_MEMORY), runs=runs(*[0.9, 1.9, 2.0] * 4))
    other = replace(first, runs=runs(5.0, 6.0, 7.0))
    alone = LearnedRemedies().choose(first)
    chooser.choose(other)
    assert chooser.choose(first) == alone


def test_the_last_try_holds_more_than_one_that_others_follow() -> None:
    needs = Needs()
    for memory in (1.0, 1.1, 1.2, 4.0) * 5:
        needs.update(1.0, memory)
    early, last = (needs.rung(1.0, 1.05, is_last=is_last) for is_last in (False, True))
    assert early.memory < last.memory
    assert early.success < last.success


def test_no_step_is_at_or_below_what_failed_or_above_what_a_machine_has() -> None:
    needs = Needs()
    for memory in (1.0, 2.0, 3.0) * 5:
        needs.update(1.0, memory)
    assert needs.rung(1.0, 3.0).memory > 3.0
    assert needs.rung(1.0, 2.0, most=2.5).memory <= 2.5
