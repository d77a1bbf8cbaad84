"""Tells open pages that something changed, as server-sent events; they ask for themselves again.

The stream says `changed` and nothing else: a page is rendered in one place only, and what it shows
with scripts is what it shows without. Ages and charts move on while nothing changes, so it also
says so from time to time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from api.web.desk import Desk
from api.wiring.feed import Feed

PAUSE_SECONDS = 1.0
TICK_SECONDS = 10.0
CHANGED = "event: changed\ndata: 1\n\n"


async def stream(request: Request, desk: Desk) -> StreamingResponse:
    """Stream that something changed, until the page is closed."""
    feed = await run_in_threadpool(Feed, desk.sources.ledger)
    return StreamingResponse(
        changes(request, feed, desk),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def changes(request: Request, feed: Feed, desk: Desk) -> AsyncIterator[str]:
    """Yield `changed` for every look at which something is new, and every ten seconds."""
    yield "retry: 2000\n\n"
    quiet = 0.0
    while not desk.sources.is_stopped() and not await request.is_disconnected():
        news = await run_in_threadpool(feed.news)
        quiet += PAUSE_SECONDS
        if news or quiet >= TICK_SECONDS:
            quiet = 0.0
            yield CHANGED
        await anyio.sleep(PAUSE_SECONDS)
