"""Takes connections at one address and passes them on to another, as kube-proxy does for a Service.

A real node of these tests routes no address of a Service, and its pods reach nothing that listens
on loopback: what they need is forwarded from the address of the node.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable
from types import TracebackType

_CHUNK_BYTES = 1 << 16
_CONNECT_SECONDS = 5.0
Target = Callable[[], tuple[str, int]]


class Forwarder:
    """Listens at (host, a free port) while it is entered; target: asked anew by each connection."""

    def __init__(self, host: str, target: Target) -> None:
        handler = type("Handler", (_Handler,), {"target": staticmethod(target)})
        self._server = socketserver.ThreadingTCPServer((host, 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.host = host
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Forwarder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(socketserver.BaseRequestHandler):
    target: Target

    def handle(self) -> None:
        try:
            beyond = socket.create_connection(self.target(), timeout=_CONNECT_SECONDS)
        except (OSError, LookupError):
            return  # the connection is closed, as by a Service without endpoints
        with beyond:
            beyond.settimeout(None)
            back = threading.Thread(target=_pump, args=(beyond, self.request), daemon=True)
            back.start()
            _pump(self.request, beyond)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until the source has ended."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
