"""`berth image`: what is in an image, what is dangerous in it, who made it, may it be deployed."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors, outputs
from api.cli.frame import Command, Talk

if TYPE_CHECKING:
    from api.wiring.image_desk import ImageDesk, Target

_HIGH = 2
"""Rank of the severity from which `scan` ends with exit code 1."""

_Target = Annotated[
    str,
    typer.Argument(help="A file, folder, OCI layout, or model: NAME[:TAG], NAME@DIGEST."),
]


def build(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(help="Where it goes: HOST[:PORT]/NAME[:TAG].")],
    *,
    podman: Annotated[
        bool, typer.Option("--podman", help="To podman on this machine, as NAME[:TAG].")
    ] = False,
) -> None:
    """Build the image that holds this Berth, and push it: what Kubernetes clusters run tasks in.

    Example: berth image build registry.example/berth:0.1
    """
    from api.wiring.own_image import load_own, push_own
    from executors.containers.podman import Podman

    talk: Talk = context.obj
    settings = doors.settings_of(talk)
    if podman:
        words = Podman(shlex.split(settings.container_podman))
        pushed = load_own(settings.home, reference, words, os.environ)
    else:
        pushed = push_own(settings.home, reference, os.environ)
    _tell(talk, {"image": pushed.image, "bytes": pushed.size_bytes}, pushed.image)


def scan(
    context: typer.Context,
    target: _Target,
    *,
    audit: Annotated[
        bool, typer.Option("--audit", help="Also ask for known vulnerabilities (network).")
    ] = False,
) -> None:
    """Look for what is dangerous, without loading it. Exit code 1 when something is high or worse.

    Example: berth image scan model.pkl
    """
    from api.report.images import scan_text

    talk: Talk = context.obj
    desk = _desk(talk)
    report = desk.scan(desk.target(target), audit=audit)
    if talk.json:
        talk.value(report)
    else:
        talk.result(scan_text(report, talk.style()))
    if report.worst is not None and report.worst.rank >= _HIGH:
        raise typer.Exit(1)


def sbom(
    context: typer.Context,
    target: _Target,
    out: Annotated[Path | None, typer.Option(help="File to write.")] = None,
) -> None:
    """Write the bill of materials (CycloneDX 1.6) of an image or of a folder with libraries.

    Example: berth image sbom churn --out churn.cdx.json
    """
    talk: Talk = context.obj
    desk = _desk(talk)
    bill = desk.bill(desk.target(target))
    text = json.dumps(bill, indent=None if talk.json else 1, sort_keys=True, ensure_ascii=False)
    if out is None:
        talk.result(text)
        return
    outputs.write(out, text + "\n")
    talk.result(f"{out}: {len(bill['components'])} components")


def keys(
    context: typer.Context, file: Annotated[Path, typer.Argument(help="File to write.")]
) -> None:
    """Make a key pair: FILE, and its public half as `.pub`.

    It is encrypted by the passphrase of BERTH_SIGNING_PASSPHRASE_FILE or BERTH_SIGNING_PASSPHRASE.

    Example: berth image keys team.key
    """
    talk: Talk = context.obj
    identity = _desk(talk).make_key(file)
    _tell(talk, {"key": str(file), "identity": identity}, f"{file} and its .pub: {identity}")


def sign(
    context: typer.Context,
    target: _Target,
    key: Annotated[
        Path | None, typer.Option(help="Private key [BERTH_SIGNING_KEY, signing.key].")
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Name under which it is pulled, HOST/REPOSITORY:TAG.")
    ] = "",
    gpg: Annotated[str, typer.Option(help="A key of GPG instead, for skopeo and podman.")] = "",
    lookaside: Annotated[
        Path | None, typer.Option(help="Folder where skopeo and podman look for signatures.")
    ] = None,
) -> None:
    """Sign an image in cosign's form and vouch for a scan made now, or sign it by GPG.

    Example: berth image sign churn --key team.key
    """
    talk: Talk = context.obj
    desk = _desk(talk)
    found = desk.target(target)
    if gpg:
        _sign_by_gpg(talk, desk, found, gpg, reference, lookaside)
        return
    signed = desk.sign(found, key=key, reference=reference)
    text = f"{signed.digest} is signed as {signed.reference!r} by {signed.by}"
    _tell(talk, {"digest": signed.digest, "by": signed.by, "as": signed.reference}, text)


def verify(
    context: typer.Context,
    target: _Target,
    policy: Annotated[
        Path | None, typer.Option(help="A file with a policy [BERTH_POLICY, policy.yaml].")
    ] = None,
    key: Annotated[
        list[Path] | None, typer.Option(help="Public key that must have signed it.")
    ] = None,
) -> None:
    """Say whether the policy lets an image be deployed, and why not. Exit code 1 when it does not.

    Example: berth image verify churn --policy policy.yaml
    """
    from api.report.images import verdict_text
    from api.wiring.image_desk import with_keys

    talk: Talk = context.obj
    desk = _desk(talk)
    verdict = desk.verdict(desk.target(target), with_keys(desk.policy(policy), list(key or [])))
    if talk.json:
        talk.value(verdict)
    else:
        talk.result(verdict_text(verdict, talk.style()))
    if not verdict.is_allowed:
        raise typer.Exit(1)


def policy_(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="A file with a policy.")] = None,
) -> None:
    """Check a policy, or say what the one that holds asks for.

    Example: berth image policy policy.yaml
    """
    from api.report.images import policy_text

    talk: Talk = context.obj
    found = _desk(talk).policy(file)
    document: dict[str, object] = {
        "policy": found.name,
        "keys": [each.name for each in found.keys],
        "worst": found.worst.value,
        "formats": [each.value for each in found.formats],
    }
    _tell(talk, document, policy_text(found))


def unpack(
    context: typer.Context,
    archive: Annotated[Path, typer.Argument(help="A zip or tar archive.")],
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
) -> None:
    """Unpack an untrusted archive in a confined process; nothing when something is wrong with it.

    Example: berth image unpack model.tar.gz model
    """
    from executors.packaging.security.sandbox import calls

    talk: Talk = context.obj
    names = calls.unpack(archive, folder)
    _tell(talk, {"files": list(names)}, f"{len(names)} files are in {folder}")


def _desk(talk: Talk) -> ImageDesk:
    from api.wiring.image_desk import ImageDesk

    return ImageDesk(doors.settings_of(talk).home, os.environ)


def _sign_by_gpg(
    talk: Talk, desk: ImageDesk, target: Target, key: str, reference: str, lookaside: Path | None
) -> None:
    from engine.model.errors import RefusedError
    from executors.packaging.security.signing.gpg import GpgKey

    if not reference or lookaside is None:
        message = "a signature by GPG needs the name it is pulled by, and the lookaside folder"
        raise RefusedError(message, fix="add `--reference HOST/REPOSITORY:TAG --lookaside FOLDER`")
    homedir = os.environ.get("GNUPGHOME")
    used = GpgKey(fingerprint=key, homedir=Path(homedir) if homedir else None)
    signed = desk.sign_by_gpg(target, used, reference=reference, lookaside=lookaside)
    _tell(talk, {"digest": signed.digest, "place": signed.place}, f"{signed.place} is written")


def _tell(talk: Talk, document: dict[str, object], text: str) -> None:
    """Print a document as JSON, or its text."""
    talk.result(json.dumps(document, sort_keys=True) if talk.json else text)


GROUPS: dict[str, tuple[str, dict[str, tuple[type[Command], Callable[..., None]]]]] = {
    "image": (
        "Look into images, archives and models without loading them; sign and verify them.",
        {
            "build": (Command, build),
            "scan": (Command, scan),
            "sbom": (Command, sbom),
            "keys": (Command, keys),
            "sign": (Command, sign),
            "verify": (Command, verify),
            "policy": (Command, policy_),
            "unpack": (Command, unpack),
        },
    )
}
