"""A difference as people read it: what a move saves, and what it costs to make it."""

from __future__ import annotations

from api.report.diffs import diff_text
from engine.model.identifiers import MicroDollars, PipelineName, PlanId, TaskName
from engine.planning import Change, FieldChange, PlanDiff, TaskDiff


def moved(price: int, *, ends: bool = True) -> str:
    """Return the line of a task that moves, whose run or hour gets cheaper by ten cents."""
    task = TaskDiff(
        change=Change.MOVED,
        pipeline=PipelineName("heart"),
        task=TaskName("train"),
        fields=(FieldChange(field="place", now="eu-1/nodes", plan="us-1/nodes"),),
        cost_micro_dollars=MicroDollars(-100_000),
        end_seconds=None,
        move_micro_dollars=MicroDollars(price),
        ends=ends,
    )
    difference = PlanDiff(
        old=PlanId("p-aaaaaaaa"),
        new=PlanId("p-bbbbbbbb"),
        tasks=(task,),
        unchanged=0,
        ended=0,
        run_cost_micro_dollars=MicroDollars(-100_000),
        serving_micro_dollars_per_hour=MicroDollars(0),
    )
    (line,) = [line for line in diff_text(difference).splitlines() if "heart/train" in line]
    return line


def test_a_move_stands_beside_what_it_saves() -> None:
    assert moved(250_000).split("us-1/nodes")[1].strip() == "- $0.10, the move $0.25"


def test_a_move_without_a_price_says_nothing_of_one() -> None:
    assert moved(0).split("us-1/nodes")[1].strip() == "- $0.10"


def test_what_serves_saves_by_the_hour() -> None:
    assert moved(0, ends=False).split("us-1/nodes")[1].strip() == "- $0.10/h"
