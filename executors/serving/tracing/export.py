"""Sends spans by OTLP over HTTP, as JSON, from a thread of its own (OpenTelemetry protocol 1).

Configured by OpenTelemetry's own variables: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or
`OTEL_EXPORTER_OTLP_ENDPOINT` with `/v1/traces` put behind it; `OTEL_EXPORTER_OTLP_HEADERS`,
`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER_ARG`, `OTEL_SDK_DISABLED`. A collector that is slow or
away costs spans, never requests.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from urllib.parse import unquote, urlsplit

import msgspec

from engine.model.errors import Fault, InvalidInputError
from executors.serving.tracing.spans import Finished, Tracer

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
WAITING_MAX = 8192
_BATCH_MAX = 512
_OK = 200
_ERROR = 2
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
GENERAL = "OTEL_EXPORTER_OTLP_ENDPOINT"
SHARE = "OTEL_TRACES_SAMPLER_ARG"


@dataclass(slots=True)
class Exporter:
    """Collects spans and sends them every second. `add` is for any thread and never blocks.

    headers: sent with each batch. dropped: spans that were lost since the start.
    """

    url: str
    service: str
    headers: Mapping[str, str] = field(default_factory=dict)
    pause_seconds: float = _PAUSE_SECONDS
    dropped: int = 0
    _waiting: deque[Finished] = field(default_factory=deque)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def add(self, span: Finished) -> None:
        """Take a span, unless too many wait."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        self._waiting.append(span)

    def close(self) -> None:
        """Send what waits, and end."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(2 * _TIMEOUT_SECONDS)

    def _run(self) -> None:
        while not self._ending.wait(self.pause_seconds):
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        """Send what waits now; a batch that is not taken is dropped, and the rest waits."""
        end = time.monotonic() + _TIMEOUT_SECONDS
        while self._waiting and time.monotonic() < end:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH_MAX, len(self._waiting)))]
            if not self._send(batch):
                self.dropped += len(batch)
                return

    def _send(self, batch: Sequence[Finished]) -> bool:
        """Send a batch; say whether it was taken."""
        address = urlsplit(self.url)
        secure = address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(str(address.hostname), address.port, timeout=_TIMEOUT_SECONDS)
        try:
            sent = {"Content-Type": "application/json", **self.headers}
            path = address.path + (f"?{address.query}" if address.query else "")
            connection.request("POST", path, document(batch, self.service), sent)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            _LOG.warning("%s takes no spans: %s", self.url, error)
            return False
        finally:
            connection.close()
        if status != _OK:
            _LOG.warning("%s takes no spans: it answers %d", self.url, status)
        return status == _OK


def document(batch: Sequence[Finished], service: str) -> bytes:
    """Return spans as `ExportTraceServiceRequest` in JSON."""
    scope = {"name": "berth.serving", "version": metadata.version("berth")}
    resource = {"attributes": _attributes({"service.name": service})}
    spans = [_span(each) for each in batch]
    entry = {"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}
    return msgspec.json.encode({"resourceSpans": [entry]})


def _span(span: Finished) -> dict[str, object]:
    found: dict[str, object] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": str(span.began_ns),
        "endTimeUnixNano": str(span.ended_ns),
        "attributes": _attributes(span.attributes),
        "status": {"code": _ERROR, "message": span.error} if span.error else {},
    }
    if span.parent_id:
        found["parentSpanId"] = span.parent_id
    return found


def _attributes(given: Mapping[str, str | int]) -> list[dict[str, object]]:
    # 64-bit integers are text in JSON's form of protobuf.
    return [
        {"key": key, "value": {"stringValue": value} if isinstance(value, str)
         else {"intValue": str(value)}}
        for key, value in given.items()
    ]  # fmt: skip


def from_environment(environment: Mapping[str, str], service: str) -> Tracer | None:
    """Return a tracer as the environment asks for it; None where it does not.

    service: name of this service unless the environment has one.

    Raises:
        InvalidInputError: when a variable cannot be understood.
    """
    url = environment.get(TRACES, "")
    if not url and environment.get(GENERAL):
        url = f"{environment[GENERAL].rstrip('/')}/v1/traces"
    if not url or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise _unfit(TRACES, url, "an address as http://127.0.0.1:4318/v1/traces")
    given = environment.get(SHARE, "1")
    try:
        share = float(given)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise _unfit(SHARE, given, "a share from 0 to 1")
    pairs = [each.partition("=") for each in environment.get(_HEADERS, "").split(",") if each]
    exporter = Exporter(
        url=url,
        service=environment.get("OTEL_SERVICE_NAME", service),
        headers={key.strip(): unquote(value.strip()) for key, _, value in pairs},
    )
    exporter.start()
    return Tracer(hand_on=exporter.add, share=share, close=exporter.close)


_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


def _unfit(name: str, value: str, expected: str) -> InvalidInputError:
    fault = Fault(code="M001", message=f"{name} is {value!r}", fix=f"set it to {expected}")
    return InvalidInputError("the environment", [fault])
