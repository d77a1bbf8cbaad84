"""Calls of the model runner by http.client, timed."""

import http.client
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Body:
    """A form of some parts, ready to be sent."""

    data: bytes
    content_type: str


def form(parts: Mapping[str, bytes | str]) -> Body:
    """Returns a form; bytes are files, texts are fields."""
    boundary = uuid.uuid4().hex
    lines: list[bytes] = []
    for name, value in parts.items():
        is_file = isinstance(value, bytes)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
        head += f'; filename="{name}"\r\nContent-Type: text/csv' if is_file else ""
        data = value if isinstance(value, bytes) else value.encode()
        lines.append(head.encode() + b"\r\n\r\n" + data + b"\r\n")
    lines.append(f"--{boundary}--\r\n".encode())
    return Body(b"".join(lines), f"multipart/form-data; boundary={boundary}")


def binary(data: bytes) -> Body:
    """Returns a serialised message as a body."""
    return Body(data, "application/x-protobuf")


class Caller:
    """One connection that is kept, to `address`."""

    def __init__(self, host: str, port: int) -> None:
        self.address = (host, port)
        self._connection = http.client.HTTPConnection(host, port, timeout=60)

    def send(self, method: str, path: str, body: Body) -> tuple[int, bytes, float]:
        """Returns status, answer and milliseconds of one call."""
        started = time.perf_counter()
        headers = {"Content-Type": body.content_type}
        self._connection.request(method, f"/modelrunner{path}", body.data, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        return answer.status, data, (time.perf_counter() - started) * 1000
