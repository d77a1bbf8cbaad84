"""Canonical JSON of model values: the same value gives the same bytes, everywhere.

Keys are sorted, separators are tight, numbers are written by `repr`, not-a-number is refused.
Pydantic reads and checks; the adapters are built once per type.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from engine.model.errors import DamagedError
from engine.model.identifiers import Digest

T = TypeVar("T")


_BUILDING = threading.Lock()
# Two threads that build adapters of types with common parts at once disturb one another.
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}
# Building an adapter costs milliseconds and using it microseconds, so each is kept.


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """Return the pydantic adapter of a model type."""
    known = _ADAPTERS.get(kind)
    if known is None:
        with _BUILDING:
            known = _ADAPTERS.setdefault(kind, TypeAdapter(kind))
    return known


def plain(value: object) -> object:
    """Return a value as plain dictionaries, lists, strings and numbers."""
    return adapter(type(value)).dump_python(value, mode="json")


def encode(value: object) -> str:
    """Return the canonical JSON text of a model value.

    Raises:
        ValueError: when a number in it is not finite.
    """
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def decode(kind: type[T], text: str | bytes) -> T:
    """Read a value back from its JSON text.

    Raises:
        DamagedError: when the text is not JSON or not such a value.
    """
    try:
        return adapter(kind).validate_json(text)
    except ValidationError as error:
        place = error.errors()[0]
        where = ".".join(str(part) for part in place["loc"]) or "the top"
        message = f"a stored {kind.__name__} is damaged at {where}: {place['msg']}"
        raise DamagedError(message, fix="restore the data folder from a backup") from error


def sha256(data: bytes) -> Digest:
    """Return the digest of some bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def letters(text: str, count: int = 8) -> str:
    """Return the first `count` of the base-32 letters of the text's SHA-256, in lower case."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:count]
