# ruff: noqa: ANN401 - messages are built at run time
"""A small client of both faces; it shares no code with the server but the message classes."""

from __future__ import annotations

import http.client
import json
from typing import Any

import grpc

from executors.serving.v2.messages import CLASSES, SERVICE

ROW = [5.1, 3.5, 1.4, 0.2]
TENSOR = {"name": "features", "shape": [1, 4], "datatype": "FP64", "data": ROW}


class Client:
    """Asks a server on this machine."""

    def __init__(self, port: int, grpc_port: int) -> None:
        self.port = port
        self.grpc_port = grpc_port

    def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body or None, headers or {})
            response = connection.getresponse()
            found = {key.lower(): value for key, value in response.getheaders()}
            return response.status, found, response.read()
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, Any]:
        """Return status and document of a GET."""
        status, _, body = self.send("GET", path)
        return status, json.loads(body)

    def post(self, path: str, document: object = None) -> tuple[int, Any]:
        """Return status and document of a POST."""
        data = b"" if document is None else json.dumps(document).encode()
        status, _, body = self.send("POST", path, data)
        return status, json.loads(body)

    def infer(self, *tensors: object, model: str = "iris", **more: object) -> tuple[int, Any]:
        """Return status and document of an inference."""
        document = {"inputs": list(tensors) or [TENSOR], **more}
        return self.post(f"/v2/models/{model}/infer", document)

    def call(
        self, method_name: str, body: bytes | None = None, *, timeout: float = 60, **fields: Any
    ) -> Any:
        """Return the answer of a call over gRPC."""
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            method = channel.unary_unary(
                f"/{SERVICE}/{method_name}",
                request_serializer=lambda data: data,
                response_deserializer=CLASSES[f"{method_name}Response"].FromString,
            )
            data = body if body is not None else CLASSES[f"{method_name}Request"](**fields)
            sent = data if isinstance(data, bytes) else data.SerializeToString()
            return method(sent, timeout=timeout)
