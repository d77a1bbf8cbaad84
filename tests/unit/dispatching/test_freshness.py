"""How old the newest output of each pipeline is."""

from __future__ import annotations

import pytest

from engine.dispatching import FreshnessSignals
from engine.model.identifiers import TaskName
from engine.model.signals import Layer
from engine.model.specs import TaskKind, TaskSpec
from engine.ports import SignalSource
from engine.testing.samples import pipeline
from engine.testing.watch_suites import SignalSourceSuite
from engine.testing.world import World

WINDOW_SECONDS = 5.0
ETL = TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL)


def source_of(world: World) -> FreshnessSignals:
    return FreshnessSignals(world.ledger, world.clock, window_seconds=WINDOW_SECONDS)


def ran(world: World, name: str) -> None:
    """Let a run of a pipeline succeed."""
    world.submit(pipeline(ETL, name=name))
    engine = world.engine()
    world.settle(engine)
    world.clock.advance(20.0)
    world.settle(engine)


class TestContract(SignalSourceSuite):
    @pytest.fixture
    def source(self, world: World) -> SignalSource:
        ran(world, "heart")
        return source_of(world)


def test_what_never_ran_has_no_age(world: World) -> None:
    world.submit(pipeline(ETL))
    world.engine().step()
    signals, position = source_of(world).read("")
    assert signals == []
    assert source_of(world).read(position) == ([], position)


def test_each_pipeline_tells_the_age_of_its_newest_output(world: World) -> None:
    ran(world, "old")
    world.clock.advance(100.0)
    ran(world, "new")
    before = {s.subject: s.value for s in source_of(world).read("")[0]}
    world.clock.advance(WINDOW_SECONDS)
    signals = source_of(world).read("")[0]
    after = {s.subject: s.value for s in signals}
    assert [(s.layer, s.unit) for s in signals] == [(Layer.ETL, "s")] * 2
    assert after["pipeline:old"] > after["pipeline:new"] + 100.0
    assert after == {name: age + WINDOW_SECONDS for name, age in before.items()}


def test_a_new_output_makes_it_young_again(world: World) -> None:
    ran(world, "heart")
    world.clock.advance(1_000.0)
    ran(world, "heart")
    ((signal,), _) = source_of(world).read("")
    assert signal.value < 100.0
