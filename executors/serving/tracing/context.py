"""The header `traceparent` (W3C Trace Context, level 1): which trace a request belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HEADER = "traceparent"
_VERSION = "00"
_INVALID_VERSION = "ff"
_SIZES = (2, 32, 16, 2)
_PARTS = len(_SIZES)
_SAMPLED = 1
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A place in a trace: ids in lower-case hexadecimal. is_sampled: whether it is recorded."""

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def header(self) -> str:
        """The header for those who are asked next."""
        return f"{_VERSION}-{self.trace_id}-{self.span_id}-{_SAMPLED * self.is_sampled:02x}"


def read(headers: Mapping[str, str]) -> Context | None:
    """Return the caller's context; None without one, or with one that is malformed."""
    given = headers.get(HEADER)
    if given is None:
        return None
    parts = given.strip().split("-")
    # Later versions may have more parts behind these; version 00 has not.
    if len(parts) < _PARTS or (parts[0] == _VERSION and len(parts) != _PARTS):
        return None
    if any(
        len(part) != size or not _DIGITS.issuperset(part)
        for part, size in zip(parts, _SIZES, strict=False)
    ):
        return None
    version, trace_id, span_id, flags = parts[:_PARTS]
    if version == _INVALID_VERSION or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Context(trace_id=trace_id, span_id=span_id, is_sampled=bool(int(flags, 16) & _SAMPLED))
