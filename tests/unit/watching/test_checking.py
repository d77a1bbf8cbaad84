"""Checks are run by themselves, stored with the super-alarm, and causes are weighed by them."""

from __future__ import annotations

import dataclasses

import pytest

from engine.model.alarms import SuperAlarm
from engine.model.checks import Check, CheckKind, Verdict
from engine.model.errors import NotFoundError
from engine.model.records import SUPER_ALARMS, Put
from engine.store import begin_term
from engine.testing.watch_suites import gauge
from engine.watching.checking import Checking
from engine.watching.desk import Desk
from tests.support.watch_world import DATA, LOST, World

CHECK = Check(kind=CheckKind.CLUSTER, subject="cluster:c", since=0.0)
OTHER = Check(kind=CheckKind.ROWS, subject="task:heart/etl", since=0.0)


class ScriptedChecker:
    """Says what a test wants it to say, and keeps what it was asked."""

    def __init__(self, verdict: Verdict = Verdict.CONFIRMS) -> None:
        self.verdict = verdict
        self.looked: list[Check] = []
        self.error: Exception | None = None

    def look(self, check: Check) -> tuple[Verdict, str]:
        self.looked.append(check)
        if self.error is not None:
            raise self.error
        return self.verdict, "c does not answer"


@pytest.fixture
def alarmed(world: World) -> World:
    asked = dataclasses.replace(LOST, settled=None, check=CHECK)
    world.causes.answer = (asked, dataclasses.replace(DATA, belief=0.1))
    world.measure(500.0, gauge)
    return world


def checking(world: World, checker: ScriptedChecker) -> Checking:
    term = begin_term(world.ledger, world.clock, "check")
    return Checking(Desk(world.ledger, world.clock, world.policy, term), checker)


def group(world: World) -> SuperAlarm:
    (found,) = world.groups()
    return found


def test_a_check_is_run_once_when_it_confirms(alarmed: World) -> None:
    checker = ScriptedChecker()
    loop = checking(alarmed, checker)
    assert loop.step()
    alarmed.clock.advance(1_000.0)
    assert not loop.step()
    (checked,) = group(alarmed).checks
    assert (checked.kind, checked.subject) == (CHECK.kind, CHECK.subject)
    assert (checked.verdict, checked.message) == (Verdict.CONFIRMS, "c does not answer")
    assert checker.looked == [CHECK]


@pytest.mark.parametrize("verdict", [Verdict.DENIES, Verdict.OPEN])
def test_what_did_not_confirm_is_looked_at_again(alarmed: World, verdict: Verdict) -> None:
    checker = ScriptedChecker(verdict)
    loop = checking(alarmed, checker)
    assert loop.step()
    assert not loop.step()
    alarmed.clock.advance(alarmed.policy.decide_seconds)
    assert loop.step()
    assert len(checker.looked) == 2
    assert len(group(alarmed).checks) == 1


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (NotFoundError("there is no such cluster"), "there is no such cluster"),
        (ZeroDivisionError("by a factor"), "ZeroDivisionError: by a factor"),
    ],
)
def test_a_look_that_fails_says_so_and_holds_up_no_other(
    alarmed: World, error: Exception, why: str
) -> None:
    checker = ScriptedChecker()
    checker.error = error
    loop = checking(alarmed, checker)
    assert loop.step()
    (checked,) = group(alarmed).checks
    assert checked.verdict is Verdict.OPEN
    assert checked.message == f"could not look: {why}"
    assert not loop.step()


def test_one_check_a_step_and_each_is_kept(alarmed: World) -> None:
    stored = alarmed.ledger.get(SUPER_ALARMS, group(alarmed).super_alarm_id)
    assert stored is not None
    causes = (*stored.value.causes, dataclasses.replace(DATA, belief=0.1, check=OTHER))
    changed = dataclasses.replace(stored.value, causes=causes)
    alarmed.ledger.commit("test", [Put(SUPER_ALARMS, changed)])
    checker = ScriptedChecker()
    loop = checking(alarmed, checker)
    assert loop.step()
    assert loop.step()
    assert not loop.step()
    assert [one.kind for one in group(alarmed).checks] == [CheckKind.CLUSTER, CheckKind.ROWS]


def test_causes_are_looked_for_again_after_a_check(alarmed: World) -> None:
    looks = alarmed.causes.looks
    alarmed.watcher.step()
    assert alarmed.causes.looks == looks, "nothing is new"
    term = alarmed.watcher.term
    loop = Checking(Desk(alarmed.ledger, alarmed.clock, alarmed.policy, term), ScriptedChecker())
    assert loop.step()
    alarmed.watcher.step()
    assert alarmed.causes.looks == looks + 1


def test_where_nothing_is_open_nothing_is_checked(world: World) -> None:
    assert not checking(world, ScriptedChecker()).step()
