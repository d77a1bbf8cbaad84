"""What made the outputs of a task: its data, code, parameters, environment and artefacts.

A record is `experiment.json` beside `outputs.json`. It holds no time, so that the same training has
the same record. Standard library only: the runner beside every task writes it too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypeGuard, cast

NAME = "experiment.json"
OUTPUTS = "outputs.json"
PARTS = ("data", "code", "parameters", "environment", "artifacts")
_LIBRARIES = (
    *("numpy", "scipy", "scikit-learn", "skops", "statsmodels", "pandas"),
    *("torch", "tensorflow", "jax", "xgboost", "lightgbm", "optuna"),
)
"""Those whose versions are told one by one; of all others the digest tells that they changed."""
_PROGRAMS = {".py", ".sh", ".r", ".jl", ".ipynb", ".toml", ".yaml", ".yml"}
_CHUNK_BYTES = 1 << 20
_ARTIFACTS_MAX = 100
"""Of more files the digest of all is told, not of each."""

Record = dict[str, Any]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and digests of a folder's files.

    Raises:
        OSError: when it cannot be read.
    """
    hasher = hashlib.sha256()
    if path.is_dir():
        for name, found in _files(path):
            hasher.update(f"{name}\0{digest(found)}\n".encode())
        return f"sha256:{hasher.hexdigest()}"
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"


def commit(folder: Path) -> str:
    """Return the commit that a folder's git checkout is at, "" where none can be read.

    Read from the files of git, so that no task needs git.
    """
    with contextlib.suppress(OSError, ValueError):
        return _commit(folder)
    return ""


def _commit(folder: Path) -> str:
    for place in (folder, *folder.parents):
        head = place / ".git" / "HEAD"
        if not head.is_file():
            continue
        text = head.read_text(encoding="utf-8").strip()
        reference = text.removeprefix("ref: ")
        if reference == text:
            return text
        loose = place / ".git" / reference
        if loose.is_file():
            return loose.read_text(encoding="utf-8").strip()
        packed = place / ".git" / "packed-refs"
        lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
        return next((line.split()[0] for line in lines if line.endswith(f" {reference}")), "")
    return ""


def environment() -> dict[str, str]:
    """Return interpreter, machine, thread count and libraries of this process."""
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    folders = (Path(place) for place in sys.path if place)
    installed = sorted({path.name for place in folders for path in place.glob("*.dist-info")})
    libraries = hashlib.sha256("\n".join(installed).encode()).hexdigest()
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        **found,
        "libraries": f"sha256:{libraries}",
    }


def named(words: Iterable[str], folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return digests of the programs and of the data files that the words of a command name.

    A relative name is looked for below `folder`. Of `FILE.py:FUNCTION` the file counts. What
    has no ending of a program or a document of settings is data; interpreters are neither.
    """
    code: dict[str, str] = {}
    data: dict[str, str] = {}
    for word in words:
        text = word.rpartition("=")[2] if word.startswith("--") else word
        found = [folder / given for given in (text, text.rpartition(":")[0]) if given]
        path = next(filter(_is_file, found), None)
        if path is None:
            continue
        if path.suffix.lower() in _PROGRAMS:
            code[path.name] = digest(path)
        elif not os.access(path, os.X_OK):
            data[path.name] = digest(path)
    return code, data


def artifacts(folder: Path) -> dict[str, str]:
    """Return digests of the files below a folder by name, without a record and small outputs."""
    found = [(name, path) for name, path in _files(folder) if name not in {NAME, OUTPUTS}]
    if len(found) > _ARTIFACTS_MAX:
        return {f"all {len(found)} files": digest(folder)}
    return {name: digest(path) for name, path in found}


def is_record(found: object) -> TypeGuard[Record]:
    """Whether a document is a record, or parts of one."""
    if not isinstance(found, dict):
        return False
    known = cast("dict[str, object]", found)
    return known.keys() <= {"task", *PARTS} and all(
        isinstance(value, str if name == "task" else dict) for name, value in known.items()
    )


def filled(record: Record, known: Mapping[str, Any]) -> Record:
    """Return a record with what is known added to it; what it says itself stays."""
    parts = {part: {**known.get(part, {}), **record.get(part, {})} for part in PARTS}
    return {"task": known["task"], **{k: v for k, v in record.items() if k == "task"}, **parts}


def write(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a record, the same bytes for the same value; a link in its place is replaced."""
    text = json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    partial = folder / f".{NAME}.{os.urandom(8).hex()}"
    try:
        with partial.open("x", encoding="utf-8") as file:
            file.write(text + "\n")
        partial.replace(folder / NAME)
    finally:
        partial.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of every plain file below a folder, in order of name."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), path


def _is_file(path: Path) -> bool:
    """Whether a word names a file; what can be no name names none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
