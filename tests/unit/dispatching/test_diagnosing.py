"""Causes of failures are read from the exit, the signal and the last lines, by rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.dispatching import diagnosing, remedying, retrying
from engine.dispatching.ladder import Ladder
from engine.model.dispatches import Attempt, AttemptState, Reason, Usage
from engine.model.remedies import Configuration, FailureCause, Remedy, RemedyStep
from engine.model.specs import TaskKind
from engine.ports import RemedyChooser
from engine.testing import samples
from tests.unit.dispatching.test_rules import ETL, attempt


def failed(
    number: int = 1, *, reason: Reason = Reason.EXIT_CODE, code: int | None = 1, words: str = ""
) -> Attempt:
    return replace(attempt(number, reason=reason), exit_code=code, message=words)


def remedied(*attempts: Attempt) -> list[Attempt]:
    """Attempts, each with the remedy that rules give it, as the store keeps them."""
    done: list[Attempt] = []
    for each in attempts:
        diagnosis = diagnosing.diagnose([*done, each])
        remedy = Remedy(diagnosis=diagnosis, step=RemedyStep.SAME, why="")
        done.append(replace(each, remedy=remedy))
    return done


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("MemoryError", FailureCause.OUT_OF_MEMORY),
        ("terminate called after throwing 'std::bad_alloc'", FailureCause.OUT_OF_MEMORY),
        ("java.lang.OutOfMemoryError: Java heap space", FailureCause.OUT_OF_MEMORY),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried", FailureCause.OUT_OF_GPU_MEMORY),
        ("OSError: [Errno 28] No space left on device", FailureCause.DISK_FULL),
        ("FileNotFoundError: [Errno 2] No such file", FailureCause.MISSING_INPUT),
        ("curl: (7) Connection refused", FailureCause.INFRASTRUCTURE),
        ("KeyError: 'age'", FailureCause.USER_ERROR),
        ("sklearn.exceptions.NotFittedError: call fit", FailureCause.USER_ERROR),
        ("something went wrong", FailureCause.UNKNOWN),
        ("numpy.linalg.LinAlgError: Singular matrix", FailureCause.HOPELESS),
        ("epoch 3: loss became nan", FailureCause.HOPELESS),
        ("UserWarning: lbfgs failed to converge", FailureCause.UNKNOWN),
    ],
)
def test_words_of_the_log_name_the_cause(line: str, cause: FailureCause) -> None:
    assert diagnosing.diagnose([failed()], ["epoch 3", line]).cause is cause


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (Reason.OUT_OF_MEMORY, FailureCause.OUT_OF_MEMORY),
        (Reason.TIMED_OUT, FailureCause.TIMED_OUT),
        (Reason.GATE, FailureCause.HOPELESS),
        (Reason.BAD_INPUT, FailureCause.USER_ERROR),
        (Reason.EVICTED, FailureCause.INFRASTRUCTURE),
        (Reason.KILLED, FailureCause.INFRASTRUCTURE),
    ],
)
def test_the_word_of_the_executor_counts_before_the_log(
    reason: Reason, cause: FailureCause
) -> None:
    assert diagnosing.diagnose([failed(reason=reason)], ["KeyError: 1"]).cause is cause


def test_numbers_count_only_as_the_last_words() -> None:
    said = ["lbfgs failed to converge", "lost the lock of shard 7"]
    assert diagnosing.diagnose([failed()], said).cause is FailureCause.UNKNOWN


@pytest.mark.parametrize(
    ("cpu_seconds", "cause"),
    [(3.0, FailureCause.HOPELESS), (300.0, FailureCause.TIMED_OUT), (0.0, FailureCause.TIMED_OUT)],
)
def test_a_time_limit_that_passed_idle_was_a_hang(cpu_seconds: float, cause: FailureCause) -> None:
    used = Usage(duration_seconds=3_600.0, cpu_seconds=cpu_seconds, memory_gib_peak=0.1)
    seen = replace(failed(reason=Reason.TIMED_OUT), usage=used)
    assert diagnosing.diagnose([seen]).cause is cause


def test_an_input_that_is_refused_because_it_is_missing_is_missing() -> None:
    seen = failed(reason=Reason.BAD_INPUT, words="data.csv: No such file or directory")
    assert diagnosing.diagnose([seen]).cause is FailureCause.MISSING_INPUT


@pytest.mark.parametrize("code", [2, 64, 126, 127])
def test_exit_codes_with_a_meaning_are_user_errors(code: int) -> None:
    assert diagnosing.diagnose([failed(code=code)]).cause is FailureCause.USER_ERROR


def test_a_kill_near_the_memory_limit_is_a_matter_of_memory() -> None:
    used = Usage(duration_seconds=1.0, cpu_seconds=1.0, memory_gib_peak=0.99)
    near = replace(failed(code=137), usage=used)
    assert diagnosing.diagnose([near]).cause is FailureCause.OUT_OF_MEMORY
    assert diagnosing.diagnose([replace(near, usage=None)]).cause is FailureCause.INFRASTRUCTURE


def test_a_server_that_ended_by_itself_was_not_killed() -> None:
    seen = failed(reason=Reason.KILLED, code=0)
    assert diagnosing.diagnose([seen]).cause is FailureCause.UNKNOWN


def test_failures_that_say_the_same_but_for_numbers_are_hopeless() -> None:
    said = remedied(failed(1, words="bad block 17"), failed(2, words="bad block 99"))
    assert said[-1].remedy is not None
    assert said[-1].remedy.diagnosis.cause is FailureCause.HOPELESS


def test_failures_that_say_different_things_are_not_hopeless() -> None:
    said = remedied(failed(1, words="bad block"), failed(2, words="bad disk"), failed(3, code=4))
    causes = [each.remedy.diagnosis.cause for each in said if each.remedy]
    assert causes == [FailureCause.UNKNOWN] * 3


def test_an_attempt_lost_between_two_that_are_alike_does_not_part_them() -> None:
    lost = replace(failed(2), state=AttemptState.LOST)
    said = remedied(failed(1, words="bad"), lost, failed(3, words="bad"))
    assert said[-1].remedy is not None
    assert said[-1].remedy.diagnosis.cause is FailureCause.HOPELESS


def test_a_network_that_never_answers_is_hopeless_in_the_end_but_evictions_are_not() -> None:
    refused = [failed(number, words="Connection refused") for number in range(1, 7)]
    evicted = [failed(number, reason=Reason.EVICTED) for number in range(1, 10)]
    ends = [remedied(*each)[-1].remedy for each in (refused, evicted)]
    causes = [each.diagnosis.cause for each in ends if each]
    assert causes == [FailureCause.HOPELESS, FailureCause.INFRASTRUCTURE]


def test_more_memory_than_any_machine_has_is_hopeless() -> None:
    out = failed(reason=Reason.OUT_OF_MEMORY)
    assert diagnosing.diagnose([out], memory_gib_most=1.0).cause is FailureCause.HOPELESS
    assert diagnosing.diagnose([out], memory_gib_most=2.0).cause is FailureCause.OUT_OF_MEMORY


def test_failures_of_the_cluster_use_up_no_retries() -> None:
    by_cluster = remedied(*[failed(n, words=f"Connection reset {n}") for n in range(1, 5)])
    remedy = remedying.by_rule(ETL, by_cluster, diagnosing.diagnose(by_cluster), 0.0)
    assert remedy is not None
    assert remedy.step is RemedyStep.SAME
    assert retrying.failures(ETL, by_cluster, 0.0) == 0


def test_even_failures_of_the_cluster_are_bounded() -> None:
    evicted = remedied(*[failed(n, reason=Reason.EVICTED) for n in range(1, 51)])
    remedy = remedying.by_rule(ETL, evicted, diagnosing.diagnose(evicted), 0.0)
    assert remedy is not None
    assert not remedy.retries


def test_user_errors_are_never_tried_again_and_unknown_ones_within_the_budget() -> None:
    wrong = failed(words="KeyError: 'age'")
    remedy = remedying.by_rule(ETL, [wrong], diagnosing.diagnose([wrong]), 0.0)
    assert remedy is not None
    assert not remedy.retries
    unknown = remedied(failed(1, words="a"), failed(2, words="b"))
    first, second = (
        remedying.by_rule(ETL, unknown[:count], diagnosing.diagnose(unknown[:count]), 0.0)
        for count in (1, 2)
    )
    assert first is None
    assert second is not None
    assert second.why == "its 1 retries are used up"
    none = remedying.by_rule(
        replace(ETL, retries=0), unknown[:1], diagnosing.diagnose(unknown[:1]), 0.0
    )
    assert none is not None
    assert none.why == "it has no retries"


def test_a_retry_teaches_what_the_remedy_before_it_was_worth() -> None:
    first = remedied(failed(1, words="row 7"))[0]
    second = replace(attempt(2, AttemptState.SUCCEEDED), ended_at=9.0)
    retry = remedying.retry_of([first, second], TaskKind.ETL)
    assert retry is not None
    assert (retry.cause, retry.succeeded, retry.words) == (FailureCause.UNKNOWN, True, "row #")
    assert remedying.retry_of([second], TaskKind.ETL) is None
    assert remedying.retry_of([first, replace(second, ended_at=None)], TaskKind.ETL) is None


def test_memory_and_place_of_a_remedy_are_those_of_the_next_attempt() -> None:
    changed = Configuration(memory_gib=3.0, disk_gib=7.0)
    held = remedying.with_memory(samples.HELD, changed)
    assert (held.memory_gib, held.disk_gib, held.cpu_cores) == (3.0, 7.0, samples.HELD.cpu_cores)
    assert remedying.with_memory(samples.HELD, None) == samples.HELD
    assert isinstance(Ladder(), RemedyChooser)
