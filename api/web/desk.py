"""What every page needs: the sources it reads, and templates to lay out what it found."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import jinja2
from fastapi import responses

from api.messages.context import Context
from api.report import phrases, words
from api.wiring.hands_desk import HandsDesk
from api.wiring.training_desk import TrainingDesk
from engine import ports
from engine.model import errors, fleet, records

FOLDER = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
NEWEST = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the pages read, and what people change there.

    acknowledge: takes a super-alarm's id; silence: its id, seconds, and why.
    context: what surrounds a super-alarm; hands: what else people may do with one.
    trainings: records of what was trained.
    is_stopped: whether the engine is ending, so that open streams end too.
    """

    ledger: ports.Ledger
    clock: ports.Clock
    fleet: Callable[[], fleet.Fleet]
    version: str
    acknowledge: Callable[[str], object]
    silence: Callable[[str, float, str], object]
    context: Callable[[str], Context]
    hands: HandsDesk
    trainings: TrainingDesk
    is_stopped: Callable[[], bool] = lambda: False


class Desk:
    """Reads records and renders templates. May be used from several threads."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )

    def now(self) -> float:
        """Return seconds since 1970."""
        return self.sources.clock.now()

    def page(self, template: str, *, status: int = 200, **content: object) -> responses.Response:
        """Return a template as a page."""
        shared = {
            "asset": asset,
            "version": self.sources.version,
            "clock": words.clock_time,
            "iso": phrases.iso,
        }
        text = self._templates.get_template(template).render(**shared, **content)
        return responses.HTMLResponse(text, status, headers=HEADERS)

    def newest(
        self, collection: records.Collection[T], order_by: str, limit: int = NEWEST
    ) -> list[T]:
        """Return records, those first whose column `order_by` is largest."""
        found = self.sources.ledger.select(
            collection, order_by=order_by, descending=bool(order_by), limit=limit
        )
        return [stored.value for stored in found]

    def one(self, collection: records.Collection[T], key: str, what: str) -> T:
        """Return one record.

        Raises:
            NotFoundError: when there is none of that key.
        """
        stored = self.sources.ledger.get(collection, key)
        if stored is None:
            fix = f"the list of {what}s shows those there are"
            raise errors.NotFoundError(f"there is no {what} {key!r}", fix=fix)
        return stored.value

    def since(self, collection: records.Collection[T], at: float) -> Sequence[T]:
        """Return records after an instant, oldest first."""
        found = self.sources.ledger.select(collection, order_by="at", since=at)
        return [stored.value for stored in found]


@functools.cache
def asset(name: str) -> str:
    """Return the address of a static file with a hash of its content, so that it may be cached."""
    digest = hashlib.sha256((FOLDER / "static" / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={digest}"
