"""Traces of requests in OpenTelemetry's terms, sent by OTLP over HTTP; off unless configured.

`context` reads and writes the header `traceparent`, `spans` records, `export` sends. No library is
needed: the form of OTLP in JSON is stable and small, and a server that is not traced pays nothing.
"""

from executors.serving.tracing.export import from_environment as from_environment
from executors.serving.tracing.spans import Span as Span
from executors.serving.tracing.spans import Tracer as Tracer
