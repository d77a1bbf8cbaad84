"""Traces: the caller's context goes on, spans say where time went, a collector gets them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from engine.model.errors import InvalidInputError
from executors.serving import tracing
from executors.serving.tracing import context, export, spans
from tests.unit.serving.client import TENSOR, Client
from tests.unit.serving.conftest import Running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{CALLER}-01"


class Recorder:
    """A tracer's other end in this process."""

    def __init__(self, **how: Any) -> None:  # noqa: ANN401
        self.found: list[spans.Finished] = []
        self.tracer = tracing.Tracer(hand_on=self.found.append, **how)

    @property
    def by_name(self) -> dict[str, spans.Finished]:
        return {each.name: each for each in self.found}


@pytest.fixture
def recorder(running: Running) -> Iterator[Recorder]:
    found = Recorder()
    running.service.tracer = found.tracer
    yield found
    running.service.tracer = None


def infer(client: Client, headers: dict[str, str], tensor: object = TENSOR) -> int:
    body = json.dumps({"inputs": [tensor]}).encode()
    return client.send("POST", "/v2/models/iris/infer", body, headers)[0]


def test_a_request_has_a_span_with_its_queue_and_its_inference(
    client: Client, recorder: Recorder
) -> None:
    assert infer(client, {"traceparent": SAMPLED}) == 200
    found = recorder.by_name
    request, queue, run = found["infer iris"], found["queue"], found["inference"]
    assert {each.trace_id for each in recorder.found} == {TRACE}
    assert (request.parent_id, request.kind) == (CALLER, spans.Kind.SERVER)
    assert queue.parent_id == run.parent_id == request.span_id
    times = [request.began_ns, queue.began_ns, queue.ended_ns, run.ended_ns, request.ended_ns]
    assert times == sorted(times)
    assert request.attributes == {"model.name": "iris", "model.version": "1"}


@pytest.mark.parametrize("header", [SAMPLED, "nonsense"])
def test_a_request_that_fails_says_why(client: Client, recorder: Recorder, header: str) -> None:
    assert infer(client, {"traceparent": header}, {**TENSOR, "shape": [2, 2]}) == 400
    assert "expected" in recorder.by_name["infer iris"].error


def test_calls_over_grpc_are_traced(client: Client, recorder: Recorder) -> None:
    tensor = {"name": "features", "datatype": "FP64", "shape": [1, 4]}
    client.call(
        "ModelInfer",
        model_name="iris",
        inputs=[{**tensor, "contents": {"fp64_contents": [5.1, 3.5, 1.4, 0.2]}}],
    )
    assert recorder.by_name["infer iris"].parent_id == ""


def test_what_the_caller_does_not_record_is_not_recorded(
    client: Client, recorder: Recorder
) -> None:
    assert infer(client, {"traceparent": SAMPLED[:-1] + "0"}) == 200
    assert recorder.found == []


def test_a_share_of_the_requests_without_context_is_recorded() -> None:
    low, high = (lambda count: b"\x01" * count), (lambda count: b"\xf0" * count)
    chosen = [
        Recorder(share=0.5, random_bytes=each).tracer.begin("x", {}, 0) is not None
        for each in (low, high)
    ]
    assert chosen == [True, False]


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}-01-more",
        f"00-{TRACE}-{CALLER}",
        f"00-{TRACE}-{CALLER[:-1]}-01",
    ],
)
def test_a_malformed_context_is_none(header: str) -> None:
    assert context.read({"traceparent": header}) is None


def test_a_context_is_written_as_it_was_read() -> None:
    found = context.read({"traceparent": SAMPLED})
    assert found is not None
    assert found.header == SAMPLED
    later = context.read({"traceparent": f"01-{TRACE}-{CALLER}-03-more"})
    assert later == found


class Collector(BaseHTTPRequestHandler):
    """Takes spans, or refuses them."""

    bodies: list[dict[str, Any]]
    status: int

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.bodies.append({"path": self.path, "key": self.headers["key"], **json.loads(body)})
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Collector]]]:
    monkeypatch.setattr(export, "_TIMEOUT_SECONDS", 60.0)
    kind = type("Own", (Collector,), {"bodies": [], "status": 200})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", kind
        server.shutdown()
        thread.join()


def traced(url: str) -> tracing.Tracer:
    given = {export.GENERAL: url, "OTEL_EXPORTER_OTLP_HEADERS": "key=a%20b"}
    found = tracing.from_environment(given, "iris")
    assert found is not None
    return found


def test_a_collector_gets_spans_as_otlp(collector: tuple[str, type[Collector]]) -> None:
    tracer = traced(collector[0])
    span = tracer.begin("infer iris", {"traceparent": SAMPLED}, 5)
    assert span is not None
    span.attributes["rows"] = 3
    span.end("no")
    tracer.close()
    (sent,) = collector[1].bodies
    (resource,) = sent["resourceSpans"]
    (found,) = resource["scopeSpans"][0]["spans"]
    assert (sent["path"], sent["key"]) == ("/v1/traces", "a b")
    assert resource["resource"]["attributes"][0]["value"] == {"stringValue": "iris"}
    assert (found["traceId"], found["parentSpanId"], found["kind"]) == (TRACE, CALLER, 2)
    assert found["attributes"] == [{"key": "rows", "value": {"intValue": "3"}}]
    assert found["status"] == {"code": 2, "message": "no"}
    assert int(found["endTimeUnixNano"]) > int(found["startTimeUnixNano"]) > 0


@pytest.mark.parametrize("is_there", [True, False])
def test_a_collector_that_takes_nothing_costs_spans_only(
    collector: tuple[str, type[Collector]], *, is_there: bool
) -> None:
    collector[1].status = 500
    url = collector[0] if is_there else "http://127.0.0.1:9"
    exporter = export.Exporter(url, "iris")
    tracer = tracing.Tracer(hand_on=exporter.add)
    span = tracer.begin("x", {}, 0)
    assert span is not None
    for _ in range(export.WAITING_MAX + 1):
        span.end()
    assert exporter.dropped == 1
    exporter.start()
    exporter.close()
    assert exporter.dropped > 1


def test_nothing_is_traced_unless_asked_for() -> None:
    assert tracing.from_environment({}, "iris") is None
    off = {export.GENERAL: "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}
    assert tracing.from_environment(off, "iris") is None


@pytest.mark.parametrize(
    "given",
    [
        {export.TRACES: "127.0.0.1:4318"},
        {export.GENERAL: "http://127.0.0.1:9", export.SHARE: "half"},
        {export.GENERAL: "http://127.0.0.1:9", export.SHARE: "2"},
    ],
)
def test_variables_that_cannot_be_understood_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        tracing.from_environment(given, "iris")
