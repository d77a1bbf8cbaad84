"""Tasks beside each other and apart: where they go, and why a pool is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.errors import Clash, InfeasibleError, InvalidInputError
from engine.model.identifiers import TaskName
from engine.model.plans import (
    Assignment,
    Limit,
    Mode,
    Placement,
    PlacementProblem,
    Refusal,
    Reservation,
)
from engine.model.resources import Resources
from engine.model.specs import Affinity, TaskSpec, Within
from placement import CpSatPlacer
from placement.settling import settled
from tests.support import affinity_definition
from tests.support import placement_problems as make

CHEAP = make.cluster("cheap", make.pool(price=1.0, nodes=3))
DEAR = make.cluster("dear", make.pool(price=2.0, nodes=3), region="us-1")
NEAR = make.cluster("near", make.pool(price=3.0, nodes=3))


def names(*tasks: str, within: Within = Within.CLUSTER) -> tuple[Affinity, ...]:
    return (Affinity(tasks=tuple(map(TaskName, tasks)), within=within),)


def labelled(within: Within = Within.CLUSTER, **labels: str) -> tuple[Affinity, ...]:
    return (Affinity(labels=labels, within=within),)


def asked(*tasks: TaskSpec, mode: Mode = Mode.LEAST_COST, **fields: object) -> PlacementProblem:
    return make.problem(make.pipeline(*tasks), make.fleet(CHEAP, DEAR, NEAR), mode=mode, **fields)


def places(problem: PlacementProblem) -> dict[str, str]:
    return {a.task: a.cluster for a in CpSatPlacer().place(problem).assignments}


def why(placement: Placement, task: str, cluster: str) -> Refusal | None:
    explanation = next(e for e in placement.explanations if e.task == task)
    return next(v.binding for v in explanation.verdicts if v.cluster == cluster)


def test_tasks_apart_take_clusters_of_their_own() -> None:
    found = places(asked(make.task("a"), make.task("b", apart_from=names("a"))))
    assert sorted(found.values()) == ["cheap", "dear"]


def test_tasks_apart_by_region_leave_the_region() -> None:
    apart = names("a", within=Within.REGION)
    found = places(asked(make.task("a"), make.task("b"), make.task("c", apart_from=apart)))
    assert {found["a"], found["c"]} == {"cheap", "dear"}


def test_a_task_follows_the_one_it_must_stand_beside() -> None:
    heavy = make.profile(make.task("b"), memory=100.0)
    large = make.cluster("large", make.pool(memory=128.0, price=9.0), region="us-1")
    problem = make.problem(
        make.pipeline(make.task("a", beside=names("b")), make.task("b")),
        make.fleet(CHEAP, large),
        {"b": heavy},
    )
    assert places(problem) == {"a": "large", "b": "large"}


def test_labels_reach_across_pipelines_and_tell_like_from_like() -> None:
    task = make.task("a", labels={"app": "x"}, apart_from=labelled(app="x"))
    specs = [make.pipeline(task, name=name) for name in ("p", "q", "r")]
    problem = make.problem(specs, make.fleet(CHEAP, DEAR, NEAR))
    placement = CpSatPlacer().place(problem)
    assert {a.cluster for a in placement.assignments} == {"cheap", "dear", "near"}


def test_tasks_on_machines_of_their_own_share_none() -> None:
    apart = labelled(Within.NODE, app="x")
    tasks = [make.task(f"t{n}", labels={"app": "x"}, apart_from=apart) for n in range(4)]
    found = settled(asked(*tasks))
    assert found.plan is not None
    assert affinity_definition.broken(found.instance, found.plan) == []
    pools = [option.pool_index for option in found.plan.options.values()]
    assert (pools.count(0), len(pools)) == (3, 4)


def test_the_checker_sees_tasks_that_share_a_machine() -> None:
    apart = names("a", within=Within.NODE)
    found = settled(asked(make.task("a"), make.task("b", apart_from=apart)))
    assert found.plan is not None
    together = replace(found.plan, nodes=dict.fromkeys(found.plan.nodes, (0,)))
    assert len(affinity_definition.broken(found.instance, together)) == 1


def test_tasks_on_one_machine_run_one_after_the_other_where_it_is_full() -> None:
    beside = names("a", within=Within.NODE)
    tasks = (make.task("a"), make.task("b", beside=beside))
    needs = {task.name: make.profile(task, cores=3.0) for task in tasks}
    found = settled(asked(*tasks, profiles=needs))
    assert found.plan is not None
    assert found.plan.nodes[0] == found.plan.nodes[1]
    assert sorted(found.plan.starts.values()) == [0, 3_600_000]


def test_a_refusal_names_the_task_in_the_way() -> None:
    placement = CpSatPlacer().place(asked(make.task("a"), make.task("b", apart_from=names("a"))))
    stands = {str(a.task): str(a.cluster) for a in placement.assignments}
    binding = why(placement, "b", stands["a"])
    assert binding == Refusal(
        limit=Limit.AFFINITY, needs="another cluster than p/a", has=stands["a"]
    )
    near = CpSatPlacer().place(asked(make.task("a"), make.task("b", beside=names("a"))))
    assert why(near, "a", "dear") == Refusal(
        limit=Limit.AFFINITY, needs="the cluster of p/b, cheap", has="dear"
    )


def test_too_few_machines_for_tasks_apart_are_counted() -> None:
    apart = names("a", within=Within.NODE)
    small = make.cluster("small", make.pool(price=0.5, nodes=1))
    spec = make.pipeline(make.task("a"), make.task("b", apart_from=apart))
    placement = CpSatPlacer().place(make.problem(spec, make.fleet(small, CHEAP)))
    stands = {a.task: a.cluster for a in placement.assignments}
    assert sorted(stands.values()) == ["cheap", "small"]
    dearer = next(task for task, cluster in stands.items() if cluster == "cheap")
    other = "a" if dearer == "b" else "b"
    assert why(placement, dearer, "small") == Refusal(
        limit=Limit.AFFINITY, needs=1.0, has=0.0, unit=f"nodes for the sake of p/{other}"
    )


def test_what_runs_already_keeps_others_away() -> None:
    held = Reservation(
        cluster=CHEAP.name,
        pool=CHEAP.pools[0].name,
        holder="other/serve",
        held=Resources(cpu_cores=1.0),
        from_seconds=make.AS_OF,
        labels={"app": "x"},
    )
    problem = asked(make.task("a", apart_from=labelled(app="x")), reservations=(held,))
    placement = CpSatPlacer().place(problem)
    assert [a.cluster for a in placement.assignments] == ["dear"]
    assert why(placement, "a", "cheap") == Refusal(
        limit=Limit.AFFINITY, needs="another cluster than other/serve", has="cheap"
    )


def test_a_running_task_holds_those_that_must_stand_beside_it() -> None:
    problem = asked(make.task("a"), make.task("b", beside=names("a")))
    first = CpSatPlacer().place(problem)
    a: Assignment = next(x for x in first.assignments if x.task == "a")
    moved = replace(a, cluster=DEAR.name, pool=DEAR.pools[0].name)
    again = replace(problem, request=replace(problem.request, fixed=(moved,)))
    assert places(again) == {"a": "dear", "b": "dear"}


def test_a_task_without_a_place_binds_nobody() -> None:
    homeless = make.profile(make.task("a"), memory=1_000.0)
    problem = asked(
        make.task("a"),
        make.task("b", beside=names("a")),
        mode=Mode.MOST_SLA,
        profiles={"a": homeless},
    )
    assert places(problem) == {"b": "cheap"}


def clashes(problem: PlacementProblem) -> dict[str, str]:
    with pytest.raises(InfeasibleError) as caught:
        CpSatPlacer().place(problem)
    found: tuple[Clash, ...] = tuple(caught.value.clashes)
    return {clash.wish: clash.relaxation for clash in found}


def test_beside_and_apart_clash_and_nothing_else() -> None:
    near, far = names("a", within=Within.CLUSTER), names("a", within=Within.REGION)
    problem = asked(make.task("a"), make.task("b", beside=near, apart_from=far))
    assert clashes(problem) == {
        "beside a in one cluster of p/b": "not beside them",
        "apart from a in another region of p/b": "apart from a in another node",
    }


def test_apart_clashes_with_regions_until_it_is_loosened() -> None:
    far = names("a", within=Within.REGION)
    spec = make.pipeline(make.task("a"), make.task("b", apart_from=far), regions=("eu-1",))
    problem = make.problem(spec, make.fleet(CHEAP, DEAR, NEAR))
    assert clashes(problem) == {
        "regions eu-1 of p": "also region us-1",
        "apart from a in another region of p/b": "apart from a in another cluster",
    }


def test_affinities_name_tasks_that_exist_and_others_than_their_own() -> None:
    near = names("fetures"), names("b")
    tasks = (make.task("features"), make.task("a", beside=near[0]), make.task("b", beside=near[1]))
    with pytest.raises(InvalidInputError) as caught:
        CpSatPlacer().place(asked(*tasks))
    assert [(f.code, f.candidates) for f in caught.value.faults] == [
        ("S010", ("features",)),
        ("S022", ()),
    ]


def test_the_same_affinities_give_the_same_plan() -> None:
    problem = asked(make.task("a"), make.task("b", apart_from=names("a")))
    assert CpSatPlacer().place(problem) == CpSatPlacer().place(problem)
