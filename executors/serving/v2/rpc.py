"""The gRPC face: `inference.GRPCInferenceService` with Triton's repository extensions.

Handlers take and give bytes, and messages come from a private pool, see `messages`. Extra `grpc`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar, cast
from urllib.parse import quote

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from engine.model.errors import BerthError
from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.servables import Servable
from executors.serving.v2 import rpc_codec, service
from executors.serving.v2.messages import CLASSES, CONFIG_TYPES, SERVICE
from executors.serving.v2.routes import config_of, status_of
from executors.serving.v2.service import InferenceService

_OPTIONS_SIZE = ("grpc.max_receive_message_length", "grpc.max_send_message_length")
_ANSWERED = 200
_FAILED = 500
_LEFT = 499
"""The client left, or its deadline passed: counted as nginx does."""
_SAID_BYTES_MAX = 4_096
"""Of an error as it travels: clients end calls whose trailers have over 8 KiB, saying only that."""
_INLINE_BYTES_MAX = 1 << 18
"""Larger messages are translated beside the loop: millions of texts take seconds."""
T = TypeVar("T")
Handler = Callable[[bytes, Any], Awaitable[bytes]]


def start(served: InferenceService, address: str) -> tuple[grpc.aio.Server, int]:
    """Return a server that is bound to an address but not started, and its port.

    Raises:
        RuntimeError: when the address cannot be used.
    """
    others = _Calls(served).handlers().items()
    calls = {name: unary(f"{name}Request", each) for name, each in others}
    calls["ModelInfer"] = _Inference(served).infer
    return bound(calls, served.limits.body_bytes_max, address)


def bound(calls: Mapping[str, Handler], size: int, address: str) -> tuple[grpc.aio.Server, int]:
    """Return a server of calls, each from bytes and a context to bytes, otherwise as `start`.

    size: most bytes of a message.
    """
    options = [*((name, size) for name in _OPTIONS_SIZE), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options)
    methods = {f"/{SERVICE}/{name}": each for name, each in calls.items()}
    server.add_generic_rpc_handlers((_Handlers(methods),))
    return server, server.add_insecure_port(address)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Finds the handler of a method."""

    def __init__(self, methods: Mapping[str, Handler]) -> None:
        self._methods = {
            name: grpc.unary_unary_rpc_method_handler(each) for name, each in methods.items()
        }

    def service(self, handler_call_details: Any) -> Any:  # noqa: ANN401 - grpc has no types
        """Return the handler of a call, None for a method that is not served."""
        return self._methods.get(handler_call_details.method)


class _Inference:
    """The call that must be quick."""

    def __init__(self, served: InferenceService) -> None:
        self._service = served

    async def infer(self, body: bytes, context: Any) -> bytes:  # noqa: ANN401 - as above
        """Answer ModelInfer."""
        began = time.monotonic()
        served = self._service
        try:
            served.enter()
        except RequestError as error:
            served.finish("", error.status, began)
            return await abort(context, error)
        name, status = "", _ANSWERED
        try:
            message = parse(CLASSES["ModelInferRequest"], body)
            name = message.model_name
            request, raw = await translated(len(body), partial(rpc_codec.read_infer, message))
            remaining = context.time_remaining()
            answer = await served.infer(
                (name, message.model_version),
                request,
                metadata(context),
                began=began,
                timeout_seconds=float("inf") if remaining is None else remaining,
            )
            size = sum(output.array.nbytes for output in answer.outputs)
            return await translated(size, partial(rpc_codec.write_answer, answer, raw=raw))
        except RequestError as error:
            failure = error
            status = error.status
        except asyncio.CancelledError:
            status = _LEFT
            raise
        except Exception as error:
            failure = RequestError(f"the server failed: {error!r}", _FAILED)
            status = _FAILED
        finally:
            served.open_requests -= 1
            served.finish(name, status, began)
        return await abort(context, failure)


class _Calls:
    """Every call but inference."""

    def __init__(self, served: InferenceService) -> None:
        self._service = served

    def handlers(self) -> Mapping[str, Callable[[Any], Awaitable[Any]]]:
        """Return the handlers by method."""
        return {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server,
            "ModelMetadata": self._metadata,
            "ModelConfig": self._config,
            "ModelStatistics": self._statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }

    def _servable(self, request: Any) -> Servable:  # noqa: ANN401 - as above
        return self._service.servable(request.name, request.version)

    async def _live(self, _: Any) -> Any:  # noqa: ANN401 - as above
        return CLASSES["ServerLiveResponse"](live=True)

    async def _ready(self, _: Any) -> Any:  # noqa: ANN401 - as above
        return CLASSES["ServerReadyResponse"](ready=self._service.is_ready())

    async def _model_ready(self, request: Any) -> Any:  # noqa: ANN401 - as above
        ready = self._servable(request).is_ready and not self._service.draining
        return CLASSES["ModelReadyResponse"](ready=ready)

    async def _server(self, _: Any) -> Any:  # noqa: ANN401 - as above
        return CLASSES["ServerMetadataResponse"](**service.describe_server())

    async def _metadata(self, request: Any) -> Any:  # noqa: ANN401 - as above
        servable = self._servable(request)
        tensor = CLASSES["TensorMetadata"]

        def tensors(specs: Any) -> list[Any]:  # noqa: ANN401 - as above
            return [tensor(name=s.name, datatype=s.datatype, shape=s.shape) for s in specs]

        found = service.describe_model(self._service, servable)
        return CLASSES["ModelMetadataResponse"](
            name=servable.name,
            versions=found["versions"],
            platform=servable.runner.platform,
            inputs=tensors(servable.inputs),
            outputs=tensors(servable.outputs),
        )

    async def _config(self, request: Any) -> Any:  # noqa: ANN401 - as above
        servable = self._servable(request)
        found: dict[str, Any] = service.describe_config(servable)
        pairs = (
            ("input", "ModelInput", servable.inputs),
            ("output", "ModelOutput", servable.outputs),
        )
        tensors = {
            key: [
                CLASSES[kind](
                    name=described["name"],
                    data_type=CONFIG_TYPES[spec.datatype],
                    dims=described["dims"],
                )
                for described, spec in zip(found[key], specs, strict=True)
            ]
            for key, kind, specs in pairs
        }
        config = CLASSES["ModelConfig"](
            name=found["name"],
            platform=found["platform"],
            backend=found["backend"],
            max_batch_size=found["max_batch_size"],
            **tensors,
        )
        return CLASSES["ModelConfigResponse"](config=config)

    async def _statistics(self, request: Any) -> Any:  # noqa: ANN401 - as above
        if request.name:
            servables = [self._servable(request)]
        else:
            slots = self._service.shelf.slots.values()
            servables = [each for slot in slots for each in slot.current.versions]
        found: list[dict[str, Any]] = [service.describe_statistics(each) for each in servables]
        for each in found:
            del each["batch_stats"]
        return CLASSES["ModelStatisticsResponse"](model_stats=found)

    async def _index(self, request: Any) -> Any:  # noqa: ANN401 - as above
        entry = CLASSES["ModelIndex"]
        found = [
            entry(name=e.name, version=e.version, state=e.state, reason=e.reason)
            for e in self._service.shelf.index()
            if not request.ready or e.state == "READY"
        ]
        return CLASSES["RepositoryIndexResponse"](models=found)

    async def _load(self, request: Any) -> Any:  # noqa: ANN401 - as above
        parameters = rpc_codec.read_parameters(request.parameters)
        await self._service.shelf.load(request.model_name, config_of(dict(parameters)))
        return CLASSES["RepositoryModelLoadResponse"]()

    async def _unload(self, request: Any) -> Any:  # noqa: ANN401 - as above
        await self._service.shelf.unload(request.model_name)
        return CLASSES["RepositoryModelUnloadResponse"]()


def unary(name: str, handler: Callable[[Any], Awaitable[Any]]) -> Handler:
    """Return a handler of bytes from one of messages of that name, with errors as statuses."""
    kind = CLASSES[name]

    async def handle(body: bytes, context: Any) -> bytes:  # noqa: ANN401 - as above
        try:
            answer = await handler(parse(kind, body))
            return cast("bytes", answer.SerializeToString())
        except RequestError as error:
            failure = error
        except BerthError as error:
            failure = RequestError(error.message, status_of(error))
        except Exception as error:
            failure = RequestError(f"the server failed: {error!r}", _FAILED)
        return await abort(context, failure)

    return handle


async def translated(size: int, work: Callable[[], T]) -> T:
    """Return what a translation makes of so many bytes; others are answered meanwhile."""
    return work() if size <= _INLINE_BYTES_MAX else await asyncio.to_thread(work)


async def abort(context: Any, error: RequestError) -> bytes:  # noqa: ANN401 - as above
    """End a call with the status of an error."""
    if error.retry_after_seconds:
        pushback = str(error.retry_after_seconds * 1000)
        context.set_trailing_metadata((("grpc-retry-pushback-ms", pushback),))
    await context.abort(grpc.StatusCode[error.grpc_code], _short(str(error)))
    raise error


def _short(said: str) -> str:
    """Return as much of what is said as gets through: names in it are of any length."""
    short = said[:_SAID_BYTES_MAX]
    while len(quote(short)) > _SAID_BYTES_MAX:
        short = short[: len(short) * 3 // 4]
    return short if short == said else f"{short}..."


def metadata(context: Any) -> dict[str, str]:  # noqa: ANN401 - as above
    """Return the headers of a call that are text."""
    found = context.invocation_metadata() or ()
    return {key: value for key, value in found if isinstance(value, str)}


def parse(kind: Any, body: bytes) -> Any:  # noqa: ANN401 - as above
    """Read a message.

    Raises:
        RequestError: when the bytes are none.
    """
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise RequestError(f"the bytes are no {kind.DESCRIPTOR.name}: {error}") from error
