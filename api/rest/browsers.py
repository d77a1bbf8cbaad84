"""What a server that browsers reach must do: refuse what other sites send, and say how to behave.

The engine listens on the loopback without passwords, so any page that a person visits could send
it requests. Browsers say where a request comes from; programs do not, and are let through.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.messages import problems
from engine.model.errors import RefusedError

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({"same-origin", "none"})
_FORBIDDEN = 403
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"
"""The policy of answers that are no pages; pages set one of their own."""


class Browsers:
    """ASGI middleware that refuses changes from other sites and adds security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless another site makes a browser send it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", _NO_CONTENT)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["method"] not in _SAFE_METHODS and _is_foreign(Headers(scope=scope)):
            await _refusal()(scope, receive, protected)
            return
        await self._app(scope, receive, protected)


def _is_foreign(headers: Headers) -> bool:
    """Return whether a browser says that another site asked for this request."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in _OWN_SITES
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host", "")


def _refusal() -> JSONResponse:
    error = RefusedError(
        "another site made your browser send this request; nothing was changed",
        fix="open Berth's own page and do it there",
        code="H403",
    )
    content = {**problems.problem(error), "status": _FORBIDDEN}
    return JSONResponse(content, _FORBIDDEN, media_type=problems.MEDIA_TYPE)
