"""Values of other systems are read from their own formats."""

from __future__ import annotations

import gzip
import json
import math
import struct
import sys

import httpx
import pytest
from google.protobuf import json_format

from alarms import HypothesisTree
from alarms.detection.detector import StatisticalDetector
from alarms.intake import samples, wire
from alarms.intake.prometheus import (
    FAILS_SECONDS,
    PrometheusSettings,
    PrometheusSource,
    Query,
    load_prometheus,
)
from alarms.intake.samples import Form
from engine.model.errors import InvalidInputError, RefusedError, UnreachableError
from engine.model.signals import Layer
from engine.testing.clocks import ManualClock
from engine.testing.watch_suites import group

NANO = 1_000_000_000


def export() -> dict[str, object]:
    point = {"timeUnixNano": str(5 * NANO), "attributes": []}
    return {
        "resourceMetrics": [
            {
                "resource": {
                    "attributes": [
                        {"key": "service.name", "value": {"stringValue": "cart"}},
                        {"key": "ignored", "value": {"arrayValue": {}}},
                        {"key": "process.pid", "value": {"intValue": "4711"}},
                        {"key": "service.instance.id", "value": {"stringValue": "i-1"}},
                    ]
                },
                "scopeMetrics": [
                    {
                        "metrics": [
                            {
                                "name": "heat",
                                "unit": "C",
                                "gauge": {"dataPoints": [{**point, "asDouble": 3.5}]},
                            },
                            {
                                "name": "calls",
                                "sum": {
                                    "isMonotonic": True,
                                    "aggregationTemporality": 2,
                                    "dataPoints": [{**point, "asInt": "7"}],
                                },
                            },
                            {
                                "name": "fresh",
                                "sum": {
                                    "isMonotonic": True,
                                    "aggregationTemporality": 1,
                                    "dataPoints": [{**point, "asInt": "7"}],
                                },
                            },
                            {
                                "name": "took",
                                "histogram": {
                                    "aggregationTemporality": 2,
                                    "dataPoints": [{**point, "count": "4", "sum": 8.0}],
                                },
                            },
                            {
                                "name": "wide",
                                "exponentialHistogram": {
                                    "aggregationTemporality": 1,
                                    "dataPoints": [{**point, "count": "2", "sum": 3.0}],
                                },
                            },
                            {
                                "name": "brief",
                                "summary": {"dataPoints": [{**point, "count": "5", "sum": 9.0}]},
                            },
                            {"name": "over", "gauge": {"dataPoints": [{**point, "flags": 1}]}},
                            {"name": "odd"},
                        ]
                    }
                ],
            }
        ]
    }


def test_otlp_is_read_from_json_and_from_protocol_buffers() -> None:
    text = json.dumps(export()).encode()
    found = samples.from_otlp(text, is_json=True, is_gzip=False)
    assert [(one.name, one.value, one.form) for one in found] == [
        ("heat", 3.5, Form.LEVEL),
        ("calls", 7.0, Form.TOTAL),
        ("fresh", 7.0, Form.DELTA),
        ("took.count", 4.0, Form.TOTAL),
        ("took.sum", 8.0, Form.TOTAL),
        ("wide.count", 2.0, Form.DELTA),
        ("wide.sum", 3.0, Form.DELTA),
        ("brief.count", 5.0, Form.TOTAL),
        ("brief.sum", 9.0, Form.TOTAL),
    ]
    assert all(one.labels == {"service": "cart", "instance": "i-1"} for one in found)
    message = json_format.ParseDict(export(), wire.MetricsRequest(), ignore_unknown_fields=True)
    packed = gzip.compress(message.SerializeToString())
    assert samples.from_otlp(packed, is_json=False, is_gzip=True) == found


@pytest.mark.parametrize(
    ("body", "is_json", "is_gzip"),
    [
        (b"[", True, False),
        (b"\xff\xff", False, False),
        (b"x", False, True),
        (b"3", True, False),
        (b'{"\\ud800": 1}', True, False),
    ],
)
def test_what_is_no_otlp_is_refused(body: bytes, is_json: bool, is_gzip: bool) -> None:
    with pytest.raises(InvalidInputError):
        samples.from_otlp(body, is_json=is_json, is_gzip=is_gzip)


def test_a_body_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "UNPACKED_BYTES_MOST", 100)
    with pytest.raises(RefusedError, match="unpacks"):
        samples.from_otlp(gzip.compress(b"0" * 1_000), is_json=False, is_gzip=True)
    with pytest.raises(RefusedError, match="unpacks"):
        samples.unsnapped(b"\xe8\x07")


def test_the_answer_says_what_was_dropped() -> None:
    assert samples.otlp_answer(0, "") == b""
    answer = wire.MetricsResponse.FromString(samples.otlp_answer(3, "late"))
    assert answer.partial_success.rejected_data_points == 3


def test_a_body_that_is_not_packed_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        samples.unsnapped(b"\xff\xff\xff\xff\xff\xff")


def test_without_snappy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with pytest.raises(RefusedError, match="snappy"):
        samples.unsnapped(b"\x00")


def test_remote_write_is_read() -> None:
    snappy = pytest.importorskip("cramjam").snappy
    request = wire.WriteRequest()
    for name in ("heat", "calls_total", "took_bucket", ""):
        series = request.timeseries.add()
        series.labels.add(name="__name__", value=name)
        series.labels.add(name="node", value="n1")
        series.samples.add(value=2.0, timestamp=5_000)
    body = bytes(snappy.compress_raw(request.SerializeToString()))
    found = samples.from_remote_write(body)
    assert [(one.name, one.at, one.form) for one in found] == [
        ("heat", 5.0, Form.LEVEL),
        ("calls_total", 5.0, Form.TOTAL),
    ]
    assert found[0].labels == {"node": "n1"}
    with pytest.raises(InvalidInputError, match="damaged"):
        samples.from_remote_write(body[:-3])


def test_a_series_of_prometheus_that_is_over_is_no_value_that_was_dropped() -> None:
    snappy = pytest.importorskip("cramjam").snappy
    request = wire.WriteRequest()
    series = request.timeseries.add()
    series.labels.add(name="__name__", value="heat")
    (stale,) = struct.unpack(">d", bytes.fromhex("7ff0000000000002"))
    series.samples.add(value=stale, timestamp=5_000)
    series.samples.add(value=math.nan, timestamp=6_000)
    body = bytes(snappy.compress_raw(request.SerializeToString()))
    assert [one.at for one in samples.from_remote_write(body)] == [6.0]


# ------------------------------------------------------------------------------ queries


def answered(request: httpx.Request) -> httpx.Response:
    values = [[float(request.url.params["end"]), "1.5"]]
    result = [{"metric": {"__name__": "x", "service": "cart"}, "values": values}]
    return httpx.Response(200, json={"status": "success", "data": {"result": result}})


def source(clock: ManualClock, handler: object = answered) -> PrometheusSource:
    query = Query(name="latency_ms", query="x", unit="ms", layer=Layer.TRAINING)
    settings = PrometheusSettings(url="http://p:9090/", token="t", queries=(query,))
    return PrometheusSource(settings, clock, transport=httpx.MockTransport(handler))


def test_a_server_is_asked_for_what_is_new() -> None:
    clock = ManualClock(600.0)
    asked = source(clock)
    (signal,), position = asked.read("")
    assert (signal.series, signal.value, signal.layer) == (
        "service:cart|latency_ms",
        1.5,
        Layer.TRAINING,
    )
    assert asked.read(position) == ([], position)
    clock.advance(60.0)
    assert [one.at for one in asked.read(position)[0]] == [660.0]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="hello"),
        httpx.Response(400, json={"status": "error", "error": "parse error"}),
    ],
)
def test_a_server_that_fails_is_left_alone_for_a_while(answer: httpx.Response) -> None:
    clock = ManualClock(600.0)
    calls: list[int] = []

    def failing(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        return answer

    asked = source(clock, failing)
    with pytest.raises(UnreachableError):
        asked.read("")
    assert asked.read("") == ([], "")
    clock.advance(31.0)
    with pytest.raises(UnreachableError):
        asked.read("")
    assert len(calls) == 2


def test_a_server_that_fails_for_longer_is_told_as_a_signal() -> None:
    clock = ManualClock(600.0)
    answers = [False]

    def handler(request: httpx.Request) -> httpx.Response:
        return answered(request) if answers[0] else httpx.Response(500, text="")

    asked = source(clock, handler)
    with pytest.raises(UnreachableError):
        asked.read("")
    clock.advance(FAILS_SECONDS)
    (failing,), position = asked.read("")
    assert (failing.subject, failing.name, failing.value, position) == (
        "sender:prometheus",
        "source_reachable",
        0.0,
        "",
    )
    (alarm,) = StatisticalDetector().observe([failing])
    cause = HypothesisTree().causes(group(alarm), [failing], ())[0]
    assert cause.title == "sender prometheus does not answer"
    clock.advance(60.0)
    answers[0] = True
    signals, position = asked.read("")
    assert {one.name: one.value for one in signals} == {"latency_ms": 1.5, "source_reachable": 1.0}
    clock.advance(60.0)
    assert [one.name for one in asked.read(position)[0]] == ["latency_ms"]


def test_a_query_that_is_refused_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def partly(request: httpx.Request) -> httpx.Response:
        if request.url.params["query"] == "wrong(":
            return httpx.Response(400, json={"status": "error", "error": "parse error"})
        return answered(request)

    clock = ManualClock(600.0)
    queries = (Query(name="a", query="wrong("), Query(name="b", query="x"))
    settings = PrometheusSettings(url="http://p:9090", queries=queries)
    asked = PrometheusSource(settings, clock, transport=httpx.MockTransport(partly))
    (signal,), position = asked.read("")
    assert signal.series == "service:cart|b"
    clock.advance(60.0)
    assert len(asked.read(position)[0]) == 1
    assert caplog.text.count("refuses query 'a': parse error") == 1


@pytest.mark.parametrize(
    "answer",
    [
        ["no", "object"],
        {"status": "success"},
        {"status": "success", "data": {"result": 3}},
        {"status": "success", "data": {"result": [{"metric": {}, "values": [[600, "many"]]}]}},
        {"status": "success", "data": {"result": [{"metric": [], "values": []}]}},
    ],
)
def test_an_answer_that_is_no_matrix_says_where_to_look(answer: object) -> None:
    asked = source(ManualClock(600.0), lambda _: httpx.Response(200, json=answer))
    with pytest.raises(UnreachableError, match="'latency_ms' is no matrix of numbers"):
        asked.read("")


def test_native_histograms_have_no_values() -> None:
    result = [{"metric": {"__name__": "x"}, "histograms": [[600, {"count": "3"}]]}]
    answer = {"status": "success", "data": {"result": result}}
    asked = source(ManualClock(600.0), lambda _: httpx.Response(200, json=answer))
    assert asked.read("") == ([], "600.0")


def test_queries_are_read_from_a_file() -> None:
    text = 'url = "http://p"\nstep_seconds = 30\n[[query]]\nname = "a"\nquery = "up"\nlayer = "etl"'
    found = load_prometheus(text, "p.toml")
    assert found.queries == (Query(name="a", query="up", layer=Layer.ETL),)


@pytest.mark.parametrize(
    "text",
    [
        "=",
        "",
        'url = "p"\n[[query]]\nname = "a"',
        'url = "http://p"\nlink = 1\nquery = 3\nstep_seconds = 0',
        'url = "http://p"\n[[query]]\nname = "a"\nquery = "b"\nlayre = "x"\nshape = "round"',
    ],
)
def test_faults_of_the_file_are_named(text: str) -> None:
    with pytest.raises(InvalidInputError):
        load_prometheus(text, "p.toml")
