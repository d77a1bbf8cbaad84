"""Tasks alike are looked at once: what they still differ by, so that none takes what is not its."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.model.fleet import Pool
from engine.model.identifiers import TaskName, dollars
from engine.model.plans import Assignment, Limit, Mode, PlacementProblem
from engine.model.profiles import Quantiles
from engine.model.resources import Resources
from engine.model.specs import Affinity, PipelineSpec, TaskSpec, Within
from placement import CpSatPlacer
from placement.problem.building import Terms, build
from placement.problem.candidates import Asked, options_of
from placement.problem.instance import Instance, Job, Option
from placement.search import classing, solving
from placement.search import draft as drafts
from placement.search.board import Board
from placement.search.chains import Chains
from placement.search.greedy import value
from placement.search.recreate import Workplace
from placement.settling import settled
from tests.support import affinity_definition
from tests.support import placement_problems as make

HOUR = 3600.0


def taken_away(often: float, name: str = "spot", **fields: object) -> Pool:
    return replace(make.pool(name, **fields), interruptions_per_hour=often)


def built(
    tasks: Sequence[TaskSpec], *pools: Pool, seconds: Sequence[float] = (), **fields: object
) -> Instance:
    """One pipeline of tasks on one cluster for each pool, all alike but for what is said."""
    clusters = [make.cluster(f"c{number}", pool) for number, pool in enumerate(pools)]
    lengths = {
        task.name: make.profile(task, seconds=length)
        for task, length in zip(tasks, seconds or [HOUR] * len(tasks), strict=True)
    }
    problem = make.problem(make.pipeline(*tasks), make.fleet(*clusters), lengths, **fields)
    return build(problem, Terms())


def there(job: Job, pool: int) -> Option:
    option = job.option(pool)
    assert option is not None
    return option


def limits(job: Job, pool: int) -> list[Limit]:
    return [refusal.limit for refusal in job.refusals.get(pool, ())]


def test_a_run_too_long_to_end_is_kept_off_and_one_alike_but_short_is_not() -> None:
    tasks = (make.task("short"), make.task("long"), make.task("brief"))
    lengths = (HOUR, 4 * HOUR, HOUR / 2)
    short, long, brief = built(tasks, taken_away(1.0), make.pool(), seconds=lengths).jobs
    assert limits(long, 0) == [Limit.TAINT]
    assert long.refusals[0][0].unit == "tries before it ends"
    assert [o.pool_index for o in long.options] == [1]
    for job in (short, brief):
        assert (limits(job, 0), len(job.options)) == ([], 2)


def test_a_task_that_must_not_be_interrupted_is_told_from_one_alike() -> None:
    tasks = (make.task("a"), make.task("b", interruptible=False))
    may, may_not = built(tasks, taken_away(0.1)).jobs
    assert (limits(may, 0), limits(may_not, 0)) == ([], [Limit.TAINT])


def test_pools_alike_but_for_interruptions_are_not_taken_for_each_other() -> None:
    pools = (make.pool(), taken_away(0.1), taken_away(0.8))
    (job,) = built([make.task("t")], *pools).jobs
    lengths = [there(job, index).duration_ms for index in range(3)]
    assert lengths == sorted(set(lengths))
    prices = [there(job, index).cost for index in range(3)]
    assert prices == sorted(set(prices))


def test_a_run_that_may_begin_again_holds_its_most_all_of_the_time() -> None:
    task = make.task("t")
    needs = [Quantiles.constant(cores) for cores in (1.0, 3.0)]
    profile = make.profile(task, cores=needs, slot_seconds=HOUR / 2)
    # Rare enough for the run to be planned as long as where nothing is taken away.
    fleet = make.fleet(make.cluster("c", make.pool(), taken_away(1e-6)))
    (job,) = build(make.problem(make.pipeline(task), fleet, {"t": profile}), Terms()).jobs
    steady, fleeting = there(job, 0), there(job, 1)
    assert steady.duration_ms == fleeting.duration_ms
    assert [span.amounts[0] for span in steady.spans] == [1_000, 3_000]
    assert [span.amounts[0] for span in fleeting.spans] == [3_000]
    assert fleeting.peak == steady.peak


def test_a_move_costs_only_who_stood_elsewhere() -> None:
    tasks = tuple(make.task(name) for name in ("new", "here", "gone"))
    spec = make.pipeline(*tasks, move_micro_dollars=dollars(1))
    fleet = make.fleet(make.cluster("c0"), make.cluster("c1"))
    stood = {"p/here": "c0/cpu", "p/gone": "c1/cpu"}
    jobs = build(make.problem(spec, fleet, moved_from=stood), Terms()).jobs
    base = there(jobs[0], 0).objective
    more = [[there(job, pool).objective - base for pool in (0, 1)] for job in jobs]
    assert more == [[0, 0], [0, dollars(1)], [dollars(1), 0]]
    assert len({there(job, pool).cost for job in jobs for pool in (0, 1)}) == 1


def test_pipelines_alike_but_for_the_price_of_a_move_pay_their_own() -> None:
    specs = [
        make.pipeline(make.task("t"), name=name, move_micro_dollars=dollars(price))
        for name, price in (("p", 1), ("q", 2))
    ]
    stood = {"p/t": "c1/cpu", "q/t": "c1/cpu"}
    fleet = make.fleet(make.cluster("c0"), make.cluster("c1"))
    first, second = build(make.problem(specs, fleet, moved_from=stood), Terms()).jobs
    assert there(second, 0).objective - there(first, 0).objective == dollars(1)
    assert there(second, 1).objective == there(first, 1).objective


def test_only_who_is_bound_is_kept_from_the_pool_of_what_runs() -> None:
    runs = Assignment(
        pipeline="p",
        task="runs",
        cluster="c0",
        pool="cpu",
        machine="cpu-machine",
        node_count=1,
        held=Resources(cpu_cores=1.0),
        start_seconds=make.AS_OF,
        end_seconds_p50=make.AS_OF + HOUR,
        end_seconds_p95=make.AS_OF + HOUR,
        slack_seconds=None,
        cost_micro_dollars=0,
        cost_micro_dollars_p95=0,
    )
    apart = (Affinity(tasks=(TaskName("runs"),)),)
    tasks = (make.task("runs"), make.task("free"), make.task("bound", apart_from=apart))
    free, bound = built(tasks, make.pool(), make.pool(), fixed=(runs,)).jobs
    assert (limits(free, 0), limits(bound, 0)) == ([], [Limit.AFFINITY])
    assert ([o.pool_index for o in free.options], len(bound.options)) == ([0, 1], 1)


def mixed(seed: int, **fields: object) -> PlacementProblem:
    """A random problem with machines that may go, late prices, moves that cost, and bonds."""
    problem = make.random_problem(seed, tasks=24, clusters=4, mode=Mode.MOST_SLA, tight=0.15)
    request = problem.request
    clusters = tuple(
        replace(
            cluster,
            pools=tuple(replace(p, interruptions_per_hour=often) for p in cluster.pools),
        )
        for often, cluster in zip((0.0, 0.2, 4.0, 0.0), request.fleet.clusters, strict=True)
    )
    pools = [f"{c.name}/{p.name}" for c in clusters for p in c.pools]
    stood = {key: pools[n % len(pools)] for n, key in enumerate(problem.profiles)}

    def wishing(number: int, spec: PipelineSpec) -> PipelineSpec:
        late = None if spec.sla.deadline is None or number % 3 == 2 else dollars(0.5)
        tasks = tuple(
            replace(
                task,
                labels={"team": "red"} if (number + n) % 4 == 0 else {},
                apart_from=(Affinity(labels={"team": "red"}),) if (number + n) % 8 == 0 else (),
            )
            for n, task in enumerate(spec.tasks)
        )
        return replace(
            spec,
            tasks=tasks,
            sla=replace(spec.sla, late_micro_dollars_per_hour=late),
            limits=replace(spec.limits, move_micro_dollars=dollars(0.01 * (number % 2 + 1))),
        )

    request = replace(
        request,
        pipelines=tuple(wishing(n, spec) for n, spec in enumerate(request.pipelines)),
        fleet=replace(request.fleet, clusters=clusters),
        moved_from=stood,
        work_limit=0.5,
        **fields,
    )
    return replace(problem, request=request)


@pytest.mark.parametrize("seed", range(4))
def test_tasks_looked_at_together_have_the_options_they_have_alone(seed: int) -> None:
    problem = mixed(seed)
    instance = build(problem, Terms())
    assert any(job.bonds for job in instance.jobs)
    for job in instance.jobs:
        line = instance.lines[job.line]
        asked = Asked(
            pipeline=line.spec,
            task=job.spec,
            profile=job.profile,
            level=line.level,
            probability=job.probability,
            moved_from=job.moved_from,
        )
        quotas = instance.quotas.get(line.spec.owner, {})
        assert options_of(asked, instance.frame, instance.pools, quotas) == (
            job.options,
            job.refusals,
        )


@pytest.mark.parametrize("seed", [3, 5, 6])
def test_running_sums_are_those_of_the_plan_lateness_and_budget_apart(seed: int) -> None:
    instance = build(mixed(seed), Terms())
    place = Workplace(instance, drafts.EMPTY, Chains(instance))
    for number in range(len(instance.lines)):
        place.insert(number)
    assert sum(place.late) > 0
    for lines in ((0, 2), (1,), (3, 0)):
        held = place.part(lines)
        place.take_out(lines)
        place.put_back(lines, held)
        place.take_out(lines[:1])
        assert place.value == value(instance, place.plan)
        assert place.paid == drafts.objective(instance, place.options)
        place.insert(lines[0])
    assert place.value == value(instance, place.plan)
    assert place.paid == drafts.objective(instance, place.options)


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_large_plan_keeps_what_its_tasks_wish_and_its_bound(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classing, "LEAST_JOBS", 0)
    monkeypatch.setattr(solving, "WHOLE_OPTIONS", 0)
    found = settled(mixed(seed))
    assert found.plan is not None
    assert affinity_definition.broken(found.instance, found.plan) == []
    assert found.bound <= value(found.instance, found.plan)[1]


def test_services_apart_are_told_of_together_as_they_are_placed() -> None:
    apart = (Affinity(labels={"app": "x"}),)
    tasks = [
        replace(make.serving(name), labels={"app": "x"}, apart_from=apart) for name in ("a", "b")
    ]
    fleet = make.fleet(make.cluster("c0", make.pool(nodes=2)), make.cluster("c1"))
    placement = CpSatPlacer().place(make.problem(make.pipeline(*tasks), fleet))
    assert {a.cluster for a in placement.assignments} == {"c0", "c1"}
    verdicts = placement.explanations[0].verdicts
    other = next(v for v in verdicts if v.cluster == placement.assignments[1].cluster)
    assert other.binding is not None
    assert other.binding.limit is Limit.AFFINITY


@pytest.mark.parametrize("serves", [False, True])
def test_nodes_that_others_hold_are_not_taken_by_the_quick_ways(serves: bool) -> None:
    apart = (Affinity(labels={"app": "x"}, within=Within.NODE),)
    make_one = make.serving if serves else make.task
    tasks = [
        replace(make_one(name), labels={"app": "x"}, apart_from=apart) for name in ("a", "b", "c")
    ]
    instance = build(
        make.problem(make.pipeline(*tasks), make.fleet(make.cluster("c", make.pool(nodes=2)))),
        Terms(),
    )
    board = Board(instance)
    for job in instance.jobs[:2]:
        assert board.earliest(job, job.options[0], 0, job.latest_ms) == 0
        assert board.put(job, job.options[0], 0) == {job.index: (job.index,)}
    third = instance.jobs[2]
    # Both nodes have room, and each is kept for itself, whatever the hour.
    assert board.earliest(third, third.options[0], 0, third.latest_ms) is None
    board.remove(instance.jobs[0], instance.jobs[0].options[0], 0)
    assert board.earliest(third, third.options[0], 0, third.latest_ms) == 0
    assert board.put(third, third.options[0], 0) == {third.index: (0,)}
