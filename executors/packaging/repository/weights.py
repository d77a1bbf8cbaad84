"""Weights: in a store of their own; their digests in `weights.json`, which git keeps."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from engine.model.errors import DamagedError, NotFoundError, RefusedError
from engine.model.identifiers import Digest
from executors.local.artifacts import FolderArtifacts
from executors.packaging import images
from executors.packaging.repository import settings

_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".npy.pkl", ".dill")
_PICKLED = (b"\x80\x03", b"\x80\x04", b"\x80\x05")
_MAY_HOLD_PICKLES = frozenset({settings.Format.PICKLE.value, settings.Format.PYTHON.value})
"""Formats of models of which the policy decides about pickles, after a push."""
_NO_WEIGHTS = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading anything as a `weights.json` can raise."""
_AGAIN = "`berth model add` the file again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One file of weights: digest of its bytes, and of the artefact that holds it."""

    digest: Digest
    artifact: Digest
    size_bytes: int


def add(folder: Path, file: Path, artifacts: FolderArtifacts) -> Weight:
    """Keep a file of weights and write its digest into the model's folder.

    Raises:
        NotFoundError: when there is no such file.
        RefusedError: when it is a pickle, which runs what stands in it when it is loaded, and the
            format of the model does not say that it may be one.
        DamagedError: when the `weights.json` that is there is none, as after a merge.
    """
    if not file.is_file():
        raise NotFoundError(f"there is no file {str(file)!r} to add")
    listed = folder / settings.WEIGHTS_FILE
    before = read(listed.read_bytes()) if listed.exists() else {}
    data = file.read_bytes()
    if is_pickle(file.name, data) and settings.format_of(folder) not in _MAY_HOLD_PICKLES:
        message = f"{file.name!r} is a pickle, which runs code when it is loaded"
        fix = (
            "save it as ONNX, with skops, or with `torch.export.save` (.pt2); or write "
            f'format = "pickle" in {settings.FILE}, and let an administrator allow the package'
        )
        raise RefusedError(message, fix=fix)
    weight = Weight(
        digest=images.digest_of(data),
        artifact=artifacts.put(file),
        size_bytes=file.stat().st_size,
    )
    known = {name: asdict(each) for name, each in {**before, file.name: weight}.items()}
    images.write_file(listed, json.dumps(known, indent=2, sort_keys=True).encode() + b"\n")
    return weight


def is_pickle(name: str, data: bytes) -> bool:
    """Say whether a file is a pickle by its name or its first bytes; a scan looks further."""
    return name.endswith(_PICKLES) or data[:2] in _PICKLED


def read(data: bytes) -> dict[str, Weight]:
    """Read a `weights.json`.

    Raises:
        DamagedError: when it is none; with the entry at fault.
    """
    try:
        given = cast("Mapping[str, Any]", json.loads(data))
        found = {
            name: Weight(
                digest=Digest(str(entry["digest"])),
                artifact=Digest(str(entry["artifact"])),
                size_bytes=int(entry["size_bytes"]),
            )
            for name, entry in given.items()
        }
    except _NO_WEIGHTS as error:
        message = f"{settings.WEIGHTS_FILE} is damaged: {error!r}"
        raise DamagedError(message, fix=_AGAIN) from error
    for name in found:
        if PurePosixPath(name).name != name or name.startswith("."):
            raise DamagedError(f"{name!r} in {settings.WEIGHTS_FILE} is no file name", fix=_AGAIN)
    return found


def fetch(wanted: Mapping[str, Weight], artifacts: FolderArtifacts) -> dict[str, bytes]:
    """Return weights by name, each checked.

    Raises:
        NotFoundError: when the store has none of this digest.
        DamagedError: when it is another file.
    """
    found = {name: of_artifact(weight.artifact, artifacts) for name, weight in wanted.items()}
    check(found, wanted)
    return found


def of_artifact(artifact: Digest, artifacts: FolderArtifacts) -> bytes:
    """Return the weights of an artefact, which is one file.

    Raises:
        NotFoundError: when the store has none of this digest.
        DamagedError: when it is not what the digest says.
    """
    return artifacts.read(artifact, "")


def bring(folder: Path, artifacts: FolderArtifacts, ask: Callable[[Digest], bytes]) -> None:
    """Keep the weights that a folder names, and neither the folder nor the store has.

    ask: returns those of an artefact, from the store of an engine.

    Raises:
        NotFoundError: when that store has none of the digest.
        DamagedError: when they are others.
    """
    listed = folder / settings.WEIGHTS_FILE
    wanted = read(listed.read_bytes()) if listed.exists() else {}
    for name, weight in wanted.items():
        if (folder / name).is_file() or artifacts.has(weight.artifact):
            continue
        data = ask(weight.artifact)
        check({name: data}, wanted)
        with tempfile.TemporaryDirectory(prefix="berth-weights-") as scratch:
            (Path(scratch) / name).write_bytes(data)
            artifacts.put(Path(scratch) / name)


def check(found: Mapping[str, bytes], wanted: Mapping[str, Weight]) -> None:
    """Compare weights with their digests.

    Raises:
        DamagedError: when one is another file.
    """
    for name, data in found.items():
        if images.digest_of(data) != wanted[name].digest:
            message = f"{name!r} is not what {settings.WEIGHTS_FILE} says"
            raise DamagedError(message, fix=_AGAIN)
