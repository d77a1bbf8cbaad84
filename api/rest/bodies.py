"""Requests as they come in: a size limit, and bodies in JSON or YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pydantic
from fastapi import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.messages import problems
from engine.model import documents
from engine.model.errors import Fault, InvalidInputError

T = TypeVar("T")

TOO_LARGE = 413
_YAML = frozenset(
    {"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain"}
)


class SizeLimit:
    """ASGI middleware that refuses bodies above a limit before they are read."""

    def __init__(self, app: ASGIApp, bytes_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting what is read of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._bytes_max:
            await too_large(self._bytes_max)(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._bytes_max:
                raise TooLargeError
            return message

        await self._app(scope, counted, send)


def too_large(bytes_max: int) -> JSONResponse:
    """Return the answer to a request that is too large."""
    content = {
        "type": "/help/H413",
        "title": "The request is too large",
        "status": TOO_LARGE,
        "detail": f"the body is larger than {bytes_max:,} bytes",
        "kind": "refused",
        "code": "H413",
        "fix": "send less, or raise `request_bytes_max` in the settings",
    }
    return JSONResponse(content, TOO_LARGE, media_type=problems.MEDIA_TYPE)


class TooLargeError(Exception):
    """A body without a declared length turned out to be too large; answered by `too_large`."""


@dataclass(frozen=True, slots=True)
class RawBody:
    """A body as it was sent."""

    content: bytes
    media_type: str

    @property
    def is_yaml(self) -> bool:
        """Whether it says that it is YAML."""
        return self.media_type in _YAML

    def text(self) -> str:
        """Return the body as text.

        Raises:
            InvalidInputError: when it is not UTF-8.
        """
        try:
            return self.content.decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"is not UTF-8 at byte {error.start}"
            raise InvalidInputError("the body", [Fault(code="S001", message=message)]) from error

    def mapping(self) -> Mapping[str, Any]:
        """Return the body as a JSON object; an empty body is an empty one.

        Raises:
            InvalidInputError: when it is not JSON, or not an object.
        """
        text = self.text()
        try:
            content: Any = json.loads(text or "{}")
        except (ValueError, RecursionError) as error:
            raise InvalidInputError("the body", [_json_fault(error, text)]) from error
        if not isinstance(content, dict):
            message = f"must be a JSON object, not a {type(content).__name__}"
            raise InvalidInputError("the body", [Fault(code="S001", message=message)])
        return content

    def read(self, kind: type[T]) -> T:
        """Return the body as a value of a model type.

        Raises:
            InvalidInputError: with every fault, each with its path.
        """
        return from_mapping(kind, self.mapping())


def from_mapping(kind: type[T], mapping: Mapping[str, Any]) -> T:
    """Return a JSON object as a value of a model type; unknown keys are faults too.

    Raises:
        InvalidInputError: with every fault, each with its path.
    """
    adapter = documents.adapter(kind)
    known = frozenset(getattr(kind, "__dataclass_fields__", {}))
    faults = [
        Fault(code="S002", message=f"unknown key `{name}`", path=name, candidates=tuple(known))
        for name in mapping
        if name not in known
    ]
    try:
        # As JSON text, since tuples and enumerations are written as lists and strings there.
        value = adapter.validate_json(json.dumps(mapping))
    except pydantic.ValidationError as error:
        raise InvalidInputError(
            "the body", [*faults, *validation_faults(error.errors())]
        ) from error
    if faults:
        raise InvalidInputError("the body", faults)
    return value


def validation_faults(found: Any) -> list[Fault]:  # noqa: ANN401 - pydantic's and FastAPI's alike
    """Return faults for what pydantic found."""
    return [
        Fault(
            code="S004",
            message=f"{item['msg'][:1].lower()}{item['msg'][1:]}",
            path=".".join(str(part) for part in item["loc"]),
        )
        for item in found
    ]


def _json_fault(error: ValueError | RecursionError, text: str) -> Fault:
    """Return the fault of a text that is not JSON, placed where the parser gave up."""
    if isinstance(error, RecursionError):
        return Fault(code="S001", message="is not JSON: it is nested too deeply")
    if not isinstance(error, json.JSONDecodeError):  # Python's own bound, `int_max_str_digits`
        return Fault(code="S001", message="has a whole number of too many digits")
    lines = text.splitlines()
    line = lines[error.lineno - 1] if error.lineno <= len(lines) else ""
    return Fault(
        code="S001",
        message=f"is not JSON: {error.msg}",
        line=error.lineno,
        column=error.colno,
        source_line=line[:200],
    )


async def raw_body(request: Request) -> RawBody:
    """Return the body of a request; a dependency, so that handlers stay plain functions."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return RawBody(await request.body(), media_type)
