"""A pool that has room in sum but on no single node is full."""

from __future__ import annotations

from engine.model.plans import Mode, Reservation
from engine.model.resources import Resources
from placement import CpSatPlacer
from placement.problem.building import Terms, build
from placement.search.board import Board
from placement.search.chains import Chains
from placement.search.draft import Draft
from placement.search.recreate import mended
from tests.support import placement_problems as make


def test_three_tasks_of_two_cores_do_not_stand_on_two_nodes_of_three() -> None:
    tasks = [make.task(f"t{i}") for i in range(3)]
    nodes = make.fleet(make.cluster("c", make.pool(cores=3.0, nodes=2)))
    profiles = {task.name: make.profile(task, cores=2.0) for task in tasks}
    specs = [make.pipeline(task, name=task.name, deadline=3700.0) for task in tasks]
    placement = CpSatPlacer().place(make.problem(specs, nodes, profiles, mode=Mode.MOST_SLA))
    assert len(placement.assignments) == 2


def test_a_gang_takes_its_nodes_at_once() -> None:
    gang, single = make.task("gang"), make.task("single")
    nodes = make.fleet(make.cluster("c", make.pool(gpu=("a100", 1, 80.0), nodes=2)))
    profiles = {
        "gang": make.profile(gang, gpus=2, gpu_memory=40.0, replicas=2),
        "single": make.profile(single, gpus=1, gpu_memory=40.0),
    }
    specs = [make.pipeline(task, name=task.name, deadline=7300.0) for task in (gang, single)]
    by_task = {
        str(a.task): a
        for a in CpSatPlacer().place(make.problem(specs, nodes, profiles)).assignments
    }
    assert by_task["gang"].node_count == 2
    assert abs(by_task["gang"].start_seconds - by_task["single"].start_seconds) >= 3599.0


def test_what_others_hold_of_one_node_leaves_the_other_whole() -> None:
    task = make.task("t")
    nodes = make.fleet(make.cluster("c", make.pool(cores=4.0, nodes=2)))
    other = Reservation(
        cluster="c", pool="cpu", holder="others", held=Resources(cpu_cores=3.0), from_seconds=0.0
    )
    profiles = {"t": make.profile(task, cores=4.0)}
    problem = make.problem(make.pipeline(task), nodes, profiles, reservations=(other,))
    assert len(CpSatPlacer().place(problem).assignments) == 1


def test_what_is_given_back_leaves_no_trace() -> None:
    tasks = [make.task("a"), make.task("b")]
    nodes = make.fleet(make.cluster("c", make.pool(cores=4.0, nodes=2)))
    instance = build(make.problem(make.pipeline(*tasks), nodes), Terms())
    board = Board(instance)
    before = board.timeline(0).steps()
    first, second = instance.jobs
    for job in (first, second):
        board.put(job, job.options[0], 1_000 * job.index)
    trial = board.copy()
    for job in (first, second):
        trial.remove(job, job.options[0], 1_000 * job.index)
    assert trial.timeline(0).steps() == before
    assert board.timeline(0).steps() != before


def test_a_plan_for_the_sum_of_nodes_is_mended_on_nodes() -> None:
    tasks = [make.task(f"t{i}") for i in range(3)]
    nodes = make.fleet(make.cluster("c", make.pool(cores=3.0, nodes=2)))
    profiles = {task.name: make.profile(task, cores=2.0) for task in tasks}
    specs = [make.pipeline(task, name=task.name) for task in tasks]
    instance = build(make.problem(specs, nodes, profiles), Terms())
    options = {job.index: job.options[0] for job in instance.jobs}
    found = Draft(options=options, starts=dict.fromkeys(options, 0))
    plan = mended(instance, found, Chains(instance))
    assert sorted(plan.starts.values()) == [0, 0, 3_600_000]
    assert {plan.nodes[0], plan.nodes[1]} == {(0,), (1,)}
