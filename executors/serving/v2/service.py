"""What REST and gRPC share: limits, deadlines, the choice of a version, counting, descriptions."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Protocol

import msgspec

from executors.serving.runtime.batching import Statistics
from executors.serving.runtime.faults import RequestError, busy
from executors.serving.runtime.runners import TensorSpec
from executors.serving.runtime.servables import Servable
from executors.serving.runtime.shelf import Shelf
from executors.serving.runtime.slots import Slot
from executors.serving.runtime.tensors import Array
from executors.serving.tracing.spans import Span, Tracer
from executors.serving.v2 import requests
from executors.serving.v2.metrics import Metrics
from executors.serving.v2.requests import InferAnswer, InferRequest

EXTENSIONS = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "statistics",
    "berth_labels",
    "berth_rollback",
)
Reply = Callable[[InferAnswer | RequestError], None]
_FOREVER = float("inf")
_NANO = 1e9


class Observer(Protocol):
    """Hears of every answer of a model."""

    def answered(
        self, servable: Servable, request: InferRequest, answer: InferAnswer, latency_ms: float
    ) -> None:
        """Take note of an answer."""
        ...

    def failed(self) -> None:
        """Take note of a request that was not answered."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a server. open_requests_max: requests at once, over all models."""

    body_bytes_max: int = 64 << 20
    open_requests_max: int = 4096


@dataclass(slots=True, kw_only=True)
class InferenceService:
    """Answers requests from the models of a shelf. Used by the thread of the event loop.

    observers: by model. draining: true when the server is about to end; it answers what comes,
    but says that it is not ready. tracer: records requests; None, the default, costs nothing.
    """

    shelf: Shelf
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    observers: dict[str, Observer] = field(default_factory=dict)
    draining: bool = False
    open_requests: int = 0
    tracer: Tracer | None = None

    def enter(self) -> None:
        """Count a request in.

        Raises:
            RequestError: when as many as allowed are open.
        """
        if self.open_requests >= self.limits.open_requests_max:
            raise busy(f"{self.open_requests} requests are open", 503)
        self.open_requests += 1

    def begin(
        self,
        target: tuple[str, str],
        request: InferRequest,
        headers: Mapping[str, str],
        reply: Reply,
        *,
        began: float,
        timeout_seconds: float = _FOREVER,
    ) -> None:
        """Start to answer a request; `reply` is told the answer or the error.

        target: model and version, "" for whichever is routed to. began: when its first byte was
        seen, by the machine's monotonic clock.

        Raises:
            RequestError: when it cannot be answered at all; `reply` is not called then.
        """
        if self.tracer is None:
            self._begin(target, request, headers, reply, began, timeout_seconds)
            return
        name, version = target
        span = self.tracer.begin(f"infer {name}", headers, int(began * _NANO))
        if span is not None:
            span.attributes |= {"model.name": name, "model.version": version}
        try:
            self._begin(target, request, headers, reply, began, timeout_seconds, span)
        except RequestError as error:
            if span is not None:
                span.end(str(error))
            raise

    def _begin(
        self,
        target: tuple[str, str],
        request: InferRequest,
        headers: Mapping[str, str],
        reply: Reply,
        began: float,
        timeout_seconds: float,
        span: Span | None = None,
    ) -> None:
        name, version = target
        slot = self.shelf.slots.get(name) or self.shelf.slot(name)
        servable = slot.choose(version, headers)
        requests.check_outputs(request, servable.outputs)
        timeout = timeout_seconds
        if request.parameters:
            timeout = min(timeout, request.timeout_seconds)
        pending = _Pending(self, slot, servable, request, began, reply, span)
        servable.begin(request.tensors, began + timeout, pending, span)
        servable.open_requests += 1

    async def infer(
        self,
        target: tuple[str, str],
        request: InferRequest,
        headers: Mapping[str, str],
        *,
        began: float,
        timeout_seconds: float = _FOREVER,
    ) -> InferAnswer:
        """Answer a request; as `begin`.

        Raises:
            RequestError: when it cannot be answered.
        """
        future: asyncio.Future[InferAnswer] = asyncio.get_running_loop().create_future()

        def reply(answer: InferAnswer | RequestError) -> None:
            if future.done():
                return
            if isinstance(answer, RequestError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self.begin(target, request, headers, reply, began=began, timeout_seconds=timeout_seconds)
        return await future

    def finish(self, name: str, status: int, began: float) -> None:
        """Count a request out."""
        known = name in self.shelf.slots
        if known and status >= 400 and name in self.observers:  # noqa: PLR2004 - HTTP
            self.observers[name].failed()
        self.metrics.count(name if known else "", status, time.monotonic() - began)

    def is_ready(self) -> bool:
        """Say whether the server can answer for all its models."""
        return not self.draining and all(
            slot.current.default.is_ready for slot in self.shelf.slots.values()
        )

    def servable(self, name: str, version: str) -> Servable:
        """Return a version, the default without one.

        Raises:
            RequestError: when it is not served.
        """
        slot = self.shelf.slot(name)
        return slot.choose(version, {}) if version else slot.current.default


class _Pending(msgspec.Struct, eq=False):
    """A request that runs: turns outputs into an answer."""

    service: InferenceService
    slot: Slot
    servable: Servable
    request: InferRequest
    began: float
    reply: Reply
    span: Span | None = None

    def __call__(self, outputs: list[Array] | None, error: RequestError | None) -> None:
        """Take the outcome."""
        servable, request = self.servable, self.request
        servable.open_requests -= 1
        if self.span is not None:
            self.span.attributes["model.version"] = servable.version
            self.span.end(str(error) if error is not None else "")
        if outputs is None:
            self.reply(error or RequestError("the model gave no outputs", 500))
            return
        observer = self.service.observers.get(servable.name)
        answer = InferAnswer(
            model=servable.name,
            version=servable.version,
            request_id=request.request_id or (uuid.uuid4().hex if observer else ""),
            outputs=requests.chosen(request, servable.outputs, outputs),
        )
        if observer:
            took_ms = (time.monotonic() - self.began) * 1000
            observer.answered(servable, request, answer, took_ms)
        if self.slot.current.routing.shadow:
            self.slot.mirror(servable, request.tensors, outputs)
        self.reply(answer)


def describe_server() -> dict[str, object]:
    """Return the server's metadata."""
    version = metadata.version("berth")
    return {"name": "berth", "version": version, "extensions": list(EXTENSIONS)}


def describe_model(service: InferenceService, servable: Servable) -> dict[str, object]:
    """Return a model's metadata in the protocol's terms; what it lacks stands in parameters."""
    current = service.shelf.slot(servable.name).current
    parameters = {k: v for k, v in servable.described.items() if k != "stamp"}
    parameters |= servable.settings.parameters
    return {
        "name": servable.name,
        "versions": [each.version for each in current.versions],
        "platform": servable.runner.platform,
        "inputs": [_tensor(spec) for spec in servable.inputs],
        "outputs": [_tensor(spec) for spec in servable.outputs],
        "parameters": parameters,
    }


def describe_config(servable: Servable) -> dict[str, object]:
    """Return a model's configuration in Triton's terms."""
    stackable = servable.runner.stackable

    def tensors(specs: Sequence[TensorSpec]) -> list[dict[str, object]]:
        return [
            {
                "name": spec.name,
                "data_type": config_type(spec.datatype),
                "dims": list(spec.shape[1:] if stackable else spec.shape),
            }
            for spec in specs
        ]

    return {
        "name": servable.name,
        "platform": servable.runner.platform,
        "backend": servable.runner.platform.partition("_")[0],
        "version_policy": {"specific": {"versions": [servable.version]}},
        "max_batch_size": servable.settings.batch_rows_max if stackable else 0,
        "input": tensors(servable.inputs),
        "output": tensors(servable.outputs),
        "dynamic_batching": {"max_queue_delay_microseconds": 0},
    }


def describe_statistics(servable: Servable) -> dict[str, object]:
    """Return what a version did, in Triton's terms."""
    found: Statistics = servable.batcher.statistics

    def took(count: int, nanoseconds: int) -> dict[str, int]:
        return {"count": count, "ns": nanoseconds}

    return {
        "name": servable.name,
        "version": servable.version,
        "last_inference": found.last_inference_ms,
        "inference_count": found.inference_count,
        "execution_count": found.execution_count,
        "inference_stats": {
            "success": took(found.success_count, found.success_ns),
            "fail": took(found.fail_count, found.fail_ns),
            "queue": took(found.success_count, found.queue_ns),
            "compute_input": took(found.success_count, 0),
            "compute_infer": took(found.execution_count, found.infer_ns),
            "compute_output": took(found.success_count, 0),
        },
        "batch_stats": [],
    }


def config_type(datatype: str) -> str:
    """Return Triton's name of a datatype."""
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def _tensor(spec: TensorSpec) -> dict[str, object]:
    found: dict[str, object] = {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": list(spec.shape),
    }
    if spec.parameters:
        found["parameters"] = dict(spec.parameters)
    elif spec.columns:
        found["parameters"] = {"columns": [{"name": name} for name in spec.columns]}
    return found
