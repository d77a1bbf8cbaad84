"""The gateway over gRPC: the same models, wherever they serve, asked over REST. Extra `grpc`.

Not every server speaks gRPC, and each speaks REST with binary tensors, so a call becomes a REST
request whose tensors are sent as they are. Finding the server, waiting while the model moves and
asking again are those of `Gateway.answer`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import grpc.aio
from google.protobuf import json_format

from executors.serving.gateway.gateway import SERVER, Gateway, Question
from executors.serving.gateway.upstream import Answer
from executors.serving.runtime.faults import RequestError, not_found
from executors.serving.runtime.runners import TensorSpec
from executors.serving.runtime.tensors import to_bytes
from executors.serving.v2 import documents, rpc, rpc_codec
from executors.serving.v2.application import json_length, timeout_of
from executors.serving.v2.messages import CLASSES, CONFIG_TYPES
from executors.serving.v2.requests import InferAnswer, Output

_GOOD = 200
_FAILED = 500
_UNAVAILABLE = 503
_NONSENSE = 502
_TIMEOUT = "berth-timeout-ms"
_JSON_LENGTH = "inference-header-content-length"
_OF_GRPC = frozenset({
    "user-agent", "content-type", "content-encoding", "te", "accept-encoding", "grpc-timeout",
})  # fmt: skip
"""Headers of the call, or of a body that is another one over REST."""
_CONFIG_PREFIX = "TYPE_"
Headers = Mapping[str, str]


def start(gateway: Gateway, address: str) -> tuple[grpc.aio.Server, int]:
    """Return a server that is bound to an address but not started, and its port.

    Raises:
        RuntimeError: when the address cannot be used.
    """
    calls = _Calls(gateway)
    own = {
        "ServerLive": calls.live,
        "ServerReady": calls.ready,
        "ServerMetadata": calls.server,
        "RepositoryIndex": calls.index,
    }
    of_models = {
        "ModelInfer": calls.infer,
        "ModelReady": calls.model_ready,
        "ModelMetadata": calls.model,
        "ModelConfig": calls.config,
        "ModelStatistics": calls.statistics,
    }
    handlers = {name: rpc.unary(f"{name}Request", call) for name, call in own.items()}
    handlers |= {name: partial(_handled, name, call) for name, call in of_models.items()}
    return rpc.bound(handlers, gateway.limits.body_bytes_max, address)


async def _handled(name: str, call: Any, body: bytes, context: Any) -> bytes:  # noqa: ANN401 - grpc has no types
    """Answer a call to a model."""
    try:
        return cast("bytes", await call(rpc.parse(CLASSES[f"{name}Request"], body), context))
    except RequestError as error:
        failure = error
    except Exception as error:
        failure = RequestError(f"the gateway failed: {error!r}", _FAILED)
    return await rpc.abort(context, failure)


class _Calls:
    """Every call."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    # ------------------------------------------------------------- of the gateway

    async def live(self, _: Any) -> Any:  # noqa: ANN401 - messages are built at run time
        """Answer ServerLive."""
        return CLASSES["ServerLiveResponse"](live=True)

    async def ready(self, _: Any) -> Any:  # noqa: ANN401 - as above
        """Answer ServerReady."""
        return CLASSES["ServerReadyResponse"](ready=self._gateway.is_ready)

    async def server(self, _: Any) -> Any:  # noqa: ANN401 - as above
        """Answer ServerMetadata."""
        return CLASSES["ServerMetadataResponse"](**SERVER)

    async def index(self, request: Any) -> Any:  # noqa: ANN401 - as above
        """Answer RepositoryIndex."""
        entries = self._gateway.index()
        found = [each for each in entries if not request.ready or each["state"] == "READY"]
        return CLASSES["RepositoryIndexResponse"](models=found)

    # ----------------------------------------------------------------- of a model

    async def infer(self, message: Any, context: Any) -> bytes:  # noqa: ANN401 - as above
        """Answer ModelInfer; raw tensors for raw ones."""
        body = await rpc.translated(message.ByteSize(), partial(_written, message))
        model = (message.model_name, message.model_version)
        answer = await self._asked(model, "infer", context, body)
        is_raw = bool(message.raw_input_contents)
        return await rpc.translated(len(answer.body), partial(_answered, answer, raw=is_raw))

    async def model_ready(self, message: Any, context: Any) -> bytes:  # noqa: ANN401 - as above
        """Answer ModelReady; a model that is being moved is not."""
        try:
            await self._asked((message.name, message.version), "ready", context)
            ready = True
        except RequestError as error:
            if error.status != _UNAVAILABLE:
                raise
            ready = False
        return _bytes(CLASSES["ModelReadyResponse"](ready=ready))

    async def model(self, message: Any, context: Any) -> bytes:  # noqa: ANN401 - as above
        """Answer ModelMetadata."""
        found = await self._document((message.name, message.version), "", context)
        return _message("ModelMetadataResponse", found)

    async def config(self, message: Any, context: Any) -> bytes:  # noqa: ANN401 - as above
        """Answer ModelConfig."""
        found = await self._document((message.name, message.version), "config", context)
        for each in (*found.get("input", ()), *found.get("output", ())):
            named = str(each.get("data_type", "")).removeprefix(_CONFIG_PREFIX)
            each["data_type"] = CONFIG_TYPES.get("BYTES" if named == "STRING" else named, 0)
        return _message("ModelConfigResponse", {"config": found})

    async def statistics(self, message: Any, context: Any) -> bytes:  # noqa: ANN401 - as above
        """Answer ModelStatistics, where none is named of all models but those being moved."""
        known = self._gateway.table.known
        names = [message.name] if message.name else sorted(name for name in known if known[name])
        found: list[object] = []
        for name in names:
            document = await self._document((name, message.version), "stats", context)
            found += document.get("model_stats", ())
        return _message("ModelStatisticsResponse", {"model_stats": found})

    async def _document(
        self,
        model: tuple[str, str],
        rest: str,
        context: Any,  # noqa: ANN401 - as above
    ) -> dict[str, Any]:
        answer = await self._asked(model, rest, context)
        try:
            return documents.read_object(bytes(answer.body))
        except RequestError as error:
            raise _nonsense(error) from error

    async def _asked(
        self,
        model: tuple[str, str],
        rest: str,
        context: Any,  # noqa: ANN401 - as above
        body: tuple[bytes, bytes] | None = None,
    ) -> Answer:
        """Ask a version of a model over REST; GET without a body.

        body: JSON, and the tensors behind it.

        Raises:
            RequestError: with the status of an answer that is none.
        """
        began = time.monotonic()
        name, version = model
        if "/" in version:  # it would be another path
            raise not_found(f"no version of model {name!r} is called {version!r}")
        below = [*(("versions", version) if version else ()), *((rest,) if rest else ())]
        headers = _headers(context)
        if body is not None:
            headers |= {"content-type": "application/octet-stream"}
            headers |= {_JSON_LENGTH: str(len(body[0]))}
        question = Question(
            model=name,
            rest="/".join(below),
            method="GET" if body is None else "POST",
            path="/".join(("/v2/models", name, *below)),
            headers=[(key.encode(), value.encode()) for key, value in headers.items()],
            body=b"" if body is None else b"".join(body),
        )
        found = await self._gateway.answer(question, headers, began)
        if found.status != _GOOD:
            raise _refusal(found)
        return found


def _headers(context: Any) -> dict[str, str]:  # noqa: ANN401 - as above
    """Return the headers of a call that its model may want, with the time that it has left.

    Raises:
        RequestError: for one that is no header of HTTP/1.1. grpc lets ends of lines through, behind
            which a further request to the server could stand.
    """
    given = rpc.metadata(context)
    found = {key: value for key, value in given.items() if key not in _OF_GRPC}
    for key, value in found.items():
        if not (value.isascii() and value.isprintable()):
            raise RequestError(f"metadata {key!r} is {value!r}, expected printable ASCII")
    remaining = context.time_remaining()
    if remaining is not None:
        seconds = min(remaining, timeout_of(found))
        found[_TIMEOUT] = str(max(int(seconds * 1_000), 0))
    return found


def _written(message: Any) -> tuple[bytes, bytes]:  # noqa: ANN401 - messages are built at run time
    """Return the JSON of a request, and its tensors as they stand behind it."""
    request, _ = rpc_codec.read_infer(message)
    parts = [to_bytes(each.datatype, each.array) for each in request.tensors]
    head: dict[str, object] = {
        "id": request.request_id,
        "parameters": {**request.parameters, "binary_data_output": True},
        "inputs": [
            {
                "name": each.name,
                "datatype": each.datatype,
                "shape": each.array.shape,
                "parameters": {"binary_data_size": len(part)},
            }
            for each, part in zip(request.tensors, parts, strict=True)
        ],
    }
    if request.outputs:
        head["outputs"] = [{"name": each.name} for each in request.outputs]
    return documents.encode(head), b"".join(parts)


def _answered(answer: Answer, *, raw: bool) -> bytes:
    """Return a server's answer to an inference as a message."""
    return rpc_codec.write_answer(_read(answer), raw=raw)


def _read(answer: Answer) -> InferAnswer:
    """Read a server's answer to an inference.

    Raises:
        RequestError: when it is none.
    """
    body = bytes(answer.body)
    try:
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in answer.headers}
        length = json_length(headers)
        size = len(body) if length is None else length
        head = documents.read_object(body[:size])
        # What is behind belongs to outputs as that of a request belongs to inputs.
        tensors = documents.encode({"inputs": head.get("outputs")})
        found = documents.read_infer(tensors + body[size:], len(tensors))
    except RequestError as error:
        raise _nonsense(error) from error
    return InferAnswer(
        model=str(head.get("model_name", "")),
        version=str(head.get("model_version", "")),
        request_id=str(head.get("id", "")),
        outputs=[
            Output(
                TensorSpec(name=each.name, datatype=each.datatype, shape=each.array.shape),
                each.array,
                binary=True,
            )
            for each in found.tensors
        ],
    )


def _refusal(answer: Answer) -> RequestError:
    """Return the error that an answer tells of."""
    try:
        said = str(documents.read_object(bytes(answer.body)).get("error", ""))
    except RequestError:
        said = ""
    again = dict(answer.headers).get(b"retry-after", b"0")
    seconds = int(again) if again.isdigit() else 0
    message = said or f"the server answered {answer.status}"
    return RequestError(message, answer.status, retry_after_seconds=seconds)


def _message(name: str, document: Mapping[str, Any]) -> bytes:
    """Return a document as a message, without what the protocol does not have."""
    message = CLASSES[name]()
    try:
        json_format.ParseDict(dict(document), message, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise _nonsense(error) from error
    return _bytes(message)


def _nonsense(error: Exception) -> RequestError:
    """Return the error of a server whose answer is none."""
    return RequestError(f"the server answers nonsense: {error}", _NONSENSE)


def _bytes(message: Any) -> bytes:  # noqa: ANN401 - as above
    return cast("bytes", message.SerializeToString())
