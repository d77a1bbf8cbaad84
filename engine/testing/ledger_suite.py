"""What every `Ledger` keeps; subclass `LedgerSuite` and give it a fixture `ledger`."""

from __future__ import annotations

import threading

import pytest

from engine.model.alarms import Event
from engine.model.errors import ConflictError
from engine.model.records import (
    ABSENT,
    CURSORS,
    DEPLOYMENTS,
    EVENTS,
    Check,
    Cursor,
    Delete,
    Put,
    Write,
)
from engine.ports import Ledger


def cursor(source: str, position: str = "1") -> Cursor:
    """Return a small record with a key of one's choice."""
    return Cursor(source=source, position=position)


def event(name: str, at: float, kind: str = "run") -> Event:
    """Return a small record that is found by columns."""
    return Event(event_id=name, at=at, kind=kind, subject="pipeline:p", message="…")


class LedgerSuite:
    """The contract of the port `Ledger`."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        """Return an empty ledger."""
        raise NotImplementedError

    def test_what_was_put_is_read_back(self, ledger: Ledger) -> None:
        """A record is read as it was written, with version 1."""
        ledger.commit("test", [Put(CURSORS, cursor("a"))])
        stored = ledger.get(CURSORS, "a")
        assert stored is not None
        assert (stored.value, stored.version) == (cursor("a"), 1)

    def test_a_record_that_is_not_there_is_none(self, ledger: Ledger) -> None:
        """Reading an unknown key is no error."""
        assert ledger.get(CURSORS, "a") is None

    def test_every_write_counts_the_version_up(self, ledger: Ledger) -> None:
        """Versions go up by one, within a batch too."""
        ledger.commit("test", [Put(CURSORS, cursor("a")), Put(CURSORS, cursor("a", "2"))])
        ledger.commit("test", [Put(CURSORS, cursor("a", "3"))])
        stored = ledger.get(CURSORS, "a")
        assert stored is not None
        assert (stored.value.position, stored.version) == ("3", 3)

    @pytest.mark.parametrize("expected", [ABSENT, 2])
    def test_a_put_on_another_version_conflicts(self, ledger: Ledger, expected: int) -> None:
        """A compare-and-set that loses writes nothing."""
        ledger.commit("test", [Put(CURSORS, cursor("a"))])
        with pytest.raises(ConflictError):
            ledger.commit("test", [Put(CURSORS, cursor("a", "2"), expected)])
        stored = ledger.get(CURSORS, "a")
        assert stored is not None
        assert stored.value.position == "1"

    def test_a_put_on_the_stored_version_passes(self, ledger: Ledger) -> None:
        """A compare-and-set that wins is written."""
        ledger.commit("test", [Put(CURSORS, cursor("a"), ABSENT)])
        ledger.commit("test", [Put(CURSORS, cursor("a", "2"), 1)])
        stored = ledger.get(CURSORS, "a")
        assert stored is not None
        assert stored.value.position == "2"

    @pytest.mark.parametrize("version", [ABSENT, 1])
    def test_a_check_on_the_stored_version_passes(self, ledger: Ledger, version: int) -> None:
        """A check may also ask that there is no record."""
        ledger.commit("test", [Put(CURSORS, cursor("there"))])
        key = "there" if version else "not there"
        ledger.commit("test", [Check(CURSORS, key, version), Put(CURSORS, cursor("b"))])
        assert ledger.get(CURSORS, "b") is not None

    def test_a_check_that_fails_stops_the_whole_batch(self, ledger: Ledger) -> None:
        """All or nothing holds across collections and whatever the order of writes."""
        first = Put(EVENTS, event("e", 1.0))
        ledger.commit("test", [Put(CURSORS, cursor("b"))])
        with pytest.raises(ConflictError):
            ledger.commit("test", [first, Check(CURSORS, "a", 7), Delete(CURSORS, "b")])
        assert ledger.get(EVENTS, "e") is None
        assert ledger.get(CURSORS, "b") is not None

    def test_what_was_deleted_is_gone(self, ledger: Ledger) -> None:
        """A deleted record may be created again."""
        ledger.commit("test", [Put(CURSORS, cursor("a"))])
        ledger.commit("test", [Delete(CURSORS, "a")])
        assert ledger.get(CURSORS, "a") is None
        ledger.commit("test", [Put(CURSORS, cursor("a"), ABSENT)])
        assert ledger.get(CURSORS, "a") is not None

    def test_deleting_nothing_is_no_error(self, ledger: Ledger) -> None:
        """Delete is idempotent."""
        ledger.commit("test", [Delete(CURSORS, "a")])
        assert ledger.get(CURSORS, "a") is None

    def test_within_a_batch_later_writes_see_earlier_ones(self, ledger: Ledger) -> None:
        """Put, delete and put of one key leave the last."""
        writes: list[Write] = [
            Put(CURSORS, cursor("a"), ABSENT),
            Delete(CURSORS, "a"),
            Put(CURSORS, cursor("a", "2"), ABSENT),
        ]
        ledger.commit("test", writes)
        stored = ledger.get(CURSORS, "a")
        assert stored is not None
        assert (stored.value.position, stored.version) == ("2", 1)

    def test_an_empty_batch_is_no_error(self, ledger: Ledger) -> None:
        """Nothing to write is written at once."""
        ledger.commit("test", [])
        assert ledger.select(CURSORS) == []

    def test_a_large_batch_is_written_whole(self, ledger: Ledger) -> None:
        """Batches may be larger than what one statement takes."""
        ledger.commit("test", [Put(EVENTS, event(f"{n:04}", float(n))) for n in range(1_200)])
        assert len(ledger.select(EVENTS)) == 1_200

    def test_select_orders_by_the_key_without_a_column(self, ledger: Ledger) -> None:
        """The order does not depend on the order of writing."""
        ledger.commit("test", [Put(CURSORS, cursor(name)) for name in "cab"])
        assert [stored.value.source for stored in ledger.select(CURSORS)] == ["a", "b", "c"]

    @pytest.mark.parametrize(("descending", "names"), [(False, "abc"), (True, "cba")])
    def test_select_orders_by_a_column_then_by_key(
        self, ledger: Ledger, *, descending: bool, names: str
    ) -> None:
        """Equal values are ordered by key, in the same direction."""
        events = [event("b", 1.0), event("a", 1.0), event("c", 2.0)]
        ledger.commit("test", [Put(EVENTS, each) for each in events])
        found = ledger.select(EVENTS, order_by="at", descending=descending)
        assert [stored.value.event_id for stored in found] == list(names)

    def test_select_keeps_what_is_equal(self, ledger: Ledger) -> None:
        """`where` compares a column with one value or with any of several."""
        kinds = ["run", "plan", "cluster"]
        ledger.commit("test", [Put(EVENTS, event(kind, 1.0, kind)) for kind in kinds])
        one = ledger.select(EVENTS, where={"kind": "plan"})
        any_of = ledger.select(EVENTS, where={"kind": ["plan", "run", "person"]})
        assert [stored.value.kind for stored in one] == ["plan"]
        assert [stored.value.kind for stored in any_of] == ["plan", "run"]

    def test_select_keeps_nothing_of_no_values(self, ledger: Ledger) -> None:
        """An empty sequence of wanted values matches no record."""
        ledger.commit("test", [Put(EVENTS, event("a", 1.0))])
        assert ledger.select(EVENTS, where={"kind": []}) == []

    def test_since_excludes_its_own_instant(self, ledger: Ledger) -> None:
        """`since` makes reading in portions possible without reading twice."""
        ledger.commit("test", [Put(EVENTS, event(f"e{n}", float(n))) for n in range(4)])
        found = ledger.select(EVENTS, order_by="at", since=1.0)
        assert [stored.value.at for stored in found] == [2.0, 3.0]

    def test_limit_keeps_the_first(self, ledger: Ledger) -> None:
        """The limit is applied after the order."""
        ledger.commit("test", [Put(EVENTS, event(f"e{n}", float(n))) for n in range(4)])
        found = ledger.select(EVENTS, order_by="at", descending=True, limit=2)
        assert [stored.value.at for stored in found] == [3.0, 2.0]

    @pytest.mark.parametrize("query", [{"where": {"colour": "red"}}, {"order_by": "colour"}])
    def test_a_column_that_is_not_there_is_an_error(
        self, ledger: Ledger, query: dict[str, object]
    ) -> None:
        """A misspelt column is a fault of the caller, not an empty answer."""
        with pytest.raises(ValueError, match="colour"):
            ledger.select(DEPLOYMENTS, **query)  # type: ignore[arg-type]  # built by parametrize

    def test_of_many_threads_each_increment_counts_once(self, ledger: Ledger) -> None:
        """Compare-and-set loses no update between threads."""
        ledger.commit("test", [Put(CURSORS, cursor("n", "0"))])
        threads = [threading.Thread(target=_increment, args=(ledger, 10)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stored = ledger.get(CURSORS, "n")
        assert stored is not None
        assert stored.value.position == "40"


def _increment(ledger: Ledger, times: int) -> None:
    done = 0
    while done < times:
        done += _incremented(ledger)


def _incremented(ledger: Ledger) -> bool:
    stored = ledger.get(CURSORS, "n")
    assert stored is not None
    following = cursor("n", str(int(stored.value.position) + 1))
    try:
        ledger.commit("test", [Put(CURSORS, following, stored.version)])
    except ConflictError:
        return False
    return True
