"""The number of workers follows from deadline and cost; what else was planned is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.model.errors import InfeasibleError
from engine.model.identifiers import MicroDollars, TaskName
from engine.model.plans import (
    Limit,
    Placement,
    PlacementProblem,
    Plan,
    PlanRequest,
    Refusal,
    Unplaced,
    task_key,
)
from engine.model.profiles import MachineFit, Method, Profile, Scaling
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec, Workers
from engine.model.trainings import PRESET, alone_of, modelled, scaling_of, with_workers
from engine.planning import Planner, what_if
from engine.planning.workers import numbers
from engine.testing import samples
from tests.support.planning import NOW, FirstPlacer, SampleForecaster

SPEED_UPS = ((2, 1.8), (4, 3.0))


class Deadlines(FirstPlacer):
    """Prices trainings by worker-seconds, and keeps a deadline: strictly, or by leaving out."""

    def __init__(self, seconds: float, *, leaves_out: bool = False) -> None:
        super().__init__()
        self.seconds = seconds
        self.leaves_out = leaves_out

    def place(self, problem: PlacementProblem) -> Placement:
        made = super().place(problem)
        price, late = 0.0, []
        for each in made.assignments:
            profile = problem.profiles[task_key(each.pipeline, each.task)]
            assert profile.duration_seconds is not None
            price += 1_000 * profile.replicas * profile.duration_seconds.p50
            if profile.duration_seconds.p50 > self.seconds:
                late.append(each)
        if late and not self.leaves_out:
            raise InfeasibleError(f"the deadline of {late[0].task} cannot be kept")
        refusal = Refusal(limit=Limit.DEADLINE, needs=1.0, has=0.0)
        return replace(
            made,
            assignments=tuple(each for each in made.assignments if each not in late),
            unplaced=tuple(
                Unplaced(pipeline=each.pipeline, task=each.task, refusal=refusal) for each in late
            ),
            objective_micro_dollars=MicroDollars(round(price)),
        )


def training(name: str = "train", least: int = 1, most: int = 4) -> TaskSpec:
    return TaskSpec(
        name=TaskName(name),
        kind=TaskKind.TRAIN,
        command=("torchrun", "net.py"),
        workers=Workers(least=least, most=most, speed_ups=SPEED_UPS),
    )


@pytest.fixture
def planned(request_for: PlanRequest) -> Callable[..., Plan]:
    """Return the plan of trainings whose one worker takes ten seconds."""

    def plan(placer: FirstPlacer, *tasks: TaskSpec, **more: object) -> Plan:
        spec = samples.pipeline(*(tasks or (training(),)))
        request = replace(request_for, pipelines=(spec,), **more)
        return Planner(SampleForecaster(), placer, "test").plan(request, [])

    return plan


def test_the_fewest_workers_that_keep_the_deadline_are_taken(planned: Callable[..., Plan]) -> None:
    plan = planned(Deadlines(seconds=6.0))
    (choice,) = plan.workers
    (place,) = plan.placement.assignments
    assert (choice.workers, place.workers) == (2, 2)
    assert choice.why == "with 1 worker the deadline of train cannot be kept"
    assert [option.workers for option in choice.options] == [1, 2, 3, 4]
    assert [option.speed_up for option in choice.options] == [1.0, 1.8, 2.4, 3.0]
    assert choice.options[0].total_micro_dollars is None
    costs = [option.total_micro_dollars for option in choice.options[1:]]
    assert costs == [11_111, 12_500, 13_333]


def test_the_profile_is_that_of_all_workers(planned: Callable[..., Plan]) -> None:
    profile = planned(Deadlines(seconds=6.0)).profiles["heart/train"]
    assert profile.replicas == 2
    assert profile.peak(Resource.MEMORY) == 2.0
    assert profile.duration_seconds == samples.DURATION.times(1 / 1.8)
    assert profile.scaling == Scaling(points=SPEED_UPS, method=Method.STATED)


def test_one_worker_is_cheapest_where_there_is_time(planned: Callable[..., Plan]) -> None:
    (choice,) = planned(Deadlines(seconds=60.0)).workers
    assert (choice.workers, choice.why) == (1, "more would cost more")


def test_a_deadline_that_no_number_keeps_is_the_clash_of_the_fewest(
    planned: Callable[..., Plan],
) -> None:
    with pytest.raises(InfeasibleError, match="the deadline of train"):
        planned(Deadlines(seconds=1.0))


def test_what_would_be_left_out_counts_before_money(planned: Callable[..., Plan]) -> None:
    (choice,) = planned(Deadlines(seconds=6.0, leaves_out=True)).workers
    assert choice.workers == 2
    assert choice.options[0].against == "train has no place"
    assert choice.options[0].seconds_p50 is None


def test_two_trainings_are_chosen_for_one_after_the_other(planned: Callable[..., Plan]) -> None:
    plan = planned(Deadlines(seconds=5.0), training("a"), training("b"))
    assert [choice.workers for choice in plan.workers] == [3, 3]


def test_a_number_leaves_nothing_to_choose(planned: Callable[..., Plan]) -> None:
    plan = planned(Deadlines(seconds=60.0), training(least=3, most=3))
    assert plan.workers == ()
    assert plan.placement.assignments[0].workers == 3


def test_what_runs_keeps_its_workers_and_what_is_over_is_not_asked(
    planned: Callable[..., Plan],
) -> None:
    running = planned(Deadlines(seconds=6.0)).placement.assignments
    again = planned(Deadlines(seconds=60.0), training(), fixed=running)
    assert (again.workers, again.placement.assignments[0].workers) == ((), 2)
    over = planned(Deadlines(seconds=60.0), done={"heart": ("train",)})
    assert (over.workers, over.placement.assignments) == ((), ())


def test_more_may_have_no_room() -> None:
    class Narrow(FirstPlacer):
        def place(self, problem: PlacementProblem) -> Placement:
            if problem.profiles["heart/train"].replicas > 1:
                raise InfeasibleError("there is no room for train")
            return super().place(problem)

    request = PlanRequest(
        pipelines=(samples.pipeline(training()),), fleet=samples.fleet("a"), as_of=NOW
    )
    (choice,) = Planner(SampleForecaster(), Narrow(), "test").plan(request, []).workers
    assert (choice.workers, choice.why) == (1, "with 2 workers there is no room for train")


def test_money_decides_where_neither_more_nor_fewer_are_ruled_out() -> None:
    class Odd(FirstPlacer):
        def place(self, problem: PlacementProblem) -> Placement:
            workers = problem.profiles["heart/train"].replicas
            cost = MicroDollars(abs(workers - 2))
            return replace(super().place(problem), objective_micro_dollars=cost)

    spec = PipelineSpec(name=samples.chain().name, tasks=(training(),))
    request = PlanRequest(pipelines=(spec,), fleet=samples.fleet("a"), as_of=NOW)
    (choice,) = Planner(SampleForecaster(), Odd(), "test").plan(request, []).workers
    assert (choice.workers, choice.why) == (2, "the least cost of the whole plan")
    assert choice.options[1].seconds_p50 == 10.0


def test_the_search_is_bounded() -> None:
    class Valley(FirstPlacer):
        """Gets cheaper by one step of one task at a time; the end of the way has no room."""

        def place(self, problem: PlacementProblem) -> Placement:
            a, b = (problem.profiles[f"heart/{name}"].replicas for name in "ab")
            if (a, b) == (8, 8):
                raise InfeasibleError("there is no room")
            cost = MicroDollars(1_000 + 5 * abs(2 * (a - b) - 1) - (a + b))
            return replace(super().place(problem), objective_micro_dollars=cost)

    spec = samples.pipeline(training("a", most=8), training("b", most=8))
    request = PlanRequest(pipelines=(spec,), fleet=samples.fleet("a"), as_of=NOW)
    plan = Planner(SampleForecaster(), Valley(), "test").plan(request, [])
    assert [choice.workers for choice in plan.workers] == [4, 4]


def test_a_what_if_chooses_again(planned: Callable[..., Plan]) -> None:
    plan = planned(Deadlines(seconds=6.0))
    loose = Planner(SampleForecaster(), Deadlines(seconds=60.0), "test")
    (choice,) = what_if(loose, plan, ["cluster:us-1=down"], []).workers
    assert choice.workers == 1


def test_long_ranges_are_planned_at_powers_of_two() -> None:
    assert numbers(Workers(least=1, most=8)) == (1, 2, 3, 4, 5, 6, 7, 8)
    assert numbers(Workers(least=1, most=64)) == (1, 2, 4, 8, 16, 32, 64)


class TestScaling:
    def test_it_is_stated_or_forecast_or_assumed(self) -> None:
        profile = samples.profile(training())
        known = Scaling(points=((2, 1.5),), method=Method.OWN_RUNS)
        assert scaling_of(training(), profile).method is Method.STATED
        silent = replace(training(), workers=Workers(least=1, most=4))
        assert scaling_of(silent, replace(profile, scaling=known)) == known
        assert scaling_of(silent, profile) == PRESET

    def test_past_the_last_point_it_is_flat(self) -> None:
        known = Scaling(points=SPEED_UPS)
        assert [known.speed_up(count) for count in (1, 2, 3, 4, 9)] == [1.0, 1.8, 2.4, 3.0, 3.0]

    def test_it_is_modelled_by_what_is_not_shared_and_what_is_exchanged(self) -> None:
        perfect = modelled(serial=0.0, exchange=0.0, most=4)
        assert perfect.points == ((2, 2.0), (3, 3.0), (4, 4.0))
        assert modelled(serial=1.0, exchange=0.0, most=2).points == ((2, 1.0),)
        assert modelled(serial=0.0, exchange=0.5, most=2).points == ((2, 1.0),)
        assert modelled(serial=0.0, exchange=0.0, most=1).points == ()

    def test_a_profile_goes_to_many_workers_and_back(self) -> None:
        alone = replace(
            samples.profile(training()),
            use=dict.fromkeys((Resource.CPU, Resource.GPU_MEMORY), (samples.DURATION,)),
            machines=(
                MachineFit(
                    machine="m",
                    cluster="a",
                    pool="p",
                    duration_seconds_p50=10.0,
                    cost_micro_dollars=900,
                ),
            ),
            memory_retries_gib=(2.0,),
        )
        known = Scaling(points=((2, 1.5),))
        made = with_workers(alone, known, 2)
        assert made.peak(Resource.CPU) == 2 * alone.peak(Resource.CPU)
        assert made.peak(Resource.GPU_MEMORY) == alone.peak(Resource.GPU_MEMORY)
        assert made.machines[0].cost_micro_dollars == 1_200
        assert made.memory_retries_gib == (4.0,)
        back = alone_of(made)
        assert back.duration_seconds is not None
        assert back.duration_seconds.p99 == pytest.approx(20.0)
        assert back.machines[0].cost_micro_dollars == 900
        assert (back.replicas, back.memory_retries_gib) == (1, (2.0,))

    def test_a_profile_without_an_end_or_of_one_worker_has_no_other(self) -> None:
        endless = replace(samples.profile(training()), duration_seconds=None, machines=())
        fit = MachineFit(
            machine="m", cluster="a", pool="p", duration_seconds_p50=None, cost_micro_dollars=1
        )
        made = with_workers(replace(endless, machines=(fit,)), PRESET, 2)
        assert made.duration_seconds is None
        assert made.machines[0].duration_seconds_p50 is None
        assert alone_of(made).duration_seconds is None
        assert alone_of(endless) is endless

    def test_it_is_kept_in_a_profile(self) -> None:
        assert isinstance(with_workers(samples.profile(training()), PRESET, 1), Profile)
