"""The gateway: models are moved, restarted and lost under load, and no request fails."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from engine.model.dispatches import Deployment
from engine.model.errors import UnreachableError
from engine.model.identifiers import Digest, PipelineName, RunId, TaskName
from executors.serving import faces
from executors.serving.gateway import process
from executors.serving.gateway.gateway import Gateway, Limits
from executors.serving.gateway.table import Table, addresses
from executors.serving.gateway.upstream import Upstreams
from tests.unit.serving.client import TENSOR, Client
from tests.unit.serving.conftest import Quiet

BODY = json.dumps({"inputs": [TENSOR]}).encode()
INFER = "/v2/models/iris/infer"


def deployment(endpoint: str, name: str = "iris") -> Deployment:
    return Deployment(
        pipeline=PipelineName(name),
        task=TaskName("serve"),
        run_id=RunId("r-1"),
        wanted=Digest("sha256:1"),
        endpoint=endpoint,
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Server:
    """A model server of one thread that answers with its own name, as told: slowly, or not."""

    def __init__(self, name: str, *, seconds: float = 0.0, script: tuple[str, ...] = ()) -> None:
        self.name, self.seconds, self.script = name, seconds, list(script)
        self.seen: list[bytes] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)
        self.url = f"http://127.0.0.1:{self._port}"

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.seen.append(head + await reader.readexactly(length))
                await asyncio.sleep(self.seconds)
                step = self.script.pop(0) if self.script else "answer"
                if step == "hang":
                    await asyncio.sleep(3600)
                if step == "lose":
                    return
                status = "503 Busy" if step == "busy" else "200 OK"
                body = json.dumps({"model_version": self.name}).encode()
                said = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                writer.write(said + (body[:5] if step == "cut" else body))
                if step == "cut":
                    return
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self._open.discard(writer)
            writer.close()

    @property
    def is_asked(self) -> bool:
        """Whether anybody has a connection to it."""
        return bool(self._open)

    def end(self) -> None:
        """End at once, with whatever is open."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(60)


@dataclass
class Running:
    """A gateway in a thread, and what an engine tells it."""

    limits: Limits = field(default_factory=Limits)
    grpc_wanted: int | None = None
    grpc_port: int = 0

    def __post_init__(self) -> None:
        self._deployments: list[Deployment] | None = []
        self._started = threading.Event()
        self._listening = faces.listen(0)
        # A loop of uvloop cannot be closed while grpc, which outlives servers, listens on it.
        run = uvloop.run if self.grpc_wanted is None else asyncio.run
        self._thread = threading.Thread(target=lambda: run(self._serve()))
        self._thread.start()
        assert self._started.wait(60)
        self.client = Client(self._listening.getsockname()[1], self.grpc_port)

    def _source(self) -> list[Deployment]:
        if self._deployments is None:
            raise UnreachableError("no engine runs")
        return self._deployments

    def tell(self, *deployments: Deployment) -> None:
        """Have the engine say what serves; the gateway knows it when this returns."""
        self._deployments = list(deployments)
        until(lambda: self.table.known == addresses(deployments))

    def leave(self, server: Server) -> None:
        """End a server as an engine does that moves its model: gone here, later there.

        Open requests are cut off; one waits when this returns.
        """
        waits = self.gateway.metrics.waits
        before = waits["iris"]
        self.tell(deployment(""))
        server.end()
        until(lambda: waits["iris"] > before)

    def lose_engine(self) -> None:
        """Have the engine be down; the gateway has noticed it when this returns."""
        failures = self.table.failures
        self._deployments = None
        until(lambda: self.table.failures > failures)

    async def _serve(self) -> None:
        self.table = Table(self._source, seconds=0.05, seconds_min=0.01)
        self.gateway = Gateway(table=self.table, limits=self.limits)
        self._server = Quiet(faces.configuration(self.gateway))
        await self.table.refresh()
        refreshing = asyncio.create_task(self.table.run())
        async with faces.rpc_server(
            self.gateway, "127.0.0.1", self.grpc_wanted, face=process.FACE
        ) as grpc_port:
            self.grpc_port = grpc_port or 0
            serving = asyncio.create_task(self._server.serve_quietly([self._listening]))
            while not self._server.started:
                await asyncio.sleep(0.005)
            self._started.set()
            await serving
        refreshing.cancel()
        self.gateway.upstreams.keep(set())
        await asyncio.sleep(0)  # a transport closes in the next round of its loop

    def infer(self, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Return status and document of an inference."""
        status, _, body = self.client.send("POST", INFER, BODY, headers)
        return status, json.loads(body)

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join(60)
        self._listening.close()


@pytest.fixture
def running() -> Iterator[Running]:
    found = Running(Limits(wait_seconds=60.0, waiting_max=64))
    yield found
    found.end()


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    found: list[Server] = []
    yield found
    for each in found:
        each.end()


def served(running: Running, servers: list[Server], **how: Any) -> Server:  # noqa: ANN401
    """Start a server and have the engine name it."""
    server = Server(f"s{len(servers)}", **how)
    servers.append(server)
    running.tell(deployment(server.url))
    return server


class Load:
    """Clients that ask one request after another; `found` are statuses and versions."""

    def __init__(self, running: Running, clients: int = 4) -> None:
        self.found: list[tuple[int, str]] = []
        self._ended = threading.Event()
        self._port = running.client.port
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=90)
        while not self._ended.is_set():
            connection.request("POST", INFER, BODY)
            response = connection.getresponse()
            document = json.loads(response.read())
            self.found.append((response.status, str(document.get("model_version"))))
        connection.close()

    def wait_for(self, version: str) -> None:
        """Wait until a version answers."""
        until(lambda: (200, version) in self.found)

    def end(self) -> set[int]:
        """Return the statuses that were seen."""
        self._ended.set()
        for thread in self._threads:
            thread.join(90)
        return {status for status, _ in self.found}


def test_a_model_that_moves_under_load_fails_no_request(
    running: Running, servers: list[Server]
) -> None:
    first = served(running, servers, seconds=0.002)
    load = Load(running)
    for number in range(1, 4):
        load.wait_for(f"s{number - 1}")
        running.leave(servers[-1])
        served(running, servers, seconds=0.002)
    load.wait_for("s3")
    assert load.end() == {200}
    assert first.seen
    _, _, page = running.client.send("GET", "/metrics")
    assert b'berth_gateway_waits_total{model="iris"}' in page


def test_a_server_that_was_replaced_before_the_engine_says_so_is_waited_for(
    running: Running, servers: list[Server]
) -> None:
    served(running, servers)
    assert running.infer()[1]["model_version"] == "s0"
    servers[0].end()
    threading.Timer(0.2, lambda: served(running, servers)).start()
    assert running.infer() == (200, {"model_version": "s1"})


@pytest.mark.parametrize("step", ["lose", "cut", "busy"])
def test_inference_is_asked_again(running: Running, servers: list[Server], step: str) -> None:
    server = served(running, servers, script=(step,))
    assert running.infer()[0] == 200
    assert len(server.seen) == 2
    assert server.seen[0] == server.seen[1]


def test_labels_that_may_have_arrived_are_not_sent_again(
    running: Running, servers: list[Server]
) -> None:
    server = served(running, servers, script=("lose",))
    status, answer = running.client.post("/v2/models/iris/labels", [])
    assert (status, "may have seen" in answer["error"], len(server.seen)) == (502, True, 1)


def test_a_request_that_ends_servers_is_given_up(running: Running, servers: list[Server]) -> None:
    server = served(running, servers, script=("lose",) * 10)
    assert running.infer()[0] == 502
    assert len(server.seen) == 4


def test_the_engine_may_be_away(running: Running, servers: list[Server]) -> None:
    served(running, servers)
    assert running.infer()[0] == 200
    running.lose_engine()
    assert running.infer()[0] == 200
    assert running.client.get("/v2/health/ready") == (200, {"ready": True})


def test_what_cannot_be_answered_in_time_is_said(running: Running, servers: list[Server]) -> None:
    running.tell(deployment(""))
    status, answer = running.infer({"Berth-Timeout-Ms": "100"})
    assert (status, "no server that answers" in answer["error"]) == (503, True)
    served(running, servers, script=("hang",))
    assert running.infer({"Berth-Timeout-Ms": "400"})[0] == 504


def test_whether_a_model_is_ready_is_said_at_once(running: Running, servers: list[Server]) -> None:
    running.tell(deployment(""))
    for path in ("/v2/models/iris/ready", "/v2/models/iris/versions/1/ready"):
        assert running.client.get(path)[0] == 503
    _, _, page = running.client.send("GET", "/metrics")
    assert b"berth_gateway_waits_total{" not in page
    served(running, servers)
    assert running.infer()[0] == 200
    assert running.client.get("/v2/models/iris/ready")[0] == 200


def test_more_than_may_wait_are_turned_away(servers: list[Server]) -> None:
    running = Running(Limits(waiting_max=0))
    try:
        running.tell(deployment(""))
        status, headers, _ = running.client.send("POST", INFER, BODY)
        assert (status, headers["retry-after"]) == (503, "1")
    finally:
        running.end()
    assert not servers


def test_unknown_models_and_paths_are_refused(running: Running) -> None:
    assert running.infer()[0] == 404
    assert running.client.post("/v2/repository/models/iris/load")[0] == 404
    body = b"x" * (64 << 20) + b"x"
    assert running.client.send("POST", INFER, body)[0] == 413


def test_headers_of_the_request_reach_the_model(running: Running, servers: list[Server]) -> None:
    server = served(running, servers)
    running.infer({"X-Arm": "b", "Keep-Alive": "9"})
    assert b"x-arm: b\r\n" in server.seen[0]
    assert b"keep-alive" not in server.seen[0]


def test_the_index_says_what_is_being_moved(running: Running) -> None:
    running.tell(deployment("", "iris"), deployment("http://127.0.0.1:9", "heart"))
    _, found = running.client.post("/v2/repository/index")
    assert {each["name"]: each["state"] for each in found} == {
        "iris": "UNAVAILABLE",
        "heart": "READY",
    }


def test_a_request_that_outlasts_the_move_of_its_server_keeps_no_connection(
    servers: list[Server],
) -> None:
    servers.append(server := Server("s0", seconds=0.05))

    async def asked() -> tuple[int, bool]:
        upstreams = Upstreams()
        upstream = upstreams.get(server.url)
        request = b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
        asking = asyncio.create_task(upstream.ask(request))
        while not server.seen:
            await asyncio.sleep(0.005)
        upstreams.keep(set())
        answer = await asking
        async with asyncio.timeout(60):
            while server.is_asked:
                await asyncio.sleep(0.005)
        return answer.status, upstreams.get(server.url) is upstream

    assert asyncio.run(asked()) == (200, False)


def test_a_model_may_have_several_servers() -> None:
    given = [deployment("http://a"), deployment("http://b"), deployment("")]
    assert addresses(given) == {"iris": ("http://a", "http://b")}


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = process.GatewaySettings(source=list, port=taken.getsockname()[1])
        with pytest.raises(Exception, match="cannot be used"):
            process.run(settings)
