"""Values of other systems as they were sent: Prometheus remote write and OTLP metrics.

Both are Protocol Buffers over HTTP; remote write is compressed by snappy. Specifications:
https://prometheus.io/docs/specs/prw/remote_write_spec/ (1.0) and
https://opentelemetry.io/docs/specs/otlp/ (JSON too).
"""

from __future__ import annotations

import importlib
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from alarms.intake import wire
from engine.model.errors import Fault, InvalidInputError, RefusedError

UNPACKED_BYTES_MOST = 32 * 1024**2
"""A body that unpacks to more is refused: it could be a bomb."""
_NANOSECONDS = 1e9
_MILLISECONDS = 1e3
_DELTA = 1
_NOTHING_RECORDED = 1
_FLEETING = ("process.", "telemetry.", "os.", "container.id", "k8s.pod.uid")
"""Attributes of a resource that are others after each restart, or say nothing of it: as labels
they would make new series of the same."""
_VARINT_BYTES_MOST = 5
_NO_METRICS = (
    *(ValueError, TypeError, OverflowError, RecursionError, json_format.ParseError),
    SystemError,  # of protobuf, about a key that is no text
)
"""What reading anything as OTLP in JSON can raise."""
_STALE = bytes.fromhex("7ff0000000000002")


class Form(StrEnum):
    """What the values of a series are."""

    LEVEL = "level"
    TOTAL = "total"
    """Counts up from some start; what matters is how fast."""
    DELTA = "delta"
    """Counts since the value before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value as it was sent; `at` is the sender's clock, `value` may be no number."""

    name: str
    labels: Mapping[str, str]
    at: float
    value: float
    form: Form = Form.LEVEL
    unit: str = ""


def from_remote_write(body: bytes) -> list[Sample]:
    """Return the values of a remote write request (1.0), unpacked from snappy.

    Raises:
        InvalidInputError: when the body is not what it should be.
        RefusedError: when it unpacks to too much, or snappy is not installed.
    """
    message = _parsed(wire.WriteRequest, unsnapped(body))
    return list(_of_write_request(message))


def _of_write_request(message: Any) -> Iterator[Sample]:  # noqa: ANN401 - made at run time
    for series in message.timeseries:
        labels = {label.name: label.value for label in series.labels}
        name = labels.pop("__name__", "")
        if not name or name.endswith("_bucket"):
            continue  # the counts of a histogram's buckets say nothing one by one
        form = Form.TOTAL if name.endswith(("_total", "_count", "_sum")) else Form.LEVEL
        for sample in series.samples:
            if is_stale(sample.value):
                continue  # how Prometheus says that a series is over
            at = sample.timestamp / _MILLISECONDS
            yield Sample(name=name, labels=labels, at=at, value=sample.value, form=form)


def is_stale(value: float) -> bool:
    """Return whether a value is Prometheus' mark of staleness, one certain NaN."""
    return struct.pack(">d", value) == _STALE


def from_otlp(body: bytes, *, is_json: bool, is_gzip: bool) -> list[Sample]:
    """Return the values of an OTLP metrics request.

    Raises:
        InvalidInputError: when the body is not what it should be.
        RefusedError: when it unpacks to too much.
    """
    body = _gunzipped(body) if is_gzip else body
    if not is_json:
        return list(_of_export(_parsed(wire.MetricsRequest, body)))
    try:
        content = json.loads(body)
        message = json_format.ParseDict(content, wire.MetricsRequest(), ignore_unknown_fields=True)
    except _NO_METRICS as error:
        raise _wrong("the metrics", f"are not OTLP in JSON: {str(error)[:200]}") from error
    return list(_of_export(message))


def otlp_answer(dropped: int, reason: str) -> bytes:
    """Return the answer to an OTLP request: what was not taken, and why; empty for all."""
    if not dropped:
        return b""
    made: Any = wire.MetricsResponse()
    made.partial_success.rejected_data_points = dropped
    made.partial_success.error_message = reason
    return bytes(made.SerializeToString())


def _of_export(message: Any) -> Iterator[Sample]:  # noqa: ANN401 - made at run time
    for resource in message.resource_metrics:
        lasting = [
            item for item in resource.resource.attributes if not str(item.key).startswith(_FLEETING)
        ]
        shared = _attributes(lasting)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield from _of_metric(metric, shared)


def _of_metric(metric: Any, shared: Mapping[str, str]) -> Iterator[Sample]:  # noqa: ANN401 - as above
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind) if kind else None
    if data is None:
        return
    form = _form(kind, data)
    for point in data.data_points:
        if point.flags & _NOTHING_RECORDED:
            continue  # how OTLP says that a series is over
        labels = {**shared, **_attributes(point.attributes)}
        at = point.time_unix_nano / _NANOSECONDS

        def sample(
            name: str, value: float, labels: Mapping[str, str] = labels, at: float = at
        ) -> Sample:
            return Sample(name=name, labels=labels, at=at, value=value, form=form, unit=metric.unit)

        if kind in {"gauge", "sum"}:
            is_whole = point.WhichOneof("value") == "as_int"
            yield sample(metric.name, float(point.as_int if is_whole else point.as_double))
        else:
            yield sample(f"{metric.name}.count", float(point.count))
            yield sample(f"{metric.name}.sum", float(point.sum))


def _form(kind: str, data: Any) -> Form:  # noqa: ANN401 - as above
    """Return what the values of a metric are; summaries always count up."""
    if kind == "gauge" or (kind == "sum" and not data.is_monotonic):
        return Form.LEVEL
    if kind == "summary":
        return Form.TOTAL
    return Form.DELTA if data.aggregation_temporality == _DELTA else Form.TOTAL


def _attributes(found: Sequence[Any]) -> dict[str, str]:
    """Return attributes as labels, with the names that Berth knows them by."""
    labels: dict[str, str] = {}
    for item in found:
        kind = item.value.WhichOneof("value")
        if kind is not None:
            labels[_NAMES.get(str(item.key), str(item.key))] = str(getattr(item.value, kind))
    return labels


_NAMES = {
    "service.name": "service",
    "service.namespace": "namespace",
    "service.instance.id": "instance",
    "host.name": "node",
    "k8s.node.name": "node",
    "k8s.pod.name": "pod",
    "k8s.namespace.name": "namespace",
    "k8s.deployment.name": "deployment",
    "k8s.cluster.name": "cluster",
    "cloud.region": "region",
    "cloud.provider": "provider",
}
"""OpenTelemetry's semantic conventions, as far as they name what alarms are grouped by."""


def unsnapped(body: bytes) -> bytes:
    """Return a body unpacked from snappy's block format.

    Raises:
        InvalidInputError: when it is damaged.
        RefusedError: when it unpacks to too much, or snappy is not installed.
    """
    size = _declared(body)
    if size > UNPACKED_BYTES_MOST:
        message = f"the body unpacks to {size:,} bytes; at most {UNPACKED_BYTES_MOST:,} are read"
        raise RefusedError(message, fix="lower `max_samples_per_send` of the sender", code="A003")
    try:
        snappy: Any = importlib.import_module("cramjam").snappy
    except ImportError as error:
        fix = "install Berth with the extra `prometheus`"
        raise RefusedError("remote write needs snappy", fix=fix, code="A004") from error
    try:
        return bytes(snappy.decompress_raw(body))
    except Exception as error:  # cramjam has one class for all it raises, made at run time
        raise _wrong("the values", f"are damaged: {error}") from error


def _declared(body: bytes) -> int:
    """Return the unpacked size that a block of snappy begins with, a varint."""
    size = 0
    for index, byte in enumerate(body[:_VARINT_BYTES_MOST]):
        size |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the mark of a varint's last byte
            return size
    raise _wrong("the values", "are not packed by snappy")


def _gunzipped(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = unpacker.decompress(body, UNPACKED_BYTES_MOST)
    except zlib.error as error:
        raise _wrong("the metrics", f"are damaged: {error}") from error
    if unpacker.unconsumed_tail:
        message = f"the body unpacks to more than {UNPACKED_BYTES_MOST:,} bytes"
        raise RefusedError(message, fix="send smaller batches", code="A003")
    if not unpacker.eof:
        raise _wrong("the metrics", "are damaged: they end too early")
    return content


def _parsed(kind: type[Message], body: bytes) -> Message:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise _wrong("the values", f"are no {kind.DESCRIPTOR.full_name}: {error}") from error


def _wrong(where: str, message: str) -> InvalidInputError:
    return InvalidInputError(where, [Fault(code="S001", message=message)])
