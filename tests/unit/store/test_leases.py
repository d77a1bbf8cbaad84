"""One engine of several leads; whoever takes over ends the term of the one before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.model.errors import ConflictError, UnreachableError
from engine.model.records import CURSORS, LEASES, TERMS, Check, Cursor, Put, Term, Write
from engine.store import Elector, SqlLedger, begin_term, open_ledger
from engine.testing.clocks import ManualClock

SECONDS = 15.0


class Time:
    """A monotonic clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ledger() -> Iterator[SqlLedger]:
    with open_ledger("sqlite://") as ledger:
        yield ledger


@pytest.fixture
def time() -> Time:
    return Time()


def elector(ledger: SqlLedger, name: str, time: Time) -> Elector:
    return Elector(ledger, ManualClock(), name, seconds=SECONDS, monotonic=time)


def write_under(ledger: SqlLedger, term: Term) -> None:
    ledger.commit(
        "test", [Check(TERMS, "engine", term.number), Put(CURSORS, Cursor(source="a", position=""))]
    )


def test_the_first_leads_and_the_second_stands_by(ledger: SqlLedger, time: Time) -> None:
    first, second = elector(ledger, "a", time), elector(ledger, "b", time)
    assert first.look() == Term(number=1, started_at=first.term.started_at, process="a")  # type: ignore[union-attr]
    assert second.look() is None
    assert second.leader == "a"


def test_who_renews_leads_on_in_the_same_term(ledger: SqlLedger, time: Time) -> None:
    first, second = elector(ledger, "a", time), elector(ledger, "b", time)
    term = first.look()
    for _ in range(20):
        time.now += SECONDS / 3
        assert first.look() == term
        assert second.look() is None


def test_a_silent_leader_is_followed_after_the_lease_and_not_before(
    ledger: SqlLedger, time: Time
) -> None:
    first, second = elector(ledger, "a", time), elector(ledger, "b", time)
    first.look()
    second.look()
    time.now += SECONDS - 0.1
    assert second.look() is None
    time.now += 0.2
    taken = second.look()
    assert taken is not None
    assert taken.number == 2


def test_a_newcomer_waits_a_whole_lease_whatever_others_know(ledger: SqlLedger, time: Time) -> None:
    elector(ledger, "a", time).look()
    time.now += 10 * SECONDS
    late = elector(ledger, "b", time)
    assert late.look() is None
    time.now += SECONDS
    assert late.look() is not None


def test_a_halted_leader_knows_that_it_leads_no_more_and_cannot_write(
    ledger: SqlLedger, time: Time
) -> None:
    first, second = elector(ledger, "a", time), elector(ledger, "b", time)
    old = first.look()
    assert old is not None
    second.look()
    time.now += SECONDS + 1
    assert first.term is None
    second.look()
    with pytest.raises(ConflictError):
        write_under(ledger, old)
    assert first.look() is None
    assert first.leader == "b"


def test_a_leader_stands_back_before_others_may_take_over(ledger: SqlLedger, time: Time) -> None:
    first = elector(ledger, "a", time)
    first.look()
    time.now += SECONDS * 0.67
    assert first.term is None


def test_a_leader_whom_nobody_followed_leads_on_in_the_same_term(
    ledger: SqlLedger, time: Time
) -> None:
    first = elector(ledger, "a", time)
    term = first.look()
    time.now += SECONDS * 2
    assert first.term is None
    assert first.look() == term


def test_a_lease_whose_term_was_ended_by_other_means_is_lost(ledger: SqlLedger, time: Time) -> None:
    first = elector(ledger, "a", time)
    first.look()
    begin_term(ledger, ManualClock(), "somebody without a lease")
    assert first.look() is None
    again = first.look()
    assert again is not None
    assert again.number == 3


def test_a_lease_that_is_given_back_is_taken_at_once(ledger: SqlLedger, time: Time) -> None:
    first, second = elector(ledger, "a", time), elector(ledger, "b", time)
    first.look()
    second.look()
    first.release()
    assert first.term is None
    assert second.look() is not None
    first.release()
    assert second.look() is not None


def test_of_two_that_take_at_the_same_moment_one_leads(ledger: SqlLedger, time: Time) -> None:
    class Overtaken(SqlLedger):
        def commit(self, name: str, writes: object) -> None:
            rival.look()
            raise ConflictError("another was first")

    with Overtaken("sqlite://") as slow:
        slow.migrate()
        rival = elector(ledger, "b", time)
        assert elector(slow, "a", time).look() is None
        assert rival.term is not None


def test_a_lease_taken_without_hearing_so_is_taken_again(ledger: SqlLedger, time: Time) -> None:
    answers = [UnreachableError("the connection broke")]
    passed = ledger.commit

    def commit(name: str, writes: list[Write]) -> None:
        passed(name, writes)
        if answers:
            raise answers.pop()

    ledger.commit = commit  # type: ignore[method-assign,assignment]
    first = elector(ledger, "a", time)
    with pytest.raises(UnreachableError):
        first.look()
    assert first.term is None
    assert first.look() is not None


def test_a_lease_that_changes_while_it_is_given_back_is_left_alone(
    ledger: SqlLedger, time: Time
) -> None:
    first = elector(ledger, "a", time)
    first.look()

    def refuse(name: str, writes: object) -> None:
        raise ConflictError("another was first")

    ledger.commit = refuse  # type: ignore[method-assign]
    first.release()
    stored = ledger.get(LEASES, "engine")
    assert stored is not None
    assert stored.value.holder.startswith("a ")
