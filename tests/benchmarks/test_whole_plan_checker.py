"""The checker of whole plans finds what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from benchmarks.placement.checking import explained, whole_plan
from benchmarks.placement.checking.replay import Seat, World
from engine.model.plans import PlacementProblem
from placement.settling import settled
from tests.support import placement_problems as make

HOUR_MS = 3_600_000
RIGHT = {"p/a": Seat(pool=0, start_ms=0), "p/b": Seat(pool=0, start_ms=HOUR_MS)}
NODES = {"p/a": (0,), "p/b": (1,)}


def problem() -> PlacementProblem:
    """Two tasks of three cores, one after the other, on two nodes of four."""
    tasks = [make.task("a"), make.task("b", after=("a",))]
    profiles = {task.name: make.profile(task, cores=3.0) for task in tasks}
    fleet = make.fleet(make.cluster("c", make.pool(cores=4.0, nodes=2)))
    return make.problem(make.pipeline(*tasks, deadline=10_800.0), fleet, profiles)


def faults(seats: Mapping[str, Seat], nodes: Mapping[str, tuple[int, ...]]) -> str:
    found = explained.world_of(problem(), settled(problem()))
    return "; ".join(whole_plan.faults(World(problem(), found.frame, seats), nodes))


def test_a_plan_that_is_allowed_has_no_fault() -> None:
    assert faults(RIGHT, NODES) == ""


@pytest.mark.parametrize(
    ("seats", "nodes", "part"),
    [
        ({**RIGHT, "p/b": Seat(pool=0, start_ms=0)}, NODES, "before what it waits for"),
        ({**RIGHT, "p/b": Seat(pool=0, start_ms=3 * HOUR_MS)}, NODES, "3600000 ms late"),
        ({"p/b": RIGHT["p/b"]}, NODES, "waits for a task that has no place"),
        (RIGHT, {"p/a": (0,), "p/b": (7,)}, "stands on the nodes [7]"),
        (RIGHT, {"p/a": (0,)}, "stands on the nodes []"),
        (
            {key: Seat(pool=0, start_ms=0) for key in RIGHT},
            {"p/a": (0,), "p/b": (0,)},
            "node 0 of c/cpu holds more than it has",
        ),
    ],
)
def test_what_is_wrong_with_a_plan_is_named(
    seats: Mapping[str, Seat], nodes: Mapping[str, tuple[int, ...]], part: str
) -> None:
    assert part in faults(seats, nodes)
