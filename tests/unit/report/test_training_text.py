"""How many workers a training gets, in the plan and in its explanation."""

from __future__ import annotations

from dataclasses import replace

from api.report.explanations import explanation_text
from api.report.plans import plan_text
from engine.model.identifiers import MicroDollars, TaskName
from engine.model.plans import Explanation, Plan, WorkersChoice, WorkersOption
from engine.model.profiles import Method, Scaling
from engine.model.specs import TaskKind, TaskSpec, Workers
from engine.model.trainings import with_workers
from engine.testing import samples

TASK = TaskSpec(
    name=TaskName("train"), kind=TaskKind.TRAIN, command=("x",), workers=Workers(least=1, most=3)
)
OPTIONS = (
    WorkersOption(workers=1, speed_up=1.0, against="the deadline cannot be kept"),
    WorkersOption(
        workers=2,
        speed_up=1.8,
        seconds_p50=3_600.0,
        cost_micro_dollars=MicroDollars(2_000_000),
        total_micro_dollars=MicroDollars(3_000_000),
        keep_forecast=0.97,
    ),
    WorkersOption(
        workers=3,
        speed_up=2.4,
        seconds_p50=2_700.0,
        cost_micro_dollars=MicroDollars(2_500_000),
        total_micro_dollars=MicroDollars(3_500_000),
    ),
)


def planned(method: Method) -> Plan:
    spec = samples.pipeline(TASK)
    plan = samples.plan(spec, samples.fleet("a"))
    scaling = Scaling(points=((2, 1.8), (3, 2.4)), method=method)
    why = "with 1 the deadline cannot be kept"
    choice = WorkersChoice(pipeline=spec.name, task=TASK.name, workers=2, options=OPTIONS, why=why)
    seen = Explanation(pipeline=spec.name, task=TASK.name, verdicts=())
    return replace(
        plan,
        profiles={"heart/train": with_workers(plan.profiles["heart/train"], scaling, 2)},
        placement=replace(plan.placement, explanations=(seen,)),
        workers=(choice,),
    )


def test_the_plan_says_how_many_and_why() -> None:
    said = " ".join(plan_text(planned(Method.STATED)).split())
    assert "train has 2 of 1 to 3 workers: with 1 the deadline cannot be kept." in said


def test_the_explanation_has_a_row_for_each_number() -> None:
    lines = explanation_text(planned(Method.OWN_RUNS), "train").splitlines()
    rows = [line.split() for line in lines]
    assert ["2", "1.80", "1", "h", "$2.00", "0.97", "chosen"] in rows
    assert any(row[:2] == ["3", "2.40"] and row[-2:] == ["+", "$0.50"] for row in rows)
    assert any(row[:2] == ["1", "1.00"] and "ruled" in row for row in rows)
    assert "from its own runs" in " ".join(lines)


def test_an_assumption_is_named_as_one() -> None:
    said = " ".join(explanation_text(planned(Method.PRESET)).split())
    assert "an assumption: no run of it with several workers is known" in said
    assert "by 2 workers" in said
