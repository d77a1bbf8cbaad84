"""Requests to the engine; problem documents and silence come back as errors of the error tree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TypeVar

import httpx

from api.client import discovery
from api.messages import problems
from engine.model import documents
from engine.model.errors import BerthError, DamagedError

T = TypeVar("T")

_HTTP_ERROR = 400
_CONNECT_SECONDS = 5.0


class Transport:
    """Speaks HTTP with one engine. May be used from several threads.

    timeout_seconds: longest wait for an answer; solving is the longest thing an engine does.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 120.0) -> None:
        self.url = url.rstrip("/")
        # The engine is on this machine: a proxy for the world outside is not asked.
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(timeout_seconds, connect=_CONNECT_SECONDS),
            trust_env=False,
            # Reading the certificates of all authorities takes as long as several answers.
            verify=self.url.startswith("https:"),
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | float | None] | None = None,
        content: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return the answer to a request.

        content: a model value, sent as JSON.

        Raises:
            BerthError: of the class that the engine raised; `UnreachableError` when nothing
                answers.
        """
        body = None if content is None else _body(content)
        sent = {"content-type": "application/json"} if body is not None else {}
        asked = {key: value for key, value in (query or {}).items() if value is not None}
        try:
            response = self._http.request(
                method, path, params=asked, content=body, headers={**sent, **(headers or {})}
            )
        except httpx.HTTPError as error:
            raise discovery.not_running(f"{self.url}: {error}") from error
        if response.status_code >= _HTTP_ERROR:
            raise _error(response)
        return response

    def value(
        self,
        kind: type[T],
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | float | None] | None = None,
        content: object = None,
    ) -> T:
        """Return the answer to a request, read as a model value."""
        response = self.ask(method, path, query=query, content=content)
        return documents.decode(kind, response.content)

    def lines(self, path: str) -> Iterator[str]:
        """Yield the lines of an endless answer as they come.

        Raises:
            UnreachableError: when the engine goes away.
        """
        endless = httpx.Timeout(None, connect=_CONNECT_SECONDS)
        try:
            with self._http.stream("GET", path, timeout=endless) as response:
                if response.status_code >= _HTTP_ERROR:
                    response.read()
                    raise _error(response)
                yield from response.iter_lines()
        except httpx.HTTPError as error:
            raise discovery.not_running(f"{self.url}: {error}") from error


def _body(content: object) -> bytes:
    """Return a model value as JSON, its keys as they are: tasks have the order of the author."""
    return json.dumps(documents.plain(content), ensure_ascii=False, allow_nan=False).encode()


def _error(response: httpx.Response) -> BerthError:
    """Return the error that an answer tells of."""
    try:
        content = json.loads(response.content)
    except ValueError:
        content = None
    if isinstance(content, dict):
        return problems.error(content)
    message = f"{response.request.url} answered {response.status_code}, and no problem document"
    return DamagedError(message, fix="check that BERTH_URL is that of a Berth engine")
