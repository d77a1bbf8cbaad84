"""Spans of requests: what is traced, when it began and ended, what it belongs to.

Times are the machine's monotonic clock in nanoseconds, as the servers measure them; they become
times of day when they are handed on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from executors.serving.tracing.context import Context, read

_TRACE_BYTES = 16
_SPAN_BYTES = 8
_TRACE_RANGE = 1 << 56


class Kind(IntEnum):
    """Kind of a span, by OTLP's numbers."""

    INTERNAL = 1
    SERVER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A span that ended; times of day in nanoseconds. error: "" for one that went well."""

    name: str
    kind: Kind
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, str | int]
    error: str = ""


@dataclass(slots=True, kw_only=True)
class Span:
    """A request that is traced.

    run_began_ns, run_ended_ns: when the model began and ended to run it, 0 as long as it did not.
    """

    tracer: Tracer
    name: str
    context: Context
    parent_id: str
    began_ns: int
    attributes: dict[str, str | int] = field(default_factory=dict)
    queued_ns: int = 0
    run_began_ns: int = 0
    run_ended_ns: int = 0

    def end(self, error: str = "") -> None:
        """Hand on the span, and below it the time in the queue and in the model."""
        now = time.monotonic_ns()
        finish = self.tracer.finish
        if self.run_began_ns:
            finish(self, "queue", self.queued_ns, self.run_began_ns)
            finish(self, "inference", self.run_began_ns, self.run_ended_ns)
        elif self.queued_ns:
            finish(self, "queue", self.queued_ns, now)
        self.tracer.hand_on(
            Finished(
                name=self.name,
                kind=Kind.SERVER,
                trace_id=self.context.trace_id,
                span_id=self.context.span_id,
                parent_id=self.parent_id,
                began_ns=self.began_ns + self.tracer.offset_ns,
                ended_ns=now + self.tracer.offset_ns,
                attributes=self.attributes,
                error=error,
            )
        )


@dataclass(slots=True, kw_only=True)
class Tracer:
    """Begins spans and hands on those that ended.

    hand_on: takes a span that ended; must not block. share: of the requests that come without a
    context, those that are recorded; the caller's decision goes before. random_bytes: for ids.
    """

    hand_on: Callable[[Finished], None]
    share: float = 1.0
    random_bytes: Callable[[int], bytes] = os.urandom
    offset_ns: int = field(default_factory=lambda: time.time_ns() - time.monotonic_ns())
    close: Callable[[], None] = lambda: None

    def begin(self, name: str, headers: Mapping[str, str], began_ns: int) -> Span | None:
        """Begin the span of a request; None for one that is not recorded."""
        caller = read(headers)
        if caller is None:
            trace_id = self.random_bytes(_TRACE_BYTES).hex()
            # The last seven bytes are the random ones, by the standard's second level.
            if int(trace_id[-14:], 16) >= self.share * _TRACE_RANGE:
                return None
        elif caller.is_sampled:
            trace_id = caller.trace_id
        else:
            return None
        own = Context(trace_id=trace_id, span_id=self._span_id(), is_sampled=True)
        parent = caller.span_id if caller else ""
        return Span(tracer=self, name=name, context=own, parent_id=parent, began_ns=began_ns)

    def finish(self, parent: Span, name: str, began_ns: int, ended_ns: int) -> None:
        """Hand on a span below a request's."""
        self.hand_on(
            Finished(
                name=name,
                kind=Kind.INTERNAL,
                trace_id=parent.context.trace_id,
                span_id=self._span_id(),
                parent_id=parent.context.span_id,
                began_ns=began_ns + self.offset_ns,
                ended_ns=ended_ns + self.offset_ns,
                attributes={},
            )
        )

    def _span_id(self) -> str:
        return self.random_bytes(_SPAN_BYTES).hex()
