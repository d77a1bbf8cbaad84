"""HTTP to one registry: a connection that is kept, logins, and what a failure means.

Plain HTTP is spoken with this machine only, as docker and podman do, unless it is asked for.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast
from urllib.parse import urlencode, urlsplit

from engine.model.errors import FinalError, RefusedError, UnreachableError
from executors.packaging.oci.credentials import Credentials

_TIMEOUT_SECONDS = 30.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_UNAUTHORIZED = 401
_SERVER_FAULT = 500
_TOO_MANY = 429
_SHOWN_CHARACTERS = 300
ANSWER_BYTES_MAX = 4 << 20
"""Of anything but a blob: as much as registries keep of a manifest."""


class _EndlessError(Exception):
    """An answer is longer than was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a registry answered. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One request. bytes_max: of the body of its answer."""

    method: str
    path: str
    body: bytes | IO[bytes] | None
    headers: Mapping[str, str]
    bytes_max: int

    @property
    def name(self) -> str:
        return f"{self.method} {self.path[:120]}"


class Transport:
    """One registry. Not for several threads.

    host: name and port; credentials: None for nobody; is_plain: HTTP without TLS.
    """

    def __init__(
        self,
        host: str,
        credentials: Credentials | None = None,
        *,
        is_plain: bool | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> None:
        self.host = host
        name = urlsplit(f"//{host}").hostname or ""
        if not name:
            raise RefusedError(f"{host!r} is no registry", fix="write HOST or HOST:PORT")
        self._plain = name in _LOOPBACK if is_plain is None else is_plain
        self._credentials = credentials
        self._timeout_seconds = timeout_seconds
        self._connection: http.client.HTTPConnection | None = None
        self._authorization = ""

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> Answer:
        """Send one request and return the answer, logging in where the registry asks for it.

        bytes_max: of the answer's body.

        Raises:
            UnreachableError: when there is no answer.
            RefusedError: when it does not know us, or answers with more than that.
        """
        asked = _Question(
            method=method, path=path, body=body, headers=headers or {}, bytes_max=bytes_max
        )
        try:
            return self._asked(asked)
        except _EndlessError as error:
            self.close()
            message = f"registry {self.host!r} answers {asked.name} with {error}"
            raise RefusedError(message, fix="push the image again, or use another registry") from (
                error
            )

    def _asked(self, asked: _Question) -> Answer:
        answer = self._once(asked)
        if answer.status != _UNAUTHORIZED:
            return answer
        self._authorization = self._log_in(answer.headers.get("www-authenticate", ""))
        if asked.body is not None and not isinstance(asked.body, bytes):
            asked.body.seek(0)
        answer = self._once(asked)
        if answer.status == _UNAUTHORIZED:
            raise self._stranger()
        return answer

    def _stranger(self) -> RefusedError:
        who = repr(self._credentials.user) if self._credentials else "nobody in particular"
        message = f"registry {self.host!r} does not let in {who}"
        return RefusedError(message, fix=f"log in: docker login {self.host}")

    def _once(self, asked: _Question) -> Answer:
        """Send a request; a kept connection that the registry closed meanwhile is opened anew."""
        is_fresh = self._connection is None
        try:
            return self._send(asked)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            is_repeatable = asked.body is None or isinstance(asked.body, bytes)
            if is_fresh or not is_repeatable or isinstance(error, TimeoutError):
                raise self._gone(asked.name, error) from error
        try:
            return self._send(asked)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._gone(asked.name, error) from error

    def _gone(self, what: str, error: Exception) -> UnreachableError:
        message = f"registry {self.host!r} does not answer ({what}): {error}"
        return UnreachableError(message, fix="wait until it is up, then repeat the push or pull")

    def _send(self, asked: _Question) -> Answer:
        if self._connection is None:
            self._connection = self._connect(self.host, is_plain=self._plain)
        sent = dict(asked.headers)
        if self._authorization:
            sent["Authorization"] = self._authorization
        self._connection.request(asked.method, asked.path, asked.body, sent)
        response = self._connection.getresponse()
        return Answer(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=_bounded(response, asked.bytes_max),
        )

    def _connect(self, host: str, *, is_plain: bool) -> http.client.HTTPConnection:
        if is_plain:
            return http.client.HTTPConnection(host, timeout=self._timeout_seconds)
        return http.client.HTTPSConnection(
            host, timeout=self._timeout_seconds, context=ssl.create_default_context()
        )

    def _log_in(self, challenge: str) -> str:
        """Return the authorization that a challenge asks for (distribution's token protocol).

        Raises:
            RefusedError: when we have no login, or the token server refuses it.
        """
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._credentials is not None:
            return self._credentials.basic
        if scheme.lower() != "bearer":
            raise self._stranger()
        fields = dict(_CHALLENGE.findall(rest))
        realm = urlsplit(fields.get("realm", ""))
        is_plain = realm.scheme == "http"
        if not realm.hostname or (is_plain and realm.hostname not in _LOOPBACK):
            message = f"registry {self.host!r} sends logins to {fields.get('realm')!r}"
            raise RefusedError(message, fix="use a registry whose token server speaks HTTPS")
        query = urlencode({k: v for k, v in fields.items() if k in {"service", "scope"}})
        connection = self._connect(realm.netloc, is_plain=is_plain)
        headers = {"Authorization": self._credentials.basic} if self._credentials else {}
        try:
            connection.request("GET", f"{realm.path}?{query}", headers=headers)
            response = connection.getresponse()
            answer: Any = json.loads(_bounded(response, ANSWER_BYTES_MAX))
            token = answer.get("token") or answer.get("access_token")
        except (
            *(OSError, http.client.HTTPException, ValueError, AttributeError),
            RecursionError,
        ) as error:
            raise self._gone(f"GET {fields['realm'][:120]}", error) from error
        finally:
            connection.close()
        if not token:
            raise self._stranger()
        return f"Bearer {token}"


def _bounded(response: http.client.HTTPResponse, bytes_max: int) -> bytes:
    """Return the body of an answer.

    Raises:
        _EndlessError: when it is longer; the connection cannot be used any more.
        IncompleteRead: when it was cut off.
    """
    body = response.read(bytes_max + 1)
    if len(body) > bytes_max:
        raise _EndlessError(f"more than {bytes_max:,} bytes")
    if response.length:
        raise http.client.IncompleteRead(body, response.length)
    return body


def expect(answer: Answer, allowed: tuple[int, ...], what: str, host: str) -> Answer:
    """Return the answer when its status is one of those expected.

    Raises:
        UnreachableError: when the registry failed on its side.
        RefusedError: when it refused; with what it said.
    """
    if answer.status in allowed:
        return answer
    said = _said(answer.body)
    message = f"registry {host!r} answers {answer.status} to {what}: {said}"
    if answer.status >= _SERVER_FAULT or answer.status == _TOO_MANY:
        raise UnreachableError(message, fix="wait until the registry is well, then repeat")
    kind: Callable[..., FinalError] = RefusedError
    raise kind(message, fix="check the image's name and your rights in the registry")


def _said(body: bytes) -> str:
    """Return the registry's own words."""
    try:
        first = cast("dict[str, Any]", json.loads(body))["errors"][0]
        return f"{first.get('code')}: {first.get('message')}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return body[:_SHOWN_CHARACTERS].decode(errors="replace") or "nothing"
