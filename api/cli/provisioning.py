"""`berth provision`: what a capacity report says to add, as infrastructure code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors, outputs
from api.cli.frame import FleetCommand, Talk

if TYPE_CHECKING:
    from api.report import provisioning

_NODE_CLASS_PARTS = 3


def provision(
    context: typer.Context,
    report: Annotated[
        Path, typer.Argument(metavar="REPORT", help="Report, as `berth capacity --json` prints it.")
    ],
    terraform: Annotated[
        Path | None, typer.Option(help="Write Terraform variables into this folder.")
    ] = None,
    karpenter: Annotated[
        Path | None, typer.Option(help="Write Karpenter NodePools into this folder.")
    ] = None,
    node_class: Annotated[
        str, typer.Option(help="NodeClass that NodePools refer to, as GROUP/KIND/NAME.")
    ] = "karpenter.k8s.aws/EC2NodeClass/default",
) -> None:
    """Write what a capacity report says to add as Terraform variables or Karpenter NodePools.

    Nothing is bought: you read the files and apply them.

    Example: berth provision report.json --terraform infra --karpenter cluster
    """
    from api.messages.files import read_text
    from api.report import provisioning
    from engine.model import documents
    from engine.model.capacity import CapacityReport
    from engine.model.errors import DamagedError, Fault, InvalidInputError

    talk: Talk = context.obj
    chosen = _node_class(node_class)
    try:
        found = documents.decode(CapacityReport, read_text(report, "report"))
    except DamagedError as error:
        fault = Fault(code="S001", message=error.message, fix="see `berth capacity --json`")
        raise InvalidInputError(str(report), [fault]) from error
    if terraform is None and karpenter is None:
        raise _usage("nothing to write", "name a folder with `--terraform` or `--karpenter`")
    written: dict[Path, str] = {}
    if terraform is not None:
        written |= _below(terraform, provisioning.terraform(found))
    if karpenter is not None:
        with doors.either(talk) as door:
            fleet = door.fleet()
        written |= _below(karpenter, provisioning.node_pools(found, fleet, chosen))
    _write(written)
    added = [
        f"{pool.pool}: {option.node_count} {pool.machine}"
        for pool, option in provisioning.additions(found)
    ]
    if talk.json:
        talk.value([str(path) for path in written])
    elif talk.quiet:
        talk.result("\n".join(map(str, written)))
    else:
        told = "; ".join(added) or "no pool needs more nodes"
        talk.result("\n".join([f"To add: {told}.", *(f"Written: {path}" for path in written)]))


def _node_class(text: str) -> provisioning.NodeClass:
    from api.report import provisioning

    parts = text.split("/")
    if len(parts) != _NODE_CLASS_PARTS or not all(parts):
        raise _usage(f"`--node-class` is {text!r}", "write it as GROUP/KIND/NAME")
    group, kind, name = parts
    return provisioning.NodeClass(group=group, kind=kind, name=name)


def _below(folder: Path, files: Mapping[str, str]) -> dict[Path, str]:
    return {folder / name: content for name, content in files.items()}


def _write(files: Mapping[Path, str]) -> None:
    from engine.model.errors import RefusedError

    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{str(path.parent)!r} cannot be made: {error.strerror}"
            raise RefusedError(message, fix="name another folder, or make room") from error
        outputs.write(path, content)


def _usage(message: str, fix: str) -> Exception:
    from engine.model.errors import Fault, InvalidInputError

    return InvalidInputError("the command line", [Fault(code="U001", message=message, fix=fix)])


COMMANDS = {"provision": (FleetCommand, provision)}
