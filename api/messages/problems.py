"""Problem documents (RFC 9457): errors of the error tree as JSON, and back.

Extension members: `kind` (which error of the tree), `code`, `fix`, and where they apply
`document`, `faults`, `clashes` and `changes`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from engine.model import documents, errors

T = TypeVar("T")

MEDIA_TYPE = "application/problem+json"

_KINDS: tuple[tuple[type[errors.BerthError], str, int, str], ...] = (
    (errors.InvalidInputError, "invalid-input", 422, "The document has faults"),
    (errors.NotFoundError, "not-found", 404, "Nothing has that name"),
    (errors.InfeasibleError, "infeasible", 409, "These wishes cannot hold together"),
    (errors.WorldChangedError, "world-changed", 412, "The world changed since the plan was made"),
    (errors.RefusedError, "refused", 409, "A rule forbids it"),
    (errors.DamagedError, "damaged", 500, "Stored data is damaged"),
    (errors.UnreachableError, "unreachable", 503, "Something does not answer"),
    (errors.ConflictError, "conflict", 409, "Somebody else changed it first"),
    (errors.RetryableError, "retryable", 503, "It may succeed later"),
    (errors.FinalError, "final", 500, "It cannot succeed"),
    (errors.BerthError, "error", 500, "It failed"),
)


def problem(error: errors.BerthError) -> dict[str, Any]:
    """Return the problem document of an error."""
    _, kind, status, title = next(entry for entry in _KINDS if isinstance(error, entry[0]))
    content: dict[str, Any] = {
        "type": f"/help/{error.code}",
        "title": title,
        "status": status,
        "detail": error.message,
        "kind": kind,
        "code": error.code,
        "fix": error.fix,
    }
    if isinstance(error, errors.InvalidInputError):
        content["document"] = error.document
        content["faults"] = [documents.plain(fault) for fault in error.faults]
    if isinstance(error, errors.InfeasibleError):
        content["clashes"] = [documents.plain(clash) for clash in error.clashes]
    if isinstance(error, errors.WorldChangedError):
        content["changes"] = list(error.changes)
    return content


def error(content: Mapping[str, Any]) -> errors.BerthError:
    """Return the error that a problem document tells of; unknown kinds become `BerthError`."""
    kind = str(content.get("kind", ""))
    message = str(content.get("detail") or content.get("title") or "an error without words")
    fix, code = str(content.get("fix", "")), str(content.get("code", ""))
    if kind in _READERS:
        return _READERS[kind](content, message, fix, code)
    for type_, name, _, _ in _KINDS:
        if name == kind:
            return type_(message, fix=fix, code=code)
    return errors.BerthError(message, fix=fix, code=code)


def _invalid(content: Mapping[str, Any], *_: str) -> errors.BerthError:
    faults = [_value(errors.Fault, item) for item in _items(content, "faults")]
    return errors.InvalidInputError(str(content.get("document", "input")), faults)


def _infeasible(content: Mapping[str, Any], message: str, fix: str, code: str) -> errors.BerthError:
    clashes = [_value(errors.Clash, item) for item in _items(content, "clashes")]
    return errors.InfeasibleError(message, clashes=clashes, fix=fix, code=code)


def _changed(content: Mapping[str, Any], message: str, fix: str, code: str) -> errors.BerthError:
    changes = [str(item) for item in _items(content, "changes")]
    return errors.WorldChangedError(message, changes=changes, fix=fix, code=code)


_READERS: dict[str, Callable[[Mapping[str, Any], str, str, str], errors.BerthError]] = {
    "invalid-input": _invalid,
    "infeasible": _infeasible,
    "world-changed": _changed,
}


def _items(content: Mapping[str, Any], key: str) -> Sequence[object]:
    found = content.get(key)
    return found if isinstance(found, list) else ()


def _value(kind: type[T], item: object) -> T:
    return documents.decode(kind, json.dumps(item))
