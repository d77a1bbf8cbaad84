"""Where each model serves now, kept up to date from the engine's deployments."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.model.dispatches import Deployment
from engine.model.errors import BerthError

_LOG = logging.getLogger(__name__)
Source = Callable[[], Sequence[Deployment]]
"""Returns what serves; called in a thread, may raise a `BerthError`."""


def addresses(deployments: Sequence[Deployment]) -> dict[str, tuple[str, ...]]:
    """Return the base URLs of each model; none for one that is being moved."""
    found: dict[str, tuple[str, ...]] = {}
    for each in deployments:
        former = found.get(each.pipeline, ())
        found[each.pipeline] = (*former, each.endpoint) if each.endpoint else former
    return found


@dataclass(slots=True, eq=False)
class Table:
    """The base URLs of each model. Used by the thread of the event loop.

    source: asked again every `seconds`, and at once (but not faster than `seconds_min`) when
    somebody found a server gone. When it fails, what was known last goes on to hold: servers answer
    without the engine. age_seconds_max: never mind how old that is.
    """

    source: Source
    seconds: float = 1.0
    seconds_min: float = 0.1
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refreshes: int = 0
    failures: int = 0
    moves: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    async def refresh(self) -> None:
        """Ask the source once."""
        try:
            found = addresses(await asyncio.to_thread(self.source))
        except BerthError as error:
            self.failures += 1
            _LOG.warning("the engine does not say what serves: %s", error.message)
            return
        self.refreshes += 1
        if found != self.known:
            self.moves += sum(self.known[name] != found.get(name) for name in self.known)
            self.known = found
            self._changed.set()
            self._changed = asyncio.Event()

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            await self.refresh()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), self.seconds)
                await asyncio.sleep(self.seconds_min)
            self._wanted.clear()

    async def look_again(self, seconds_max: float) -> None:
        """Have the source asked, and wait until it says something new, or for so long."""
        changed = self._changed
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), seconds_max)
