"""Problems that cannot be planned are refused with their value; a broken solver is survived."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import pytest

from engine.model.errors import InfeasibleError, InvalidInputError
from engine.model.identifiers import MicroDollars
from engine.model.plans import Incumbent, Limit, Mode, PlacementProblem, Reservation
from engine.model.profiles import Quantiles
from engine.model.resources import Resource, Resources
from engine.model.specs import Deadline, PipelineSpec, Sla, Wishes
from placement import CpSatPlacer
from placement.problem import checks
from placement.problem.instance import Instance
from placement.search import model, solver
from placement.search.orders import Outcome, Scope
from tests.support import placement_problems as make

FLEET = make.fleet(make.cluster("c"))


def planned(problem: PlacementProblem) -> object:
    return CpSatPlacer().place(problem)


def refused(problem: PlacementProblem, code: str) -> str:
    with pytest.raises(InvalidInputError) as caught:
        planned(problem)
    fault = caught.value.faults[0]
    assert (fault.code, bool(fault.fix)) == (code, True)
    return fault.message


def test_a_fleet_without_nodes_places_nothing_and_says_why() -> None:
    empty = make.fleet(make.cluster("c", make.pool(nodes=0)))
    problem = make.problem(make.pipeline(make.task("a")), empty, mode=Mode.MOST_SLA)
    (left,) = CpSatPlacer().place(problem).unplaced
    assert left.refusal.limit in {Limit.MEMORY, Limit.CPU}
    assert left.refusal.has == 0.0


def test_a_fleet_without_clusters_places_nothing() -> None:
    problem = make.problem(make.pipeline(make.task("a")), make.fleet(), mode=Mode.MOST_SLA)
    assert len(CpSatPlacer().place(problem).unplaced) == 1


def test_a_task_larger_than_any_node_is_refused_by_node_fit() -> None:
    task = make.task("a")
    nodes = make.fleet(make.cluster("c", make.pool(cores=4.0, nodes=3)))
    profiles = {"a": make.profile(task, cores=8.0)}
    problem = make.problem(make.pipeline(task), nodes, profiles, mode=Mode.MOST_SLA)
    (left,) = CpSatPlacer().place(problem).unplaced
    assert left.refusal.limit is Limit.NODE_FIT


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_run_time_that_is_not_finite_is_refused(value: float) -> None:
    task = make.task("a")
    profiles = {"a": make.profile(task, seconds=Quantiles.constant(value))}
    assert repr(value) in refused(make.problem(make.pipeline(task), FLEET, profiles), "S007")


def test_a_need_that_is_not_a_number_is_refused() -> None:
    task = make.task("a")
    profiles = {"a": make.profile(task, cores=(Quantiles.constant(math.nan),))}
    assert "cpu of 'p/a'" in refused(make.problem(make.pipeline(task), FLEET, profiles), "S007")


@pytest.mark.parametrize("values", [(2.0, 1.0, 1.0, 1.0, 1.0), (-1.0, 1.0, 1.0, 1.0, 1.0)])
def test_quantiles_that_cross_or_are_negative_cannot_be_made(values: tuple[float, ...]) -> None:
    names = ("p50", "p80", "p90", "p95", "p99")
    with pytest.raises(ValueError, match=r"cross|negative"):
        Quantiles(**dict(zip(names, values, strict=True)))


def test_a_million_tasks_are_refused_with_the_limit_before_memory_is_used() -> None:
    many = tuple(make.task(f"t{i}") for i in range(1_000))
    pipelines = tuple(make.pipeline(*many, name=f"p{i}") for i in range(1_000))
    problem = replace(
        make.problem(make.pipeline(), FLEET),
        request=replace(make.problem(make.pipeline(), FLEET).request, pipelines=pipelines),
    )
    tracemalloc.start()
    try:
        assert str(checks.TASK_LIMIT) in refused(problem, "S007")
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_costs_beyond_64_bits_are_refused() -> None:
    task = make.task("a")
    dear = make.fleet(make.cluster("c", make.pool(price=1e9)))
    profiles = {"a": make.profile(task, seconds=3.6e9)}
    assert "micro-dollars" in refused(make.problem(make.pipeline(task), dear, profiles), "S007")


def test_costs_of_lateness_moves_and_data_beyond_64_bits_are_refused() -> None:
    task = make.task("a", volume_gib=1e9)
    late = Sla(deadline=Deadline(within_seconds=60.0), late_micro_dollars_per_hour=2**60)
    afar = make.cluster("c", transfer_micro_dollars_per_gib={"us": MicroDollars(2**40)})
    for spec, clusters in (
        (replace(make.pipeline(task), sla=late), FLEET),
        (make.pipeline(task, move_micro_dollars=2**61), FLEET),
        (make.pipeline(task), make.fleet(afar)),
    ):
        assert "micro-dollars" in refused(make.problem(spec, clusters), "S007")


def test_times_beyond_64_bits_are_refused_where_nodes_cost_nothing() -> None:
    task = make.task("a")
    free = make.fleet(make.cluster("c", make.pool(price=0.0)))
    profiles = {"a": make.profile(task, seconds=1e17)}
    problem = make.problem(make.pipeline(task), free, profiles, mode=Mode.MOST_SLA)
    assert "hours one after another" in refused(problem, "S007")


def test_a_deadline_beyond_all_times_is_refused() -> None:
    problem = make.problem(make.pipeline(make.task("a"), deadline=1e20), FLEET)
    assert "hours one after another" in refused(problem, "S007")


@pytest.mark.parametrize("answer_ms", [math.nan, -100.0])
def test_an_answer_of_no_time_keeps_no_promise(answer_ms: float) -> None:
    task = make.serving("s", latency_ms_p99=50.0)
    profiles = {"s": make.profile(task, service_ms_p99=answer_ms)}
    assert "answer" in refused(make.problem(make.pipeline(task), FLEET, profiles), "S007")


def test_weights_beyond_64_bits_leave_a_plan() -> None:
    tasks = [make.task("a"), make.task("b")]
    specs = [make.pipeline(t, name=t.name, weight=1e12, deadline=3700.0) for t in tasks]
    profiles = {t.name: make.profile(t, cores=4.0) for t in tasks}
    problem = make.problem(specs, FLEET, profiles, mode=Mode.MOST_SLA, work_limit=0.5)
    assert len(CpSatPlacer().place(problem).assignments) == 1


def test_a_name_that_stands_twice_is_refused() -> None:
    task = make.task("a")
    assert "'a'" in refused(make.problem(make.pipeline(task, task), FLEET), "S008")
    twins = make.fleet(make.cluster("c"), make.cluster("c"))
    assert "'c'" in refused(make.problem(make.pipeline(task), twins), "S008")


def test_tasks_that_wait_for_one_another_are_refused_with_their_circle() -> None:
    tasks = (make.task("a", after=("b",)), make.task("b", after=("a",)))
    assert "'a' -> 'b'" in refused(make.problem(make.pipeline(*tasks), FLEET), "S011")


def test_a_task_that_waits_for_nobody_is_refused_with_who_is_alike() -> None:
    tasks = (make.task("clean"), make.task("train", after=("claen",)))
    assert "'claen'" in refused(make.problem(make.pipeline(*tasks), FLEET), "S010")
    assert "'zz'" in refused(
        make.problem(make.pipeline(make.task("a", after=("zz",))), FLEET), "S010"
    )


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (make.pipeline(make.task("a"), weight=math.nan), "sla.weight"),
        (make.pipeline(make.task("a"), deadline=math.nan), "sla.deadline"),
        (make.pipeline(make.task("a", wishes=Wishes(memory_gib=math.nan))), "tasks.a.memory_gib"),
        (make.pipeline(make.task("a", wishes=Wishes(cpu_cores=-5.0))), "tasks.a.cpu_cores"),
    ],
)
def test_wishes_that_nothing_can_be_counted_with_are_refused(spec: PipelineSpec, path: str) -> None:
    assert path in refused(make.problem(spec, FLEET), "S007")


def changed(**fields: object) -> PlacementProblem:
    problem = make.problem(make.pipeline(make.task("a")), FLEET)
    return replace(problem, request=replace(problem.request, **fields))


def fleet(**fields: object) -> PlacementProblem:
    return changed(fleet=make.fleet(make.cluster("c", **fields)))


def pool(**fields: object) -> PlacementProblem:
    return changed(fleet=make.fleet(make.cluster("c", replace(make.pool(), **fields))))


def reserved(**fields: object) -> PlacementProblem:
    values = {"held": Resources(), "from_seconds": make.AS_OF, **fields}
    return changed(reservations=(Reservation(cluster="c", pool="cpu", holder="x", **values),))


def asked(**fields: object) -> PlacementProblem:
    spec = make.pipeline(make.task("a"))
    return changed(pipelines=(replace(spec, sla=replace(spec.sla, **fields)),))


@pytest.mark.parametrize(
    ("problem", "path"),
    [
        (changed(as_of=math.nan), "as_of"),
        (pool(node_count=-1), "cpu.node_count"),
        (pool(price_micro_dollars_per_hour=MicroDollars(-5)), "cpu.price"),
        (pool(interruptions_per_hour=math.nan), "interruptions"),
        (pool(shape=replace(make.pool().shape, cpu_cores=math.inf)), "cpu.cpu"),
        (fleet(quota={"us": {Resource.CPU: math.nan}}), "quota.us.cpu"),
        (fleet(availability=math.nan), "availability"),
        (fleet(transfer_micro_dollars_per_gib={"us": MicroDollars(-5)}), "transfer to us"),
        (reserved(held=Resources(memory_gib=math.nan)), "memory of 'x'"),
        (reserved(to_seconds=math.inf), "to_seconds of 'x'"),
        (asked(keep=1.5), "sla.keep of 'p' is 1.5"),
        (asked(keep=math.nan), "sla.keep of 'p' is nan"),
        (asked(late_micro_dollars_per_hour=MicroDollars(-5)), "late_micro_dollars"),
        (changed(pipelines=(make.pipeline(make.task("a", volume_gib=-1.0)),)), "volume_gib"),
    ],
)
def test_numbers_that_nothing_can_be_counted_with_are_refused(
    problem: PlacementProblem, path: str
) -> None:
    assert path in refused(problem, "S007")


@pytest.mark.parametrize("deadline", [Deadline(daily_at="25:99"), Deadline(zone="No/Where")])
def test_a_time_that_is_none_is_refused(deadline: Deadline) -> None:
    assert "sla.deadline of 'p' is no time" in refused(asked(deadline=deadline), "S006")


def test_a_pipeline_without_tasks_is_refused() -> None:
    assert "has no tasks" in refused(make.problem(make.pipeline(), FLEET), "S003")


def test_a_task_without_a_profile_is_refused() -> None:
    problem = make.problem(make.pipeline(make.task("a")), FLEET)
    assert "p/a" in refused(replace(problem, profiles={}), "S003")


def crowded() -> PlacementProblem:
    tasks = [make.task(f"t{i}") for i in range(3)]
    specs = [make.pipeline(t, name=t.name, deadline=7400.0) for t in tasks]
    profiles = {t.name: make.profile(t, cores=4.0) for t in tasks}
    both = make.fleet(make.cluster("c"), make.cluster("d", make.pool(price=2.0)))
    return make.problem(specs, both, profiles, mode=Mode.MOST_SLA, work_limit=0.5)


def test_without_a_solver_the_greedy_plan_comes_back_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(solver, "MODEL", "placement.search.nothing_of_this_name")
    placement = CpSatPlacer().place(crowded())
    assert len(placement.assignments) == 3
    assert "ModuleNotFoundError" in placement.notes[0]


class Overflowing(model._Model):
    """A model with one sum beyond 64 bits."""

    def __init__(self, instance: Instance, scope: Scope, *, all_placed: bool) -> None:
        super().__init__(instance, scope, all_placed=all_placed)
        self.cp.add(sum(self.cp.new_int_var(0, 2**62, "") for _ in range(4)) <= 2**62)


def test_a_solver_that_refuses_the_model_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "_Model", Overflowing)
    placement = CpSatPlacer().place(crowded())
    assert len(placement.assignments) == 3
    assert "refuses the model" in placement.notes[0]


@pytest.mark.parametrize("failure", [MemoryError("no memory"), RuntimeError("it died")])
def test_a_solver_that_dies_leaves_a_plan_and_says_so(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def dies(*_: object) -> Outcome:
        raise failure

    monkeypatch.setattr(model, "solve", dies)
    placement = CpSatPlacer().place(crowded())
    assert len(placement.assignments) == 3
    assert str(failure) in placement.notes[0]


def test_without_a_solver_least_cost_still_plans_or_says_that_it_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(solver, "MODEL", "placement.search.nothing_of_this_name")
    problem = crowded()
    cheap = replace(problem, request=replace(problem.request, mode=Mode.LEAST_COST))
    assert len(CpSatPlacer().place(cheap).assignments) == 3
    nowhere = replace(cheap, request=replace(cheap.request, fleet=make.fleet()))
    with pytest.raises(InfeasibleError):
        CpSatPlacer().place(nowhere)


class Impatient:
    """Wants the search to end at once."""

    def found(self, incumbent: Incumbent) -> None:
        """Look away."""

    def wants_end(self) -> bool:
        return True


def test_a_search_that_is_stopped_at_once_returns_a_plan_with_its_bound() -> None:
    problem = make.random_problem(1, tasks=30, clusters=4, tight=0.4)
    placement = CpSatPlacer(watch=Impatient()).place(problem)
    assert placement.assignments
    assert 0 <= placement.bound_micro_dollars <= placement.objective_micro_dollars
