"""Loops run while an engine leads, and end when it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from api.settings import Settings
from api.wiring.engine import check_replica
from api.wiring.leading import Alone, Standby
from api.wiring.loops import LoopPlan
from engine.model.errors import RefusedError, UnreachableError
from engine.model.records import Term
from engine.store import Elector, SqlLedger, open_ledger
from engine.testing.clocks import ManualClock
from tests.support.faces import until

SECONDS = 1.0
LONG_SECONDS = 600.0
"""A lease that nobody loses because this machine is busy."""
TERM = Term(number=1, started_at=0.0, process="a")


class Work:
    """Makes loops, and notes the terms in which they step."""

    def __init__(self) -> None:
        self.terms: list[int] = []
        self.cannot: list[RefusedError] = []

    def plans(self, term: Term) -> Sequence[LoopPlan]:
        if self.cannot:
            raise self.cannot.pop()

        def step() -> bool:
            self.terms.append(term.number)
            return False

        return (LoopPlan(name="work", step=step, pause_seconds=0.01),)


@pytest.fixture
def ledger() -> Iterator[SqlLedger]:
    with open_ledger("sqlite://") as ledger:
        yield ledger


@pytest.fixture
def work() -> Work:
    return Work()


def standby(
    ledger: SqlLedger, work: Work, name: str = "a", lease_seconds: float = SECONDS
) -> Standby:
    made = Elector(ledger, ManualClock(), name, seconds=lease_seconds)
    found = Standby(work.plans, made, SECONDS)
    found.start()
    return found


def said(engine: Standby) -> str:
    return engine.findings()[0].message


def test_an_engine_alone_runs_its_loops_at_once(work: Work) -> None:
    alone = Alone(work.plans, TERM)
    alone.start()
    until(lambda: work.terms)
    assert [each.name for each in alone.findings()] == ["loop work"]
    alone.stop()


def test_of_two_engines_one_works_and_the_other_follows(ledger: SqlLedger) -> None:
    works = Work(), Work()
    first = standby(ledger, works[0], lease_seconds=LONG_SECONDS)
    until(lambda: works[0].terms)
    second = standby(ledger, works[1], "b", lease_seconds=LONG_SECONDS)
    until(lambda: said(second) == "stands by for a")
    until(lambda: said(first).startswith("this engine leads"))
    first.stop()
    until(lambda: works[1].terms)
    assert min(works[1].terms) > max(works[0].terms)
    second.stop()


def test_while_the_store_is_away_the_loops_end_and_it_is_told(
    ledger: SqlLedger, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = standby(ledger, work)
    until(lambda: work.terms)

    def away(*_: object) -> None:
        raise UnreachableError("the database does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "get", away)
        until(lambda: "does not answer" in said(engine))
        assert not engine.findings()[0].fine
        until(lambda: engine._term is None)
        steps = len(work.terms)
    until(lambda: len(work.terms) > steps)
    until(lambda: engine.findings()[0].fine)
    engine.stop()


def test_one_that_cannot_lead_gives_the_lease_back(ledger: SqlLedger, work: Work) -> None:
    work.cannot.append(RefusedError("a plugin is missing"))
    engine = standby(ledger, work)
    until(lambda: work.terms)
    assert work.terms[0] > 1
    engine.stop()


def test_a_replica_needs_a_database_that_machines_share(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="need one PostgreSQL"):
        check_replica(Settings(home=tmp_path, replica="a"))
    check_replica(Settings(home=tmp_path, replica="a", database="postgresql+psycopg://db/berth"))
    check_replica(Settings(home=tmp_path))
