"""Heads of requests that came before, byte for byte, so that they need not be parsed again.

A client sends the same request line and headers again and again; only the body differs. What a
head says is a function of its bytes, so a head that the parser has once accepted is known by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

END = b"\r\n\r\n"
HEADS_MAX = 256
HEAD_BYTES_MAX = 2048
_START = b"POST "
_PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization"})
"""Heads with these are not kept: their bytes would outlive their request."""
_FRAMING = frozenset({"transfer-encoding", "upgrade", "expect"})
"""Heads with these need the parser: their body is not just as long as they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a head of an inference request says. The connection stays open after it.

    target: model and version. body_bytes: how long the body is.
    """

    target: tuple[str, str]
    headers: dict[str, str]
    body_bytes: int


@dataclass(slots=True)
class Heads:
    """The heads that are known, a bounded number. Used by the thread of the event loop."""

    known: dict[bytes, Head] = field(default_factory=dict)

    def remember(
        self, data: bytes, target: tuple[str, str], headers: Mapping[str, str], bytes_max: int
    ) -> None:
        """Keep a head that the parser has accepted, if others like it may skip the parser.

        data: its bytes, with the empty line at the end. bytes_max: longest body that is taken.
        """
        length = headers.get("content-length", "")
        usual = data.startswith(_START) and len(data) <= HEAD_BYTES_MAX
        # A lone line feed might end the head earlier for the parser than it does for us.
        usual = usual and data.count(b"\n") == data.count(b"\r\n")
        if not usual or not length.isdigit() or int(length) > bytes_max:
            return
        if not headers.keys().isdisjoint(_PRIVATE | _FRAMING):
            return
        if len(self.known) >= HEADS_MAX:
            self.known.clear()
        self.known[data] = Head(target=target, headers=dict(headers), body_bytes=int(length))
