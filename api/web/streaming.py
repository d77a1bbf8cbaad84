"""Tells open pages that something changed, as server-sent events; they ask for themselves again.

The stream says `changed` and nothing else: a page is rendered in one place only, and what it shows
with scripts is what it shows without. Ages and charts move on while nothing changes, so it also
says so from time to time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

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
        changes(request.is_disconnected, feed, desk.sources.is_stopped),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def changes(
    is_left: Callable[[], Awaitable[bool]], feed: Feed, is_stopped: Callable[[], bool]
) -> AsyncIterator[str]:
    """Yield `changed` for every look at which something is new, and every ten seconds.

    It ends when its page is left or the engine stops.
    """
    yield "retry: 2000\n\n"
    quiet = 0.0
    while not is_stopped() and not await is_left():
        news = await run_in_threadpool(feed.news)
        quiet += PAUSE_SECONDS
        if news or quiet >= TICK_SECONDS:
            quiet = 0.0
            yield CHANGED
        await anyio.sleep(PAUSE_SECONDS)
