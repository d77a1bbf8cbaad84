"""Steps that are written together, and alone where one of them meets another writer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from engine.dispatching.desk import Desk
from engine.dispatching.grouping import STEPS_MOST, Group
from engine.model.errors import RefusedError
from engine.model.records import ABSENT, CURSORS, Cursor, Put, Write
from engine.store import begin_term
from engine.testing.world import World


class Counted:
    """Notes the names of commits."""

    def __init__(self, world: World) -> None:
        self.names: list[str] = []
        self._commit = world.ledger.commit
        world.ledger.commit = self.commit  # type: ignore[method-assign]

    def commit(self, name: str, writes: Sequence[Write]) -> None:
        self._commit(name, writes)
        self.names.append(name)


@pytest.fixture
def desk(world: World) -> Desk:
    return world.engine()


def new(name: str) -> Put[Cursor]:
    return Put(CURSORS, Cursor(source=name, position="1"), ABSENT)


def names(world: World) -> list[str]:
    return [each.value.source for each in world.ledger.select(CURSORS)]


def test_steps_share_a_commit_and_are_told_of_it(world: World, desk: Desk) -> None:
    counted = Counted(world)
    done: list[str] = []
    group = Group(desk)
    for name in "abc":
        group.add(f"step:{name}", new(name), done=partial(done.append, name))
    assert (names(world), done, group.changed) == ([], [], False)
    group.flush()
    assert (counted.names, done, group.changed) == (["step:a+2"], ["a", "b", "c"], True)


def test_a_step_alone_keeps_its_name_and_nothing_is_no_commit(world: World, desk: Desk) -> None:
    counted = Counted(world)
    group = Group(desk)
    group.flush()
    group.add("step:a", new("a"))
    group.flush()
    assert counted.names == ["step:a"]


def test_only_the_step_that_meets_another_writer_is_left_out(world: World, desk: Desk) -> None:
    world.ledger.commit("somebody else", [new("b")])
    done: list[str] = []
    group = Group(desk)
    for name in "abc":
        group.add(f"step:{name}", new(name), done=partial(done.append, name))
    group.flush()
    assert (names(world), done) == (["a", "b", "c"], ["a", "c"])


def test_a_lone_step_that_meets_another_writer_is_not_tried_twice(world: World, desk: Desk) -> None:
    world.ledger.commit("somebody else", [new("a")])
    group = Group(desk)
    group.add("step:a", new("a"))
    group.flush()
    assert not group.changed


def test_a_full_group_is_written_at_once(world: World, desk: Desk) -> None:
    group = Group(desk)
    for number in range(STEPS_MOST):
        group.add("step", new(f"{number:03}"))
    assert len(names(world)) == STEPS_MOST


def test_a_group_of_an_engine_whose_term_is_over_writes_nothing(world: World, desk: Desk) -> None:
    group = Group(desk)
    group.add("step:a", new("a"))
    group.add("step:b", new("b"))
    begin_term(world.ledger, world.clock, "another")
    with pytest.raises(RefusedError, match="took over"):
        group.flush()
    assert names(world) == []
