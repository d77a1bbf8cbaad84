"""The Protocol Buffers that values arrive in, as far as Berth reads them.

The messages are declared here with their public field numbers instead of being generated: fields
that are not declared are skipped, as the format wants. Sources of the numbers:
https://github.com/prometheus/prometheus/blob/main/prompb/types.proto and
https://github.com/open-telemetry/opentelemetry-proto (metrics.proto, common.proto).
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "double": _FIELD.TYPE_DOUBLE,
    "int64": _FIELD.TYPE_INT64,
    "uint32": _FIELD.TYPE_UINT32,
    "bool": _FIELD.TYPE_BOOL,
    "int32": _FIELD.TYPE_INT32,
    "fixed64": _FIELD.TYPE_FIXED64,
    "sfixed64": _FIELD.TYPE_SFIXED64,
}

_Fields = Mapping[str, tuple[int, str]]
"""Name to number and type; `*` before a type for many, `oneof:` before one of several."""

_PROMETHEUS: Mapping[str, _Fields] = {
    "Label": {"name": (1, "string"), "value": (2, "string")},
    "Value": {"value": (1, "double"), "timestamp": (2, "int64")},
    "TimeSeries": {"labels": (1, "*Label"), "samples": (2, "*Value")},
    "WriteRequest": {"timeseries": (1, "*TimeSeries")},
}

_OTLP: Mapping[str, _Fields] = {
    "AnyValue": {
        "string_value": (1, "oneof:string"),
        "bool_value": (2, "oneof:bool"),
        "int_value": (3, "oneof:int64"),
        "double_value": (4, "oneof:double"),
    },
    "KeyValue": {"key": (1, "string"), "value": (2, "AnyValue")},
    "Resource": {"attributes": (1, "*KeyValue")},
    "NumberDataPoint": {
        "attributes": (7, "*KeyValue"),
        "time_unix_nano": (3, "fixed64"),
        "as_double": (4, "oneof:double"),
        "as_int": (6, "oneof:sfixed64"),
        "flags": (8, "uint32"),
    },
    "HistogramDataPoint": {
        "attributes": (9, "*KeyValue"),
        "time_unix_nano": (3, "fixed64"),
        "count": (4, "fixed64"),
        "sum": (5, "double"),
        "flags": (10, "uint32"),
    },
    "ExponentialHistogramDataPoint": {
        "attributes": (1, "*KeyValue"),
        "time_unix_nano": (3, "fixed64"),
        "count": (4, "fixed64"),
        "sum": (5, "double"),
        "flags": (10, "uint32"),
    },
    "SummaryDataPoint": {
        "attributes": (7, "*KeyValue"),
        "time_unix_nano": (3, "fixed64"),
        "count": (4, "fixed64"),
        "sum": (5, "double"),
        "flags": (8, "uint32"),
    },
    "Gauge": {"data_points": (1, "*NumberDataPoint")},
    "Sum": {
        "data_points": (1, "*NumberDataPoint"),
        "aggregation_temporality": (2, "int32"),
        "is_monotonic": (3, "bool"),
    },
    "Histogram": {
        "data_points": (1, "*HistogramDataPoint"),
        "aggregation_temporality": (2, "int32"),
    },
    "ExponentialHistogram": {
        "data_points": (1, "*ExponentialHistogramDataPoint"),
        "aggregation_temporality": (2, "int32"),
    },
    "Summary": {"data_points": (1, "*SummaryDataPoint")},
    "Metric": {
        "name": (1, "string"),
        "unit": (3, "string"),
        "gauge": (5, "oneof:Gauge"),
        "sum": (7, "oneof:Sum"),
        "histogram": (9, "oneof:Histogram"),
        "exponential_histogram": (10, "oneof:ExponentialHistogram"),
        "summary": (11, "oneof:Summary"),
    },
    "ScopeMetrics": {"metrics": (2, "*Metric")},
    "ResourceMetrics": {"resource": (1, "Resource"), "scope_metrics": (2, "*ScopeMetrics")},
    "MetricsRequest": {"resource_metrics": (1, "*ResourceMetrics")},
    "PartialSuccess": {"rejected_data_points": (1, "int64"), "error_message": (2, "string")},
    "MetricsResponse": {"partial_success": (1, "PartialSuccess")},
}

_ONEOF = {"AnyValue": "value", "NumberDataPoint": "value", "Metric": "data"}


def _declared(package: str, messages: Mapping[str, _Fields]) -> descriptor_pool.DescriptorPool:
    """Return a pool of its own with messages, so that no other library's clash with them."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        if name in _ONEOF:
            message.oneof_decl.add(name=_ONEOF[name])
        for field, (number, written) in fields.items():
            kind = written.removeprefix("*").removeprefix("oneof:")
            made = message.field.add(
                name=field,
                number=number,
                label=_FIELD.LABEL_REPEATED if written.startswith("*") else _FIELD.LABEL_OPTIONAL,
                json_name=_camel(field),
            )
            if kind in _SCALARS:
                made.type = _SCALARS[kind]
            else:
                made.type, made.type_name = _FIELD.TYPE_MESSAGE, f".{package}.{kind}"
            if written.startswith("oneof:"):
                made.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


_PROMETHEUS_POOL = _declared("berth.prometheus", _PROMETHEUS)
_OTLP_POOL = _declared("berth.otlp", _OTLP)

WriteRequest = message_factory.GetMessageClass(
    _PROMETHEUS_POOL.FindMessageTypeByName("berth.prometheus.WriteRequest")
)
"""A request of remote write 1.0."""
MetricsRequest = message_factory.GetMessageClass(
    _OTLP_POOL.FindMessageTypeByName("berth.otlp.MetricsRequest")
)
"""A request of OTLP that exports metrics."""
MetricsResponse = message_factory.GetMessageClass(
    _OTLP_POOL.FindMessageTypeByName("berth.otlp.MetricsResponse")
)
"""The answer to it."""
