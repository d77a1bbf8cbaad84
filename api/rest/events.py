"""What changes, as server-sent events: every new version of what people watch.

An event has the name of its collection (`runs`, `task_runs`, `super_alarms`, ...), the record as
JSON in `data`, and its key and version as `id`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from api.rest import answering
from api.wiring import Application
from api.wiring.feed import Feed, News
from engine.model import documents

router = answering.router("events")

_PAUSE_SECONDS = 0.5
_SILENCE_SECONDS = 15.0


def _event(one: News) -> str:
    kind = one.name.partition("/")[0]
    data = documents.encode(one.value)
    return f"event: {kind}\nid: {one.name}@{one.version}\ndata: {data}\n\n"


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
            yield _event(event)
        quiet = 0.0 if news else quiet + _PAUSE_SECONDS
        if quiet >= _SILENCE_SECONDS:
            quiet = 0.0
            yield ": still here\n\n"
        await anyio.sleep(_PAUSE_SECONDS)
