"""A pool that has room in sum but on no single node is full."""

from __future__ import annotations

from engine.model.plans import Mode, Reservation
from engine.model.resources import Resources
from placement import CpSatPlacer
from placement.problem.building import Terms, build
from placement.search.board import Board
from placement.search.chains import Chains
from placement.search.draft import Draft, board_of
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


def test_tasks_that_share_a_seat_stand_where_they_are_known_to() -> None:
    branches = [
        make.task(name, after=("a",), when=f'a.best == "{name}"') for name in ("left", "right")
    ]
    spec = make.pipeline(make.task("a"), *branches, make.task("later"))
    profiles = {task.name: make.profile(task, cores=4.0) for task in spec.tasks}
    nodes = make.fleet(make.cluster("c", make.pool(cores=4.0, nodes=2)))
    instance = build(make.problem(spec, nodes, profiles), Terms())
    jobs = {str(job.spec.name): job for job in instance.jobs}
    seat = [jobs["left"], jobs["right"]]
    plan = Draft(
        options={job.index: job.options[0] for job in seat},
        starts={job.index: 0 for job in seat},
        nodes={job.index: (1,) for job in seat},
    )
    board = board_of(instance, plan)
    later = jobs["later"]
    assert board.earliest(later, later.options[0], 0, later.latest_ms) == 0
    assert board.put(later, later.options[0], 0) == {later.index: (0,)}
    # One of the two goes, the other keeps the node.
    board.remove(seat[0], seat[0].options[0], 0)
    board.remove(later, later.options[0], 0)
    assert board.put(later, later.options[0], 0) == {later.index: (0,)}


def test_the_second_of_a_seat_moves_the_first_where_both_have_room() -> None:
    branches = [
        make.task(name, after=("a",), when=f'a.best == "{name}"') for name in ("left", "right")
    ]
    spec = make.pipeline(make.task("a"), *branches, make.task("other"))
    cores = {"a": 1.0, "left": 1.0, "right": 4.0, "other": 2.0}
    profiles = {task.name: make.profile(task, cores=cores[task.name]) for task in spec.tasks}
    nodes = make.fleet(make.cluster("c", make.pool(cores=4.0, nodes=2)))
    instance = build(make.problem(spec, nodes, profiles), Terms())
    jobs = {str(job.spec.name): job for job in instance.jobs}
    board = Board(instance)
    stands = dict[int, tuple[int, ...]]()
    for name in ("other", "left", "right"):
        stands.update(board.put(jobs[name], jobs[name].options[0], 0))
    assert stands == {
        jobs["other"].index: (0,),
        jobs["left"].index: (1,),
        jobs["right"].index: (1,),
    }
