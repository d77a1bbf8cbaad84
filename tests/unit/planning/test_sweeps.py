"""Sweeps: rows of values as people write them, and where the answer changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.errors import InfeasibleError, InvalidInputError
from engine.model.plans import Incumbent, Placement, PlacementProblem, Plan, PlanRequest
from engine.model.profiles import RunRecord
from engine.planning import Planner, changed_request, sweep, values_of, what_if
from tests.support.planning import FirstPlacer, SampleForecaster


@pytest.fixture
def plan(planner: Planner, request_for: PlanRequest) -> Plan:
    return planner.plan(request_for, [])


@pytest.mark.parametrize(
    ("wanted", "key", "values"),
    [
        ("deadline=02:00..03:00/30m", "deadline", ("02:00", "02:30", "03:00")),
        ("deadline=02:00..04:00/1 h", "deadline", ("02:00", "03:00", "04:00")),
        ("deadline=23:00..01:00/60min", "deadline", ("23:00", "00:00", "01:00")),
        (
            "deadline=daily 03:00..05:00 Europe/Paris",
            "deadline",
            tuple(f"daily {t} Europe/Paris" for t in ("03:00", "03:30", "04:00", "04:30", "05:00")),
        ),
        ("demand=x1..x2/0.5", "demand", ("x1", "x1.5", "x2")),
        (
            "budget=1..5 USD per run",
            "budget",
            tuple(f"{n} USD per run" for n in range(1, 6)),
        ),
        (
            "tasks.serve.requests=50/s peak..150/s peak/50",
            "tasks.serve.requests",
            ("50/s peak", "100/s peak", "150/s peak"),
        ),
        ("keep=0.99..0.97/0.01", "keep", ("0.99", "0.98", "0.97")),
        (
            "deadline=in 30 min..in 60 min/15 min",
            "deadline",
            ("in 30 min", "in 45 min", "in 60 min"),
        ),
    ],
)
def test_values_stand_between_the_first_and_the_last(
    wanted: str, key: str, values: tuple[str, ...]
) -> None:
    assert values_of(wanted) == (key, values)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("keep=0.5..0.9/0.0001", "which has 4,001 values"),
        ("deadline=02:00..08:00/0 h", "whose step leads nowhere"),
    ],
)
def test_a_sweep_whose_step_does_not_lead_there_says_so(wanted: str, reason: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        values_of(wanted)
    assert raised.value.faults[0].message == f"the sweep is {wanted!r}, {reason}"


@pytest.mark.parametrize(
    "wanted",
    [
        "deadline",
        "=1..2",
        "deadline=02:00",
        "deadline=early..late",
        "deadline=02:00..03:00/3 apples",
        "demand=x1..x2/0",
        "demand=x1..x2/0.001",
        "demand=x1..x2/1 apple",
    ],
)
def test_a_sweep_that_cannot_be_read_says_how_to_write_one(wanted: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        values_of(wanted)
    assert "deadline=03:00..08:00/30m" in caught.value.faults[0].fix


class Watching:
    """A watch that is impatient, or is not."""

    def __init__(self, *, impatient: bool) -> None:
        self._impatient = impatient

    def found(self, incumbent: Incumbent) -> None:
        """Take no notice of a better plan."""

    def wants_end(self) -> bool:
        """Whether it is impatient."""
        return self._impatient


@pytest.mark.parametrize(("impatient", "values"), [(False, ["0.9", "0.95"]), (True, ["0.9"])])
def test_who_wants_an_end_gets_the_values_up_to_then(
    planner: Planner, plan: Plan, impatient: bool, values: list[str]
) -> None:
    watch = Watching(impatient=impatient)
    swept, plans = sweep(planner, plan, "keep=0.9..0.95/0.05", [], [], watch=watch)
    assert ([point.value for point in swept.points], len(plans)) == (values, len(values))


def test_each_value_has_the_plan_that_what_if_would_make(planner: Planner, plan: Plan) -> None:
    swept, plans = sweep(planner, plan, "keep=0.9..0.95/0.05", ["cluster:eu-1=down"], [])
    alone = [what_if(planner, plan, ["cluster:eu-1=down", f"keep={k}"], []) for k in (0.9, 0.95)]
    assert list(plans) == alone
    assert [point.plan_id for point in swept.points] == [made.plan_id for made in alone]


def test_a_point_names_what_moved_and_what_turned(planner: Planner, plan: Plan) -> None:
    swept, _ = sweep(planner, plan, "keep=0.9..0.95/0.05", ["cluster:eu-1=down"], [])
    every = tuple(f"heart/{task.name}" for task in plan.request.pipelines[0].tasks)
    first, second = swept.points
    assert (set(first.moved), set(first.turned)) == (set(every), set(every))
    assert (set(second.moved), second.turned) == (set(every), ())


class Choosy(FirstPlacer):
    """Places nothing at a higher chance than 0.95."""

    def place(self, problem: PlacementProblem) -> Placement:
        placement = super().place(problem)
        if problem.request.pipelines[0].sla.keep > 0.95:
            raise InfeasibleError("too much is asked")
        return replace(placement, assignments=placement.assignments[:1])


def test_a_value_without_a_plan_says_why(
    forecaster: SampleForecaster, request_for: PlanRequest
) -> None:
    planner = Planner(forecaster, Choosy(), "test")
    spec = request_for.pipelines[0]
    asked = replace(request_for, pipelines=(replace(spec, sla=replace(spec.sla, keep=0.9)),))
    swept, plans = sweep(planner, planner.plan(asked, []), "keep=0.94..0.96/0.02", [], [])
    possible, refused = swept.points
    assert (possible.is_possible, refused.is_possible) == (True, False)
    assert (refused.clash, len(plans)) == ("too much is asked", 1)


def test_who_wants_an_end_where_nothing_is_possible_gets_one(
    forecaster: SampleForecaster, request_for: PlanRequest
) -> None:
    planner = Planner(forecaster, Choosy(), "test")
    plan = Planner(forecaster, FirstPlacer(), "test").plan(request_for, [])
    watch = Watching(impatient=True)
    swept, _ = sweep(planner, plan, "keep=0.96..0.98/0.01", [], [], watch=watch)
    assert [point.clash for point in swept.points] == ["too much is asked"]


def test_a_key_that_is_not_there_is_a_fault(planner: Planner, plan: Plan) -> None:
    with pytest.raises(InvalidInputError):
        sweep(planner, plan, "ghost=1..2", [], [])


def test_what_the_change_does_not_touch_is_not_forecast_again(
    planner: Planner, forecaster: SampleForecaster, request_for: PlanRequest, record: RunRecord
) -> None:
    # As it is read from a document, where a service has all its promises.
    plan = planner.plan(changed_request(request_for, ["keep=0.8"]), [])
    forecaster.history = []
    what_if(planner, plan, ["keep=0.9", "price:eu-1=x1.5", "cluster:eu-2=down"], [record])
    assert forecaster.history == []


@pytest.mark.parametrize("change", ["tasks.etl.memory=3 GiB", "demand=x2"])
def test_a_task_that_changes_is_forecast_anew(
    planner: Planner,
    forecaster: SampleForecaster,
    request_for: PlanRequest,
    record: RunRecord,
    change: str,
) -> None:
    plan = planner.plan(changed_request(request_for, ["keep=0.8"]), [])
    forecaster.history = []
    what_if(planner, plan, [change], [record])
    assert forecaster.history == [record]
