"""A board with views says what a plain board says, also of what was given back to it."""

from __future__ import annotations

import pytest

from placement.account.boards import ViewedBoard
from placement.problem.building import Terms, build
from placement.problem.instance import Instance
from placement.search.board import Board
from placement.search.draft import Draft
from placement.search.greedy import greedy
from tests.support import placement_problems as make


def filled(board: Board, instance: Instance, plan: Draft) -> None:
    for index in sorted(plan.options, key=lambda i: (plan.starts[i], i)):
        nodes = plan.nodes.get(index, ())
        board.put(instance.jobs[index], plan.options[index], plan.starts[index], nodes)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_given_back_may_be_taken_again(seed: int) -> None:
    instance = build(make.random_problem(seed, tasks=24, clusters=2, tight=0.3), Terms())
    plan = greedy(instance)
    plain, viewed = Board(instance), ViewedBoard(instance)
    filled(plain, instance, plan)
    filled(viewed, instance, plan)
    viewed.look()
    trial = viewed.copy()
    for index in list(plan.options)[::3]:
        taken = (instance.jobs[index], plan.options[index], plan.starts[index])
        plain.remove(*taken)
        trial.remove(*taken)
    for job in instance.jobs:
        for option in job.options:
            asked = (job, option, 0, job.latest_ms)
            assert trial.earliest(*asked) == plain.earliest(*asked)
    buckets = range(len(instance.buckets))
    assert [trial.timeline(b).steps() for b in buckets] == [
        plain.timeline(b).steps() for b in buckets
    ]


def test_what_a_copy_gives_back_the_board_still_holds() -> None:
    instance = build(make.random_problem(1, tasks=12, clusters=2, tight=0.3), Terms())
    plan = greedy(instance)
    viewed = ViewedBoard(instance)
    filled(viewed, instance, plan)
    viewed.look()
    buckets = range(len(instance.buckets))
    before = [viewed.timeline(b).steps() for b in buckets]
    trial = viewed.copy()
    for index in plan.options:
        trial.remove(instance.jobs[index], plan.options[index], plan.starts[index])
    assert [trial.timeline(b).steps() for b in buckets] != before
    assert [viewed.timeline(b).steps() for b in buckets] == before
