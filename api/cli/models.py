"""Commands about models: serving a folder of them, and one address for all that serve."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors
from api.cli.frame import Command, Talk

if TYPE_CHECKING:
    from api.client.remote import Remote
    from engine.model.dispatches import Deployment


def serve(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Models, as FOLDER/NAME/VERSION/model.onnx.")],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of REST, 0 for a free one.")] = 8080,
    grpc_port: Annotated[
        int | None, typer.Option(help="Port of gRPC, 0 for a free one; none without.")
    ] = None,
    audit: Annotated[Path | None, typer.Option(help="File to which swaps are appended.")] = None,
    drain_seconds: Annotated[
        float, typer.Option(help="Go on so long after SIGTERM, saying not ready.")
    ] = 0.0,
) -> None:
    """Serve models by the Open Inference Protocol until Ctrl-C or SIGTERM.

    What `berth model push` releases here is served too, by the policy of the data folder.

    Example: berth serve models --port 8080 --grpc-port 8081
    """
    import os

    from executors.serving import standalone

    talk: Talk = context.obj
    home = doors.settings_of(talk).home

    def announce(rest: int, grpc: int | None) -> None:
        also = f", gRPC at {host}:{grpc}" if grpc is not None else ""
        talk.say(f"serving {folder} at http://{host}:{rest}/v2{also}")

    settings = standalone.ServerSettings(
        folder=folder,
        host=host,
        port=port,
        grpc_port=grpc_port,
        drain_seconds=drain_seconds,
        audit=audit,
        announce=announce,
        environment={**os.environ, "BERTH_HOME": str(home)},
    )
    standalone.run(settings)


class _Deployments:
    """Asks the running engine what serves, on a connection that is kept while it answers."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._kept = ExitStack()
        self._engine: Remote | None = None

    def __call__(self) -> tuple[Deployment, ...]:
        """Return what serves.

        Raises:
            BerthError: when no engine answers; one that was started anew is found next time.
        """
        from engine.model.errors import BerthError

        try:
            if self._engine is None:
                self._engine = self._kept.enter_context(doors.engine(self._talk))
            return self._engine.deployments()
        except BerthError:
            self._kept.close()
            self._engine = None
            raise


def _waiting(
    *,
    wait_seconds: Annotated[
        float, typer.Option(help="How long a request waits for a model that is moved.", min=0)
    ] = 60.0,
    waiting_max: Annotated[
        int, typer.Option(help="Requests of a model that may wait; others get 503.", min=0)
    ] = 1024,
    drain_seconds: Annotated[
        float, typer.Option(help="Go on so long after SIGTERM, saying not ready.")
    ] = 0.0,
) -> None:
    """Declare what waits for what."""


def gateway(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of REST, 0 for a free one.")] = 8760,
    grpc_port: Annotated[
        int | None, typer.Option(help="Port of gRPC, 0 for a free one; none by default.")
    ] = None,
    refresh_seconds: Annotated[
        float, typer.Option(help="Ask the engine so often where models serve.", min=0.05)
    ] = 1.0,
) -> None:
    """Answer for every model that serves, wherever it serves now, until Ctrl-C or SIGTERM.

    A model that the engine moves to another cluster keeps its address here, and no request fails.

    Example: berth gateway --port 8760 --grpc-port 8761
    """
    from executors.serving.gateway import gateway as gateways
    from executors.serving.gateway import process

    talk: Talk = context.obj
    asked = talk.options

    def answers(found: int, grpc_found: int | None) -> None:
        grpc = "" if grpc_found is None else f" and grpc://{host}:{grpc_found}"
        talk.say(f"The gateway is at http://{host}:{found}/v2{grpc}. Stop it with Ctrl-C.")

    settings = process.GatewaySettings(
        source=_Deployments(talk),
        host=host,
        port=port,
        grpc_port=grpc_port,
        refresh_seconds=refresh_seconds,
        drain_seconds=asked["drain_seconds"],
        limits=gateways.Limits(
            wait_seconds=asked["wait_seconds"], waiting_max=asked["waiting_max"]
        ),
        announce=answers,
    )
    process.run(settings)


class _Waiting(Command):
    """A command whose requests may wait, with the options of that."""

    declares = staticmethod(_waiting)


COMMANDS = {"serve": (Command, serve), "gateway": (_Waiting, gateway)}
