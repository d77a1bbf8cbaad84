"""A remedy is said in one sentence: the cause, by which rule, and what follows at what cost."""

from api.report import remedies
from engine.model.identifiers import MicroDollars
from engine.model.remedies import (
    Configuration,
    Diagnosis,
    FailureCause,
    Option,
    Remedy,
    RemedyStep,
)

OUT = Diagnosis(cause=FailureCause.OUT_OF_MEMORY, rule="it passed its memory limit", words="x")


def test_cause_rule_words_change_reason_and_cost_are_said() -> None:
    changed = Configuration(memory_gib=3.0)
    option = Option(
        step=RemedyStep.MORE_MEMORY,
        configuration=changed,
        success=0.9,
        cost_micro_dollars=MicroDollars(20_000),
    )
    remedy = Remedy(
        diagnosis=OUT,
        step=RemedyStep.MORE_MEMORY,
        why="succeeds with 90%",
        configuration=changed,
        cost_micro_dollars=MicroDollars(20_000),
        options=(option,),
    )
    assert remedies.remedy_text(remedy) == (
        "out of memory, as it passed its memory limit ('x'): more memory (3 GiB), "
        "succeeds with 90%, $0.02"
    )
    assert remedies.options_text(remedy) == "more memory (3 GiB): 90 %, $0.02"


def test_where_nothing_follows_no_amounts_are_said() -> None:
    wrong = Diagnosis(cause=FailureCause.USER_ERROR, rule="exit code 2")
    remedy = Remedy(diagnosis=wrong, step=RemedyStep.NONE, why="it would end alike")
    told = "user error, as exit code 2: no retry, it would end alike"
    assert remedies.remedy_text(remedy) == told
    assert remedies.options_text(remedy) == ""


def test_every_amount_that_changes_is_named() -> None:
    changed = Configuration(
        disk_gib=20.0, batch_size=16, time_factor=2.0, cluster="eu", pool="large"
    )
    assert remedies.step_text(RemedyStep.OTHER_MACHINE, changed) == (
        "another kind of machine (20 GiB of disk, batches of 16, 2 times the time limit, eu/large)"
    )
