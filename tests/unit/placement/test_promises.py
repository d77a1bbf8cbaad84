"""Deadlines, probabilities, costs, sharing, and chance that tasks share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from engine.model.errors import InfeasibleError
from engine.model.fleet import Fleet
from engine.model.identifiers import MicroDollars
from engine.model.plans import Limit, Mode, Placement, PlacementProblem
from engine.model.profiles import Quantiles
from engine.model.specs import Deadline, PipelineSpec
from placement import CpSatPlacer, settling
from placement.problem.building import Terms, build
from placement.problem.deadlines import instant_of
from placement.problem.instance import Instance
from placement.problem.needs import OVERFLOW
from placement.search import multiplexing
from placement.search.solving import Effort, Found, search
from placement.settling import settled
from tests.support import placement_problems as make

SPREAD = Quantiles(p50=1000.0, p80=1500.0, p90=2000.0, p95=3000.0, p99=6000.0)
EVEN = Quantiles(p50=1000.0, p80=1400.0, p90=1600.0, p95=1800.0, p99=2000.0)
PEAKY = Quantiles(p50=0.5, p80=0.6, p90=0.8, p95=1.0, p99=4.0)
TASK = make.task("t")


def placed(
    spec: PipelineSpec | list[PipelineSpec],
    fleet: Fleet,
    profiles: dict[str, object] | None = None,
    mode: Mode = Mode.MOST_SLA,
) -> Placement:
    return CpSatPlacer().place(make.problem(spec, fleet, profiles, mode=mode))


def one(**pool: object) -> Fleet:
    return make.fleet(make.cluster("c", make.pool(**pool)))


def test_a_daily_deadline_is_the_next_one_in_its_zone() -> None:
    as_of = datetime(2026, 3, 28, 23, 0, tzinfo=UTC).timestamp()
    at = instant_of(Deadline(daily_at="06:00", zone="Europe/Paris"), as_of)
    # The clocks go forward that night: six in the morning is four o'clock UTC, not five.
    assert datetime.fromtimestamp(at, UTC) == datetime(2026, 3, 29, 4, 0, tzinfo=UTC)


def test_a_daily_deadline_later_today_is_today() -> None:
    as_of = datetime(2026, 6, 1, 3, 0, tzinfo=UTC).timestamp()
    at = instant_of(Deadline(daily_at="06:00"), as_of)
    assert at == as_of + 3 * 3600


@pytest.mark.parametrize("deadline", [Deadline(at_seconds=1500.0), Deadline(within_seconds=500.0)])
def test_other_deadlines_are_instants(deadline: Deadline) -> None:
    assert instant_of(deadline, 1000.0) == 1500.0


def test_keep_is_the_share_of_runs_that_end_in_time() -> None:
    fleet, profiles = one(), {"t": make.profile(TASK, seconds=SPREAD)}
    promise = placed(make.pipeline(TASK, deadline=3000.0), fleet, profiles).promises[0]
    assert promise.keep_forecast == pytest.approx(0.95, abs=0.01)
    assert promise.deadline_seconds == make.AS_OF + 3000


def test_a_run_that_needs_a_task_without_a_place_is_never_in_time() -> None:
    tasks = (TASK, make.task("huge"))
    profiles = {
        "t": make.profile(TASK, seconds=SPREAD),
        "huge": make.profile(tasks[1], cores=1_000.0),
    }
    placement = placed(make.pipeline(*tasks, deadline=1e6), one(), profiles)
    assert [task.task for task in placement.unplaced] == ["huge"]
    assert placement.promises[0].keep_forecast == 0.0


def test_keep_of_parallel_tasks_is_less_than_that_of_one() -> None:
    tasks = [make.task(f"t{i}") for i in range(4)]
    profiles = {t.name: make.profile(t, seconds=SPREAD) for t in tasks}
    promise = placed(
        make.pipeline(*tasks, deadline=3000.0, keep=0.8), one(nodes=4), profiles
    ).promises[0]
    assert promise.keep_forecast is not None
    assert 0.8 < promise.keep_forecast < 0.93


def test_a_run_that_keeps_too_seldom_is_planned_at_a_higher_level() -> None:
    tasks = [make.task(f"t{i}") for i in range(4)]
    profiles = {t.name: make.profile(t, seconds=SPREAD) for t in tasks}
    spec = make.pipeline(*tasks, deadline=3000.0, keep=0.95)
    slow, fast = make.pool("slow", nodes=4), make.pool("fast", nodes=4, price=8.0, speed=4.0)
    placement = placed(spec, make.fleet(make.cluster("c", slow, fast)), profiles)
    keep = placement.promises[0].keep_forecast
    assert keep is not None
    assert keep >= 0.95


def test_least_cost_refuses_a_keep_that_sampling_does_not_find() -> None:
    tasks = [make.task(f"t{i}") for i in range(4)]
    profiles = {t.name: make.profile(t, seconds=SPREAD) for t in tasks}
    spec = make.pipeline(*tasks, deadline=3000.0, keep=0.95)
    with pytest.raises(InfeasibleError) as caught:
        placed(spec, one(nodes=4), profiles, Mode.LEAST_COST)
    found = {clash.wish: clash.relaxation for clash in caught.value.clashes}
    assert found.keys() == {"keep 0.95 of p", "the deadline of p"}
    assert found["keep 0.95 of p"].startswith("keep 0.8")


def test_without_a_deadline_there_is_nothing_to_keep() -> None:
    promise = placed(make.pipeline(TASK), one()).promises[0]
    assert (promise.deadline_seconds, promise.keep_forecast) == (None, None)


def test_ends_are_those_of_the_runs_quantiles() -> None:
    made = placed(make.pipeline(TASK), one(), {"t": make.profile(TASK, seconds=SPREAD)})
    found = made.assignments[0]
    assert found.end_seconds_p50 == pytest.approx(make.AS_OF + 1000, abs=20)
    assert found.end_seconds_p95 == pytest.approx(make.AS_OF + 3000, abs=150)


def test_slack_is_what_is_left_to_the_deadline() -> None:
    found = placed(make.pipeline(TASK, deadline=5000.0), one()).assignments[0]
    assert found.slack_seconds == 1400.0


def test_serving_has_its_latency_and_availability() -> None:
    spec = make.pipeline(make.serving(latency_ms_p99=50.0, availability=0.99))
    profiles = {"serve": make.profile(spec.tasks[0], service_ms_p99=4.0)}
    promise = placed(spec, one(), profiles).promises[0]
    assert promise.latency_ms_p99 == 14.0
    assert promise.availability == pytest.approx(0.999 * 0.999)
    assert promise.serving_micro_dollars_per_hour == 250_000


def test_a_service_starts_once_there_is_room_for_it() -> None:
    busy = make.pipeline(TASK, name="busy", weight=9.0, deadline=3600.0)
    spec = make.pipeline(make.serving(), name="late")
    profiles = {t.name: make.profile(t, cores=3.0) for t in (TASK, spec.tasks[0])}
    made = placed([busy, spec], one(cores=4.0), profiles)
    starts = {a.task: a.start_seconds - make.AS_OF for a in made.assignments}
    assert starts == {"t": 0.0, "serve": 3600.0}


def test_a_service_starts_no_earlier_than_its_pipeline_may() -> None:
    spec = make.pipeline(make.serving())
    sla = replace(spec.sla, earliest_start=Deadline(within_seconds=600.0))
    (made,) = placed(replace(spec, sla=sla), one()).assignments
    assert made.start_seconds == make.AS_OF + 600.0


def chain(deadline: float, mode: Mode) -> Placement:
    """Three tasks, one after the other: their P95 add up to 5,400 s, and to twice that elsewhere.

    In 95 of 100 runs they end within 4,687 s, by two million runs sampled for this test.
    """
    tasks = [make.task("a"), make.task("b", after=("a",)), make.task("c", after=("b",))]
    profiles = {t.name: make.profile(t, seconds=EVEN) for t in tasks}
    spec = make.pipeline(*tasks, deadline=deadline)
    slow = make.cluster("slow", make.pool(speed=0.5, price=0.01))
    return placed(spec, make.fleet(make.cluster("fast"), slow), profiles, mode)


@pytest.mark.parametrize("mode", list(Mode))
def test_tasks_that_seldom_all_take_long_may_end_later_than_their_quantiles_add_up_to(
    mode: Mode,
) -> None:
    made = chain(5_000.0, mode)
    assert [a.cluster for a in made.assignments] == ["fast"] * 3
    keep = made.promises[0].keep_forecast
    assert keep is not None
    assert keep >= 0.95


def test_what_is_too_slow_is_so_by_the_end_that_is_kept() -> None:
    made = chain(5_000.0, Mode.MOST_SLA)
    found = [v.binding for e in made.explanations for v in e.verdicts if v.cluster == "slow"]
    assert found
    for refusal in found:
        assert refusal is not None
        assert (refusal.limit, refusal.has) == (Limit.DEADLINE, 5_000.0)
        assert isinstance(refusal.needs, float)
        assert refusal.needs > 5_000.0
    turning = [b.value for e in made.explanations for b in e.break_evens]
    assert all(value <= make.AS_OF + 5_000.0 for value in turning)


def test_higher_levels_and_later_ends_share_the_work_that_is_kept_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[float] = []

    def counted(instance: Instance, effort: Effort) -> Found:
        limits.append(effort.work_limit)
        return search(instance, effort)

    monkeypatch.setattr(settling, "search", counted)
    # Side by side all of six end in time less often than one does: higher levels are tried.
    wide = [make.task(f"w{number}") for number in range(6)]
    long = [make.task("a"), make.task("b", after=("a",)), make.task("c", after=("b",))]
    profiles = {t.name: make.profile(t, seconds=EVEN) for t in (*wide, *long)}
    specs = [
        make.pipeline(*wide, name="wide", deadline=1_990.0),
        make.pipeline(*long, name="long", deadline=4_800.0),
    ]
    problem = make.problem(specs, one(cores=16.0, memory=64.0), profiles, mode=Mode.MOST_SLA)
    found = settled(problem)
    assert (set(found.terms.levels), set(found.terms.slacks_ms)) == ({"wide"}, {"long"})
    assert sum(limits) <= problem.request.work_limit + 1e-9


@pytest.mark.parametrize("deadline", [4_500.0, 4_600.0, 4_800.0, 5_200.0, 5_800.0])
def test_a_plan_that_is_shown_keeps_its_deadline_as_often_as_asked(deadline: float) -> None:
    try:
        made = chain(deadline, Mode.LEAST_COST)
    except InfeasibleError:
        assert deadline < 4_687.0
        return
    keep = made.promises[0].keep_forecast
    assert keep is not None
    assert keep >= 0.95


def test_money_that_no_end_is_late_enough_for_is_told_as_proven() -> None:
    tasks = [make.task("a"), make.task("b", after=("a",))]
    profiles = {t.name: make.profile(t, seconds=EVEN) for t in tasks}
    spec = make.pipeline(*tasks, deadline=7_000.0, budget_micro_dollars=MicroDollars(1))
    with pytest.raises(InfeasibleError, match="this wish cannot be kept: budget"):
        placed(spec, one(), profiles, Mode.LEAST_COST)


def by_hour(busy: range) -> tuple[Quantiles, ...]:
    return tuple(Quantiles.constant(4.0 if hour in busy else 0.5) for hour in range(24))


def test_services_with_peaks_at_different_hours_share_nodes() -> None:
    specs = [make.pipeline(make.serving(), name=name) for name in ("day", "night")]
    serve = specs[0].tasks[0]
    profiles = {
        "day/serve": make.profile(serve, cores=by_hour(range(8, 20))),
        "night/serve": make.profile(serve, cores=by_hour(range(20, 24))),
    }
    placement = placed(specs, one(cores=4.5), profiles)
    assert not placement.unplaced
    (shared,) = placement.sharing
    assert shared.tasks == ("day/serve", "night/serve")
    assert (shared.nodes_alone, shared.nodes_shared) == (2, 1)


def test_services_with_the_same_peak_do_not_fit() -> None:
    specs = [make.pipeline(make.serving(), name=name) for name in ("a", "b")]
    profile = make.profile(specs[0].tasks[0], cores=by_hour(range(8, 20)))
    placement = placed(specs, one(cores=4.5), {"a/serve": profile, "b/serve": profile})
    assert len(placement.unplaced) == 1


def peaky(count: int, *, deadline: float = 4000.0) -> tuple[PipelineSpec, dict[str, object]]:
    tasks = [make.task(f"t{i}") for i in range(count)]
    spec = make.pipeline(*tasks, deadline=deadline)
    return spec, {task.name: make.profile(task, cores=[PEAKY]) for task in tasks}


def chance_problem() -> PlacementProblem:
    spec, profiles = peaky(8)
    pool = make.pool(cores=4.0, nodes=4)
    return make.problem(
        spec,
        make.fleet(make.cluster("c", pool)),
        profiles,
        mode=Mode.MOST_SLA,
    )


def test_tasks_that_rarely_peak_together_share_what_is_left_to_chance() -> None:
    assert not CpSatPlacer().place(chance_problem()).unplaced


def test_a_shared_plan_overflows_no_more_than_is_allowed() -> None:
    found = settled(chance_problem())
    assert found.plan is not None
    assert 0.0 < found.terms.shares[0][0] < 1.0
    risks = multiplexing.overflow(found.instance, found.plan, seed=99)
    assert max(risks.values()) <= OVERFLOW * 1.5


def test_a_pool_too_small_to_share_leaves_tasks_out() -> None:
    spec, profiles = peaky(8)
    placement = placed(spec, one(cores=4.0, nodes=2), profiles)
    assert placement.unplaced


def test_levels_of_one_kind_go_together() -> None:
    problem = chance_problem()
    instance = build(problem, Terms())
    assert len(instance.jobs) == 8
    shares = multiplexing.shares(instance, settled(problem).plan, seed=1)
    assert all(0.0 < share <= 1.0 for share in shares[0])


def test_the_first_slots_of_a_run_count_from_its_start() -> None:
    early = tuple(Quantiles.constant(value) for value in (4.0, 1.0))
    tasks = [make.task("a"), make.task("b")]
    profiles = {t.name: make.profile(t, cores=early, slot_seconds=900.0) for t in tasks}
    made = placed(make.pipeline(*tasks), one(cores=5.0), profiles)
    assert sorted(a.start_seconds - make.AS_OF for a in made.assignments) == [0.0, 900.0]


def test_a_faster_pool_passes_through_slots_faster() -> None:
    early = tuple(Quantiles.constant(value) for value in (4.0, 1.0))
    tasks = [make.task("a"), make.task("b")]
    profiles = {t.name: make.profile(t, cores=early, slot_seconds=900.0) for t in tasks}
    made = placed(make.pipeline(*tasks), one(cores=5.0, speed=2.0), profiles)
    assert sorted(a.start_seconds - make.AS_OF for a in made.assignments) == [0.0, 450.0]


def test_p95_of_a_run_is_more_than_what_is_expected() -> None:
    made = placed(make.pipeline(TASK), one(), {"t": make.profile(TASK, seconds=SPREAD)})
    promise = made.promises[0]
    assert promise.run_cost_micro_dollars_p95 > 1.5 * promise.run_cost_micro_dollars


def test_the_same_seed_gives_the_same_promise_and_another_seed_almost() -> None:
    profiles = {"t": make.profile(TASK, seconds=SPREAD)}
    problem = make.problem(make.pipeline(TASK, deadline=2500.0, keep=0.9), one(), profiles)
    other = replace(problem, request=replace(problem.request, seed=1))
    keeps = [CpSatPlacer().place(p).promises[0].keep_forecast for p in (problem, problem, other)]
    assert keeps[0] == keeps[1]
    assert keeps[0] == pytest.approx(keeps[2], abs=0.02)
