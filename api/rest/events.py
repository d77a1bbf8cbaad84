"""What changes, as server-sent events: every new version of what people watch.

An event has the name of its collection (`runs`, `task_runs`, `super_alarms`, ...), the record as
JSON in `data`, and its key and version as `id`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from api.rest import answering
from api.wiring import Application
from engine.model import documents, records
from engine.model.dispatches import RunState
from engine.ports import Ledger

router = answering.router("events")

_PAUSE_SECONDS = 0.5
_SILENCE_SECONDS = 15.0
_NEWEST = 50
_NEWEST_RUNS = 3

_WATCHED: tuple[tuple[records.Collection[Any], str], ...] = (
    (records.RUNS, "created_at"),
    (records.SUPER_ALARMS, "updated_at"),
    (records.ACTIONS, "wanted_at"),
    (records.EVENTS, "at"),
    (records.DEPLOYMENTS, ""),
)


class Feed:
    """Finds out what is new since it was last asked."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen: Mapping[str, int] = {name: version for name, version, _ in self._now()}

    def news(self) -> list[str]:
        """Return an event for each record that is new or changed."""
        found = list(self._now())
        fresh = [_event(name, v, value) for name, v, value in found if self._seen.get(name) != v]
        self._seen = {name: version for name, version, _ in found}
        return fresh

    def _now(self) -> Iterator[tuple[str, int, object]]:
        for collection, order in _WATCHED:
            for stored in self._ledger.select(
                collection, order_by=order, descending=bool(order), limit=_NEWEST
            ):
                yield (
                    f"{collection.name}/{collection.key(stored.value)}",
                    stored.version,
                    stored.value,
                )
        for run_id in self._runs():
            tasks = self._ledger.select(records.TASK_RUNS, where={"run_id": run_id})
            for task in tasks:
                key = records.TASK_RUNS.key(task.value)
                yield f"{records.TASK_RUNS.name}/{key}", task.version, task.value

    def _runs(self) -> list[str]:
        """Return the runs whose tasks are watched: active ones, and the newest.

        A run that began and ended between two looks is one of the newest.
        """
        active = self._ledger.select(records.RUNS, where={"state": RunState.ACTIVE.value})
        newest = self._ledger.select(
            records.RUNS, order_by="created_at", descending=True, limit=_NEWEST_RUNS
        )
        return list(dict.fromkeys(stored.value.run_id for stored in (*active, *newest)))


def _event(name: str, version: int, value: object) -> str:
    kind = name.partition("/")[0]
    return f"event: {kind}\nid: {name}@{version}\ndata: {documents.encode(value)}\n\n"


@router.get("/v1/events", response_class=StreamingResponse)
async def events(request: Request, application: answering.Served) -> StreamingResponse:
    """Stream what changes, as server-sent events, until the caller goes away."""
    feed = await run_in_threadpool(Feed, application.parts.ledger)
    return StreamingResponse(
        _stream(request, feed, application),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(request: Request, feed: Feed, application: Application) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    quiet = 0.0
    while not application.parts.clock.is_stopped and not await request.is_disconnected():
        news = await run_in_threadpool(feed.news)
        for event in news:
            yield event
        quiet = 0.0 if news else quiet + _PAUSE_SECONDS
        if quiet >= _SILENCE_SECONDS:
            quiet = 0.0
            yield ": still here\n\n"
        await anyio.sleep(_PAUSE_SECONDS)
