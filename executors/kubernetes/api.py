"""Requests to one cluster: raw documents in and out, errors of our own tree.

Every request passes the cluster's gate. The official client adds credentials; what it
would make of the answers is left out, since typed models of a list of ten thousand pods cost four
times the processor time.
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlencode

import msgspec
import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from engine.model.errors import (
    BerthError,
    ConflictError,
    NotFoundError,
    RefusedError,
    RetryableError,
    UnreachableError,
)
from executors.kubernetes.gate import Gate
from executors.kubernetes.wire import CONNECT_SECONDS, Answer, Wire

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
FIELD_MANAGER = "berth"
REQUEST_SECONDS = 15.0
_ANSWER_BYTES_MAX = 256 * 1024**2
_WORDS_MAX = 2_000
_NO_NAMESPACE = re.compile(r'namespaces "([^"]*)" not found')
_SIGNED_SECONDS = 10.0
"""How long a token is used before the library is asked whether it has to be renewed."""

Document = dict[str, Any]


class GoneError(RetryableError):
    """What was asked for is too old: the list has to be read anew (410)."""

    default_code = "R020"


class BusyError(RetryableError):
    """The server asks for patience (429), or had a fault of its own (5xx)."""

    default_code = "R021"


class ExistsError(ConflictError):
    """There is an object of that name already."""


class NoNamespaceError(RefusedError):
    """The namespace that everything is to be made in is not there."""

    default_code = "G020"


class SilentError(UnreachableError):
    """Nothing came over a watch for a while, as on a quiet cluster, or over a dead connection."""


class Api:
    """One cluster's API server. May be used from several threads."""

    def __init__(self, name: str, api_client: client.ApiClient, gate: Gate) -> None:
        self.name = name
        self.gate = gate
        self._client = api_client
        settings = api_client.configuration
        kept = settings.connection_pool_maxsize or 1
        self._wire = Wire(settings, kept) if Wire.can_reach(settings) else None
        self._signed: dict[str, str] = {}
        self._signed_at = -_SIGNED_SECONDS

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        content_type: str = "application/json",
        seconds: float = REQUEST_SECONDS,
    ) -> Document:
        """Return the answer to one request.

        Raises:
            UnreachableError: when there is none, or the gate is shut.
            BusyError, GoneError, ConflictError, NotFoundError, RefusedError: as the status says.
        """
        text = self.read(
            method, path, query=query, body=body, content_type=content_type, seconds=seconds
        )
        return _document(text or b"{}")

    def read(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        content_type: str = "application/json",
        seconds: float = REQUEST_SECONDS,
        blames_server: bool = True,
    ) -> bytes:
        """Return the answer to one request as it came; errors as `call`.

        blames_server: false for what the server passes on to a node: its fault says nothing.
        """
        self.gate.enter()
        try:
            answer = self._ask(method, path, query, body, content_type, seconds)
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise self._no_answer(error) from error
        self._judge(answer, blames_server=blames_server)
        return answer.content

    def date(self) -> float:
        """Return the server's clock in seconds since 1970, 0 where it does not say.

        Raises:
            UnreachableError: when there is no answer, or the gate is shut.
        """
        self.gate.enter()
        try:
            answer = self._ask("GET", "/version", None, None, "", REQUEST_SECONDS)
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise self._no_answer(error) from error
        self.gate.succeeded()
        try:
            return email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
        except ValueError:
            return 0.0

    def watch(
        self, path: str, query: Mapping[str, object], inactivity_seconds: float
    ) -> tuple[urllib3.BaseHTTPResponse, Iterator[Document]]:
        """Return an open watch and its events; the response's `shutdown` ends it.

        Raises:
            SilentError: while iterating, when nothing came for `inactivity_seconds`.
            UnreachableError: also while iterating, when the connection broke off.
            GoneError: also while iterating, when the version watched from is too old.
        """
        self.gate.enter()
        timeout = urllib3.Timeout(connect=REQUEST_SECONDS, read=inactivity_seconds)
        target = f"{path}?{urlencode({**query, 'watch': '1'})}"
        try:
            answer = self._send("GET", target, self._signature(), None, timeout)
            content = b"" if answer.status < HTTPStatus.MULTIPLE_CHOICES else answer.read()
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise self._no_answer(error) from error
        self._judge(_whole(answer, content))
        return answer, self._events(answer)

    def _events(self, answer: urllib3.BaseHTTPResponse) -> Iterator[Document]:
        rest = b""
        try:
            for chunk in answer.stream(65_536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield self._event(line)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise SilentError(f"the watch of {self.name!r} was silent") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(f"the watch of {self.name!r} broke off: {error}") from error
        finally:
            answer.close()

    @staticmethod
    def _event(line: bytes) -> Document:
        event = _document(line)
        if event["type"] == "ERROR":
            status: Document = event["object"]
            message = str(status.get("message", ""))
            if status.get("code") == HTTPStatus.GONE:
                raise GoneError(message)
            raise BusyError(message)
        return event

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: object,
        content_type: str,
        seconds: float,
    ) -> Answer:
        """Return a whole answer, whatever its status."""
        target = f"{path}?{urlencode(query)}" if query else path
        headers, content = self._signature(), None
        if body is not None:
            content = msgspec.json.encode(body)
            headers = {**headers, "Content-Type": content_type}
        if self._wire is not None:
            return self._wire.request(method, target, headers, content, seconds, _ANSWER_BYTES_MAX)
        timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=seconds)
        answer = self._send(method, target, headers, content, timeout)
        found = answer.read(_ANSWER_BYTES_MAX)
        answer.release_conn()
        return _whole(answer, found)

    def _signature(self) -> Mapping[str, str]:
        """Return the headers by which the server knows us."""
        # The library would sign in anew for each request, which reads the whole environment.
        if time.monotonic() - self._signed_at >= _SIGNED_SECONDS:
            signed = dict(self._client.default_headers)
            self._client.update_params_for_auth(signed, [], ["BearerToken"], "", "GET", None)
            # A file with a token in it ends with a line break as often as not.
            self._signed = {name: str(value).strip() for name, value in signed.items()}
            self._signed_at = time.monotonic()
        return self._signed

    def _send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: urllib3.Timeout,
    ) -> urllib3.BaseHTTPResponse:
        """Send by the library what is not to be read at once, or goes through a proxy."""
        return self._client.rest_client.pool_manager.request(
            method,
            f"{self._client.configuration.host}{target}",
            body=content,
            headers=headers,
            timeout=timeout,
            preload_content=False,
        )

    def _no_answer(self, error: Exception) -> UnreachableError:
        why = _words(error)
        self.gate.failed(why)
        fix = "check the address in the kubeconfig, and that the cluster runs"
        return UnreachableError(f"cluster {self.name!r} does not answer: {why}", fix=fix)

    def _judge(self, answer: Answer, *, blames_server: bool = True) -> None:
        """Raise what a status means; tell the gate of it."""
        status = answer.status
        if status < HTTPStatus.MULTIPLE_CHOICES:
            self.gate.succeeded()
            return
        if status == HTTPStatus.UNAUTHORIZED:
            self._signed_at = -_SIGNED_SECONDS
        error = failure(self.name, status, answer.content)
        if isinstance(error, BusyError | UnreachableError) and blames_server:
            self.gate.failed(error.message, retry_after_seconds(answer.headers.get("retry-after")))
        else:
            self.gate.succeeded()
        raise error


def _whole(answer: urllib3.BaseHTTPResponse, content: bytes) -> Answer:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status, headers, content)


def _document(text: bytes) -> Document:
    """Return a document of JSON; msgspec reads a long list in half the time.

    Raises:
        ValueError: when it is none.
    """
    try:
        return cast("Document", msgspec.json.decode(text))
    except msgspec.DecodeError as error:
        raise ValueError(f"this is no JSON: {error}") from error


def failure(cluster: str, status: int, content: bytes) -> BerthError:
    """Return the error that an answer stands for; its message is kept. Pure."""
    try:
        told = json.loads(content)
        message, reason = str(told.get("message", "")), str(told.get("reason", ""))
    except (ValueError, AttributeError):
        message, reason = content[:_WORDS_MAX].decode("utf-8", "replace").strip(), ""
    text = f"cluster {cluster!r}: {message or f'status {status}'}"
    if status == HTTPStatus.UNAUTHORIZED:
        fix = "its credentials have expired or were withdrawn: renew the kubeconfig"
        return UnreachableError(f"{text} (the credentials are not accepted)", fix=fix)
    if status == HTTPStatus.FORBIDDEN and "exceeded quota" in message:
        return BusyError(text, fix="wait, or raise the ResourceQuota")
    if status == HTTPStatus.NOT_FOUND:
        absent = _NO_NAMESPACE.match(message)
        if absent is None:
            return NotFoundError(text)
        fix = f"kubectl create namespace {absent[1]}, or name another in the settings of {cluster}"
        return NoNamespaceError(text, fix=fix)
    if status == HTTPStatus.CONFLICT:
        return ExistsError(text) if reason == "AlreadyExists" else ConflictError(text)
    if status == HTTPStatus.GONE:
        return GoneError(text)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return BusyError(text)
    fix = f"berth doctor examines the rights on {cluster}" if status == HTTPStatus.FORBIDDEN else ""
    return RefusedError(text, fix=fix, code="G020")


def retry_after_seconds(header: str | None) -> float:
    """Return the seconds a server asks to wait; 0 where it does not say."""
    try:
        return max(0.0, float(header or 0.0))
    except ValueError:
        return 0.0


def _words(error: Exception) -> str:
    """Return what went wrong for people: certificates first, since they are ours to mend."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return "its certificate is not signed by the kubeconfig's certificate authority"
    return text[:_WORDS_MAX]
