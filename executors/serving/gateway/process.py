"""Runs the gateway until a signal ends it: `berth gateway`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import uvicorn
import uvloop

from executors.serving import logs, standalone, tracing
from executors.serving.gateway.gateway import Gateway, Limits
from executors.serving.gateway.table import Source, Table

_STARTING_SECONDS = 0.01
FACE = "executors.serving.gateway.rpc"
"""What speaks gRPC for a gateway; imported where it is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """How a gateway is run.

    source: says where models serve. drain_seconds: how long it goes on answering after SIGTERM
    while it says that it is not ready. grpc_port: none of gRPC without it; 0 for a free one.
    announce: told the ports of REST and gRPC once both answer.
    """

    source: Source
    host: str = standalone.HOST
    port: int = 8760
    grpc_port: int | None = None
    refresh_seconds: float = 1.0
    drain_seconds: float = 0.0
    limits: Limits = field(default_factory=Limits)
    announce: Callable[[int, int | None], None] = lambda *_: None


def run(settings: GatewaySettings) -> None:
    """Serve until a signal ends it; open requests are answered first.

    Raises:
        InfeasibleError: when a port is in use, or grpcio is not installed.
    """
    logs.to_standard_error()
    listening = standalone.listen(settings.port, settings.host)
    table = Table(settings.source, seconds=settings.refresh_seconds)
    tracer = tracing.from_environment(os.environ, "berth-gateway")
    gateway = Gateway(table=table, limits=settings.limits, tracer=tracer)

    def leaving() -> float:
        gateway.draining = True
        return settings.drain_seconds

    server = standalone.Server(configuration(gateway), leaving)
    port: int = listening.getsockname()[1]

    async def serve() -> None:
        await table.refresh()
        refreshing = asyncio.create_task(table.run())
        standalone.tune()
        try:
            async with standalone.rpc_server(
                gateway, settings.host, settings.grpc_port, face=FACE
            ) as grpc_port:
                announcing = asyncio.create_task(_announce(server, settings, port, grpc_port))
                await server.serve(sockets=[listening])
                await _ended(announcing)
        finally:
            await _ended(refreshing)
            gateway.upstreams.keep(set())
            if tracer is not None:
                tracer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def configuration(gateway: Gateway) -> uvicorn.Config:
    """Return how uvicorn serves a gateway."""
    return uvicorn.Config(
        gateway,
        loop="none",
        http="httptools",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=int(gateway.limits.wait_seconds),
        backlog=1024,
    )


async def _announce(
    server: uvicorn.Server, settings: GatewaySettings, port: int, grpc_port: int | None
) -> None:
    while not server.started:
        await asyncio.sleep(_STARTING_SECONDS)
    settings.announce(port, grpc_port)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
