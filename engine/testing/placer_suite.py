"""What every `Placer` keeps; subclass `PlacerSuite` and give it a fixture `placer`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.model import documents
from engine.model.errors import InfeasibleError
from engine.model.fleet import Fleet
from engine.model.identifiers import MicroDollars, PipelineName, TaskName
from engine.model.plans import Mode, PlacementProblem, PlanRequest, Ruling, task_key
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource
from engine.model.specs import Deadline, Limits, PipelineSpec, Sla, TaskKind
from engine.ports import Placer
from engine.testing import samples

AS_OF = 1_790_000_000.0
CHAIN = samples.chain()


def problem(
    *pipelines: PipelineSpec,
    fleet: Fleet | None = None,
    mode: Mode = Mode.LEAST_COST,
    cores: float = 1.0,
) -> PlacementProblem:
    """Return a problem in which every task needs so many cores, and an hour when it ends."""
    several = pipelines or (CHAIN,)
    return PlacementProblem(
        request=PlanRequest(
            pipelines=several,
            fleet=fleet or samples.fleet("a", "b"),
            as_of=AS_OF,
            mode=mode,
            work_limit=1.0,
        ),
        profiles={
            task_key(pipeline.name, task.name): Profile(
                task=task.name,
                kind=task.kind,
                duration_seconds=(
                    None if task.kind is TaskKind.SERVE else Quantiles.constant(3600.0)
                ),
                use={
                    Resource.CPU: (Quantiles.constant(cores),),
                    Resource.MEMORY: (Quantiles.constant(1.0),),
                },
            )
            for pipeline in several
            for task in pipeline.tasks
        },
    )


def asking(*, hours: float, budget: int | None = None) -> PipelineSpec:
    """Return the chain with a deadline, and a budget in micro-dollars."""
    return replace(
        CHAIN,
        sla=Sla(deadline=Deadline(within_seconds=hours * 3600)),
        limits=Limits(budget_micro_dollars=None if budget is None else MicroDollars(budget)),
    )


def keys(items: Sequence[tuple[PipelineName, TaskName]]) -> set[str]:
    """Return tasks as `PIPELINE/TASK`."""
    return {task_key(pipeline, task) for pipeline, task in items}


class PlacerSuite:
    """The contract of the port `Placer`."""

    @pytest.fixture
    def placer(self) -> Placer:
        """Return the placer under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("mode", Mode)
    def test_every_task_is_placed_or_says_why_not(self, placer: Placer, mode: Mode) -> None:
        """A task is in exactly one of `assignments` and `unplaced`."""
        placement = placer.place(problem(mode=mode))
        placed = keys([(a.pipeline, a.task) for a in placement.assignments])
        left_out = keys([(u.pipeline, u.task) for u in placement.unplaced])
        assert placed | left_out == {f"heart/{task.name}" for task in CHAIN.tasks}
        assert not placed & left_out

    def test_the_same_problem_gives_the_same_bytes(self, placer: Placer) -> None:
        """Nothing depends on the clock, on memory addresses, or on earlier calls."""
        first, second = placer.place(problem()), placer.place(problem())
        assert documents.encode(first) == documents.encode(second)

    def test_tasks_follow_those_they_wait_for(self, placer: Placer) -> None:
        """No task starts before its upstream tasks end."""
        by_task = {a.task: a for a in placer.place(problem()).assignments}
        for task in CHAIN.tasks:
            for name in task.after:
                end = by_task[name].end_seconds_p50
                assert end is not None
                assert by_task[task.name].start_seconds >= end - 0.01

    def test_every_pool_has_a_verdict_for_every_task(self, placer: Placer) -> None:
        """One verdict for each pool; exactly one is chosen for a task that is placed."""
        for explanation in placer.place(problem()).explanations:
            assert [v.cluster for v in explanation.verdicts] == ["a", "b"]
            rulings = [v.ruling for v in explanation.verdicts]
            assert rulings.count(Ruling.CHOSEN) == 1

    def test_no_alternative_is_cheaper(self, placer: Placer) -> None:
        """A delta is never negative."""
        verdicts = [v for e in placer.place(problem()).explanations for v in e.verdicts]
        deltas = [v.delta_micro_dollars for v in verdicts if v.ruling is not Ruling.REFUSED]
        assert all(delta is not None and delta >= 0 for delta in deltas)

    def test_the_bound_is_a_bound(self, placer: Placer) -> None:
        """The gap follows from objective and bound."""
        placement = placer.place(problem())
        objective, bound = placement.objective_micro_dollars, placement.bound_micro_dollars
        assert 0 <= bound <= objective
        assert placement.gap == pytest.approx((objective - bound) / objective)

    def test_nothing_is_placed_where_nobody_answers(self, placer: Placer) -> None:
        """An unreachable cluster gets no task."""
        fleet = samples.fleet("a", "b")
        down = replace(fleet.clusters[0], reachable=False)
        placement = placer.place(problem(fleet=Fleet(clusters=(down, fleet.clusters[1]))))
        assert {a.cluster for a in placement.assignments} == {"b"}

    def test_a_refused_pool_names_its_limit(self, placer: Placer) -> None:
        """What is ruled out has a binding limit."""
        placement = placer.place(problem(mode=Mode.MOST_SLA, cores=64.0))
        verdicts = [v for e in placement.explanations for v in e.verdicts]
        assert all(v.binding is not None for v in verdicts)
        assert len(placement.unplaced) == len(CHAIN.tasks)

    def test_an_empty_fleet_places_nothing(self, placer: Placer) -> None:
        """Without clusters every task is unplaced, and says so."""
        placement = placer.place(problem(fleet=Fleet(clusters=()), mode=Mode.MOST_SLA))
        assert not placement.assignments
        assert len(placement.unplaced) == len(CHAIN.tasks)

    def test_least_cost_keeps_every_wish_or_says_which_clash(self, placer: Placer) -> None:
        """Three hours of work do not end in two; the wishes that clash are named."""
        with pytest.raises(InfeasibleError) as caught:
            placer.place(problem(asking(hours=2.0)))
        assert caught.value.clashes
        assert all(clash.wish and clash.relaxation for clash in caught.value.clashes)

    def test_most_sla_keeps_the_budget(self, placer: Placer) -> None:
        """What a run is expected to cost stays within its budget."""
        spec = asking(hours=24.0, budget=120_000)
        placement = placer.place(problem(spec, mode=Mode.MOST_SLA))
        assert placement.promises[0].run_cost_micro_dollars <= 120_000

    def test_running_tasks_stay(self, placer: Placer) -> None:
        """A fixed assignment comes back as it was."""
        first = placer.place(problem())
        fixed = first.assignments[0]
        again = problem()
        again = replace(again, request=replace(again.request, fixed=(fixed,)))
        assert fixed in placer.place(again).assignments

    def test_ended_tasks_need_no_place(self, placer: Placer) -> None:
        """A task that is done is neither placed nor unplaced."""
        again = problem()
        done = {CHAIN.name: (TaskName("etl"),)}
        placement = placer.place(replace(again, request=replace(again.request, done=done)))
        assert {a.task for a in placement.assignments} == {"train", "package", "serve"}
        assert not placement.unplaced
