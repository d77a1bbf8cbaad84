"""Turns of tenants at what is shared: starts of a cluster, and room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dispatching import launching
from engine.dispatching.admission import Holders, everything
from engine.dispatching.turns import Line, Turns, least_first
from engine.model.dispatches import Attempt, AttemptState, TaskState
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.records import Stored
from engine.model.resources import Resources
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec
from engine.testing import samples
from engine.testing.fakes import InstantBulkExecutor, Outcome
from engine.testing.world import World

FLOOD = 1_000


def attempt(owner: str, number: int, cluster: str = "a") -> Stored[Attempt]:
    return Stored(
        Attempt(
            attempt_id=AttemptId(f"{owner}.{number}"),
            run_id=RunId("r-1"),
            pipeline=PipelineName("heart"),
            task=TaskName("etl"),
            number=number,
            executor="local",
            cluster=ClusterName(cluster),
            pool=PoolName("nodes"),
            held=Resources(cpu_cores=1.0, memory_gib=0.5),
            state=AttemptState.INTENDED,
            intended_at=0.0,
            fence=1,
            owner=owner,
        ),
        1,
    )


def line(turns: Turns, *waiting: Stored[Attempt]) -> Line:
    made = Line(turns)
    for each in waiting:
        made.add(each)
    return made


def names(taken: Sequence[Stored[Attempt]]) -> list[str]:
    return [each.value.attempt_id for each in taken]


def test_one_tenant_is_served_in_the_order_of_intent() -> None:
    waits = line(Turns(), *(attempt("ann", number) for number in range(3)))
    assert names(waits.take(2)) == ["ann.0", "ann.1"]
    assert (names(waits.take(9)), len(waits)) == (["ann.2"], 0)


def test_who_comes_anew_waits_for_one_start_of_each_other() -> None:
    turns = Turns()
    for _ in range(50):
        turns.count("a", "ann")
    waits = line(turns, *(attempt("ann", number) for number in range(9)), attempt("ben", 1))
    assert names(waits.take(3)) == ["ben.1", "ann.0", "ann.1"]


def test_who_was_away_saves_up_nothing() -> None:
    turns = Turns()
    for name in ("ann", "ben", *["ann"] * 50):
        turns.count("a", name)
    waits = line(turns, *(attempt(owner, n) for owner in ("ann", "ben") for n in range(9)))
    assert Counter(each.value.owner for each in waits.take(8)) == {"ann": 4, "ben": 4}


def test_clusters_take_turns_as_well() -> None:
    waits = line(Turns(), *(attempt("ann", n) for n in range(9)), attempt("ann", 9, "b"))
    assert names(waits.take(2)) == ["ann.0", "ann.9"]


def test_a_cluster_that_takes_no_more_is_left_for_this_step() -> None:
    waits = line(Turns(), attempt("ann", 1), attempt("ann", 2, "b"))
    waits.leave("a")
    waits.leave("c")
    waits.add(attempt("ann", 3))
    assert (len(waits), names(waits.take(9))) == (1, ["ann.2"])


def test_what_was_taken_but_not_started_does_not_count() -> None:
    turns = Turns()
    first = line(turns, attempt("ann", 1), attempt("ben", 1))
    first.take(2)
    first.started(attempt("ann", 1).value)
    again = line(turns, attempt("ann", 2), attempt("ben", 1))
    assert names(again.take(1)) == ["ben.1"]


def test_what_does_not_count_any_more_is_forgotten() -> None:
    turns = Turns()
    for name in ("ann", "ben", "ann", "ben", "ann"):
        turns.count("a", name)
    turns.forget()
    assert (turns.of("a", "ann"), turns.of("a", "ben"), turns.of("a", "new")) == (3, 2, 2)
    assert list(turns._starts) == [("a", "ann")]


@given(
    st.lists(st.sampled_from(["ann", "ben", "cid", "dan"]), max_size=60),
    st.integers(1, 7),
    st.integers(2, 5),
)
def test_starts_of_those_who_all_wait_never_differ_by_more_than_one(
    before: list[str], rate: int, tenants: int
) -> None:
    turns = Turns()
    for owner in before:
        turns.count("a", owner)
    owners = [f"t{index}" for index in range(tenants)]
    started: Counter[str] = Counter(dict.fromkeys(owners, 0))
    for step in range(20):
        turns.forget()
        waits = line(turns, *(attempt(owner, step * 9 + n) for owner in owners for n in range(9)))
        # The executor is handed more than its cluster takes, and takes the first of them.
        for each in waits.take(rate + 5)[:rate]:
            waits.started(each.value)
            started[each.value.owner] += 1
        assert max(started.values()) - min(started.values()) <= 1
    assert sum(started.values()) == 20 * rate


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.integers(1, 40))
def test_room_goes_to_who_holds_least(counts: list[int], room: int) -> None:
    held: Counter[str] = Counter()
    items = {f"t{index}": range(count) for index, count in enumerate(counts)}

    def given_out() -> Iterator[str]:
        tagged = {owner: [(owner, each) for each in some] for owner, some in items.items()}
        for owner, _ in least_first(tagged, lambda name: float(held[name])):
            held[owner] += 1
            yield owner

    taken = list(islice(given_out(), room))
    assert len(taken) == min(room, sum(counts))
    # Max-min fair: who has less than another one got all it asked for.
    for owner, asked in items.items():
        assert held[owner] == len(asked) or held[owner] >= max(held.values()) - 1


def test_who_gets_no_room_is_gone_through_all_the_same() -> None:
    items = {"ann": [1, 2], "ben": [3], "cid": []}
    assert list(least_first(items, lambda _: 0.5)) == [1, 2, 3]


def test_a_share_is_that_of_the_resource_of_which_a_tenant_has_most() -> None:
    has = everything(samples.fleet("a", "b", node_count=1))
    holders = Holders.of([attempt("ann", 1).value, attempt("ann", 2).value])
    # Two of four cores and one of eight GiB; nobody has a GPU.
    assert (holders.share("ann", has), holders.share("ben", has)) == (0.5, 0.0)


class Shared(World):
    """A world whose clusters start so many at a time, with room for all or for a few."""

    def __init__(self, *clusters: str, node_count: int, seconds: float, takes: int | None) -> None:
        super().__init__(samples.fleet(*clusters, node_count=node_count))
        self.bulk = InstantBulkExecutor(self.clock, lambda _: Outcome(seconds=seconds))
        self.bulk.takes = takes
        self.executor = self.bulk

    def flood(self, owner: str, count: int, places: dict[str, str] | None = None) -> str:
        tasks = (TaskSpec(name=TaskName(f"t{n}"), kind=TaskKind.ETL) for n in range(count))
        spec = PipelineSpec(name=PipelineName(owner), tasks=tuple(tasks), owner=owner)
        return self.submit(spec, places).run_id

    def started(self, owner: str) -> int:
        return sum(order.pipeline == owner for order in self.bulk.orders.values())


@pytest.mark.slow
def test_a_flood_does_not_hold_up_another_tenants_task() -> None:
    with closing(Shared("a", node_count=FLOOD, seconds=1e6, takes=20)) as world:
        world.flood("ann", FLOOD)
        dispatcher = world.engine()
        dispatcher.step()
        assert world.started("ann") == 20
        run = world.flood("ben", 1)
        # One step intends it, and the next one starts it, before 900 others.
        for _ in range(2):
            world.clock.advance(1.0)
            dispatcher.step()
        assert world.attempt(f"{run}.t0.1").state is AttemptState.RUNNING
        assert world.started("ann") == 20 * 3 - 1


def test_room_that_a_flood_gives_back_goes_to_another_tenant_first() -> None:
    with closing(Shared("a", node_count=2, seconds=10.0, takes=None)) as world:
        first, dispatcher = world.flood("ann", 40), world.engine()
        dispatcher.step()
        second = world.flood("ben", 2)
        world.clock.advance(11.0)
        dispatcher.step()
        running = [world.task(second, f"t{n}").state for n in range(2)]
        assert running == [TaskState.RUNNING, TaskState.RUNNING]
        world.settle(dispatcher, 11.0)
        assert {world.task(first, f"t{n}").state for n in range(40)} == {TaskState.SUCCEEDED}


def test_tenants_who_ask_at_once_share_the_room() -> None:
    with closing(Shared("a", node_count=4, seconds=10.0, takes=None)) as world:
        for owner in ("ann", "ben"):
            world.flood(owner, 40)
        world.engine().step()
        assert (world.started("ann"), world.started("ben")) == (4, 4)


def test_a_cluster_in_demand_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_STARTS_MOST", 4)
    with closing(Shared("a", "b", node_count=50, seconds=10.0, takes=None)) as world:
        places = {f"t{n}": "a" for n in range(30)}
        world.flood("ann", 31, {**places, "t30": "b"})
        world.engine().step()
        assert "b" in {order.cluster for order in world.bulk.orders.values()}


def test_who_owns_a_pipeline_is_known_of_its_runs_and_attempts() -> None:
    with closing(Shared("a", node_count=2, seconds=0.0, takes=None)) as world:
        run = world.flood("ann", 1)
        world.engine().step()
        assert (world.run(run).owner, world.attempt(f"{run}.t0.1").owner) == ("ann", "ann")
        assert replace(world.run(run), owner="").owner == ""
