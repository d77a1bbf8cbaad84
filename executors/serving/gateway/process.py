"""Runs the gateway until a signal ends it: `berth gateway`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import uvicorn
import uvloop

from executors.serving import standalone, tracing
from executors.serving.gateway.gateway import Gateway, Limits
from executors.serving.gateway.table import Source, Table

_STARTING_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """How a gateway is run.

    source: says where models serve. drain_seconds: how long it goes on answering after SIGTERM
    while it says that it is not ready. announce: told the port once it answers.
    """

    source: Source
    host: str = standalone.HOST
    port: int = 8760
    refresh_seconds: float = 1.0
    drain_seconds: float = 0.0
    limits: Limits = field(default_factory=Limits)
    announce: Callable[[int], None] = lambda _: None


def run(settings: GatewaySettings) -> None:
    """Serve until a signal ends it; open requests are answered first.

    Raises:
        InfeasibleError: when the port is in use.
    """
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
        announcing = asyncio.create_task(_announce(server, settings, port))
        standalone.tune()
        try:
            await server.serve(sockets=[listening])
        finally:
            for task in (refreshing, announcing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
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
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=int(gateway.limits.wait_seconds),
        backlog=1024,
    )


async def _announce(server: uvicorn.Server, settings: GatewaySettings, port: int) -> None:
    while not server.started:
        await asyncio.sleep(_STARTING_SECONDS)
    settings.announce(port)
