"""`berth import`: a pipeline of Kubeflow or Argo as one of ours, with what does not map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import outputs
from api.cli.frame import Command, Talk

if TYPE_CHECKING:
    from engine.documents.foreign import Imported


def import_(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A compiled KFP pipeline, or a workflow of Argo, in YAML.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it here; else print it.")
    ] = None,
) -> None:
    """Write a pipeline of Kubeflow or Argo as one of ours; list what does not map, with its place.

    Example: berth import workflow.yaml --output churn.yaml
    """
    import json

    from api.messages.files import read_text
    from api.report.tables import following
    from engine.documents.foreign import import_pipeline

    talk: Talk = context.obj
    found = import_pipeline(read_text(file, "pipeline"), name=str(file))
    if talk.json:
        notes = [{"line": n.line, "path": n.path, "message": n.message} for n in found.notes]
        content = {"system": found.system, "pipeline": found.mapping, "notes": notes}
        talk.result(json.dumps(content, sort_keys=True))
    else:
        tell(talk, found, file)
    if output is not None:
        if output.exists():
            talk.confirm(f"{output} exists. Overwrite it?")
        outputs.write(output, found.text)
        if not talk.quiet and not talk.json:
            talk.result(following(f"berth plan {output}"))
    elif not talk.json:
        talk.result(found.text.rstrip())


def tell(talk: Talk, found: Imported, file: Path) -> None:
    """Say what was read, and what of it does not map."""
    many = len(found.notes)
    talk.say(f"{file} is of {found.system}; {many} {'thing does' if many == 1 else 'things do'}"
             f" not map{':' if many else '.'}")  # fmt: skip
    for note in found.notes:
        talk.say(f"  line {note.line}, {note.path}: {note.message}")


COMMANDS = {"import": (Command, import_)}
