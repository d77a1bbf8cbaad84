"""What simulated pipelines serve: faults of images pass on, and roll-backs end them."""

from __future__ import annotations

import pytest

from engine.dispatching.desk import Desk
from engine.model.alarms import Action, ActionKind, ActionState, Event
from engine.model.identifiers import PipelineName, SuperAlarmId
from engine.model.records import ACTIONS, DEPLOYMENTS, Put
from engine.store import begin_term
from engine.testing import samples
from engine.testing.clocks import ManualClock
from engine.testing.fakes import InstantModelServer, MemoryArtifacts
from engine.testing.world import FixedConditions
from simulations.deployments import Change, Effect, Served
from simulations.ledger import MemoryLedger

NAME = "p0"


@pytest.fixture
def desk() -> Desk:
    ledger, clock = MemoryLedger(), ManualClock(1_000.0)
    return Desk(
        ledger=ledger,
        executors={},
        artifacts=MemoryArtifacts(clock),
        servers=InstantModelServer(),
        conditions=FixedConditions(),
        fleet_source=samples.FixedFleet(samples.fleet("c0")),
        clock=clock,
        term=begin_term(ledger, clock, "test"),
    )


@pytest.fixture
def served(desk: Desk) -> Served:
    made = Served(desk)
    made.begin(NAME, "c0")
    return made


def change(effect: Effect, at: float = 1_000.0) -> Change:
    event = Event(event_id=f"e{at}", at=at, kind="deployment", subject=f"model:{NAME}", message="")
    return Change(event=event, effect=effect)


def ask(desk: Desk) -> None:
    action = Action(
        action_id="roll-back",
        kind=ActionKind.ROLL_BACK,
        state=ActionState.WANTED,
        super_alarm_id=SuperAlarmId("SA-1"),
        subject=f"model:{NAME}",
        policy="",
        wanted_at=desk.clock.now(),
        pipeline=PipelineName(NAME),
    )
    desk.ledger.commit("test", [Put(ACTIONS, action)])


def test_a_fault_passes_on_until_it_is_set_back(served: Served) -> None:
    seen: list[bool] = []
    for effect in (Effect.NOTHING, Effect.BREAKS, Effect.NOTHING, Effect.SETS_BACK):
        served.change(NAME, change(effect))
        seen.append(served.is_broken(NAME))
    assert seen == [False, True, True, False]


def test_a_roll_back_ends_the_fault_of_the_newest_image(served: Served, desk: Desk) -> None:
    served.change(NAME, change(Effect.BREAKS))
    ask(desk)
    (done,) = served.carry_out()
    assert (done.pipeline, done.is_right, served.is_broken(NAME)) == (NAME, True, False)
    assert not served.carry_out()


@pytest.mark.parametrize("effects", [(Effect.NOTHING,), (Effect.BREAKS, Effect.NOTHING)])
def test_a_roll_back_to_what_is_no_better_is_wrong(
    served: Served, desk: Desk, effects: tuple[Effect, ...]
) -> None:
    for effect in effects:
        served.change(NAME, change(effect))
    before = desk.ledger.get(DEPLOYMENTS, NAME)
    ask(desk)
    (done,) = served.carry_out()
    after = desk.ledger.get(DEPLOYMENTS, NAME)
    assert not done.is_right
    assert before is not None
    assert after is not None
    assert after.value.serving == before.value.previous


def test_what_serves_nothing_cannot_change(served: Served) -> None:
    with pytest.raises(LookupError, match="nothing serves"):
        served.change("other", change(Effect.NOTHING))
