"""Commands about models: serving a folder of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.frame import Command, Talk


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

    Example: berth serve models --port 8080 --grpc-port 8081
    """
    from executors.serving import standalone

    talk: Talk = context.obj

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
    )
    standalone.run(settings)


COMMANDS = {"serve": (Command, serve)}
