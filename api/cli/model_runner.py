"""`berth runner`: any model behind a protobuf schema, over Acumos's endpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from api.cli.frame import Command, Talk


def runner(
    context: typer.Context,
    *,
    model: Annotated[
        Path | None, typer.Option(help="A package (folder or tar) or an ONNX file.")
    ] = None,
    proto: Annotated[Path | None, typer.Option(help="The schema, a .proto file.")] = None,
    configuration: Annotated[
        Path | None, typer.Option(help="Properties: `modelMethod`, `input.FIELD`, `output.label`.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 lets the kernel choose.", min=0, max=65535)] = 8334,
    prefix: Annotated[str, typer.Option(help="Where the endpoints begin.")] = "/modelrunner",
) -> None:
    """Serve a model with a schema until stopped; PUT swaps model, schema and configuration.

    What is not given now can be put later. Models are judged by the policy of the data folder;
    where there is one, what is put and refused is recorded in its `runner.jsonl`.

    Example: berth runner --model packages/churn --proto churn.proto
    """
    from executors.packaging.security.policies.gate import Gate
    from executors.serving.runner import process

    talk: Talk = context.obj
    home = Path(str(talk.given.get("home") or os.environ.get("BERTH_HOME") or ".berth"))
    files = process.Files(
        proto=proto,
        configuration=configuration,
        gate=Gate({**os.environ, "BERTH_HOME": str(home)}),
        audit=home / "runner.jsonl" if home.is_dir() else None,
    )
    found = process.from_files(model, files)
    process.serve(
        found,
        host=host,
        port=port,
        context=prefix,
        ready=lambda url: talk.say(f"The model runner is at {url}. Stop it with Ctrl-C."),
    )


COMMANDS = {"runner": (Command, runner)}
