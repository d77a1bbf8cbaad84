"""Runs the gateway until a signal ends it: `berth gateway`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import uvloop

from executors.serving import faces, logs, tracing
from executors.serving.gateway.gateway import Gateway, Limits
from executors.serving.gateway.table import Source, Table

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
    host: str = faces.HOST
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
    listening = faces.listen(settings.port, settings.host)
    table = Table(settings.source, seconds=settings.refresh_seconds)
    tracer = tracing.from_environment(os.environ, "berth-gateway")
    gateway = Gateway(table=table, limits=settings.limits, tracer=tracer)

    def leaving() -> float:
        gateway.draining = True
        return settings.drain_seconds

    port: int = listening.getsockname()[1]

    async def serve() -> None:
        await table.refresh()
        refreshing = asyncio.create_task(table.run())
        faces.tune()
        grace_seconds = int(settings.limits.wait_seconds)
        try:
            async with faces.rpc_server(
                gateway, settings.host, settings.grpc_port, face=FACE, grace_seconds=grace_seconds
            ) as grpc_port:
                configuration = faces.configuration(gateway, grace_seconds=grace_seconds)
                ready = partial(settings.announce, port, grpc_port)
                await faces.Server(configuration, leaving, ready).serve(sockets=[listening])
        finally:
            refreshing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await refreshing
            gateway.upstreams.keep(set())
            if tracer is not None:
                tracer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
