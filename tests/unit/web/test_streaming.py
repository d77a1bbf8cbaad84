"""Open pages are told that something changed, and ask for themselves again."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from api.web import streaming
from api.wiring.feed import Feed
from engine import store
from engine.model import records
from engine.model.alarms import Event
from engine.model.records import Put
from engine.ports import Ledger


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = store.open_ledger("sqlite://")
    yield made
    made.close()


def told(ledger: Ledger, looks: int, *, changes_at: int = -1, stops_at: int = 1_000) -> list[str]:
    """Return what is streamed over so many looks; something changes before one of them."""
    seen = 0

    async def is_left() -> bool:
        nonlocal seen
        seen += 1
        if seen == changes_at:
            event = Event(event_id="e", at=1.0, kind="run", subject="run:r-1", message="")
            ledger.commit("test", [Put(records.EVENTS, event)])
        return seen > looks

    async def stream() -> list[str]:
        changes = streaming.changes(is_left, Feed(ledger), lambda: seen >= stops_at)
        return [part async for part in changes]

    return anyio.run(stream)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pause(seconds: float) -> None:
        del seconds

    monkeypatch.setattr(anyio, "sleep", pause)


def test_what_changed_is_told_once(ledger: Ledger) -> None:
    assert told(ledger, 5, changes_at=3) == ["retry: 2000\n\n", streaming.CHANGED]


def test_now_and_then_it_is_told_in_any_case(ledger: Ledger) -> None:
    looks = int(2 * streaming.TICK_SECONDS / streaming.PAUSE_SECONDS)
    assert told(ledger, looks).count(streaming.CHANGED) == 2


def test_it_ends_with_the_engine(ledger: Ledger) -> None:
    assert told(ledger, 1_000, stops_at=2) == ["retry: 2000\n\n"]
