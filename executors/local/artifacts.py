"""Artefacts in a folder: files by the digest of their content, trees as lists of files.

    artifacts/blobs/ab/HEX    content of a file, each kept once
    artifacts/trees/HEX       canonical JSON: every path with kind, size, mode and digest

The digest of an artefact is the SHA-256 of its tree document, so it depends on names and content
only, never on time, owner or order. The tree is written last: what has a digest is complete.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, TypedDict, cast

from engine.model import documents
from engine.model.errors import DamagedError, NotFoundError, RetryableError
from engine.model.identifiers import Digest
from executors.local import files

_CHUNK_BYTES = 1 << 20
_PATH_BYTES_MAX = 1_024
"""Longest path within an artefact: no deeper than what reads, copies or removes it can go."""
_OF_TASK = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
"""What a disk does not get over with time: whoever wrote it keeps it from being read."""
_SHOWN_CHARACTERS = 100
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Entry(TypedDict):
    """One name in a tree; `path` is "" for the artefact itself. A folder has no content."""

    path: str
    kind: Literal["file", "folder"]
    digest: str
    size: int
    executable: bool


@contextmanager
def storage(what: str) -> Generator[None]:
    """Wrap what the operating system says about a folder.

    Raises:
        RetryableError: full disk, read-only folder, missing permission; the message names both
            the file and what the system said.
    """
    try:
        yield
    except OSError as error:
        where = f" {error.filename!r}" if error.filename else ""
        message = f"cannot {what}{where}: {error.strerror or error}"
        fix = "free disk space or make the folder writable, then repeat"
        raise RetryableError(message, fix=fix, code="R010") from error


class FolderArtifacts:
    """Port `ArtifactStore` on a folder; several processes may share it.

    root: made when missing.

    Raises:
        RetryableError: when the folder cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._blobs = self._root / "blobs"
        self._trees = self._root / "trees"
        with storage("make the artefact store"):
            self._blobs.mkdir(parents=True, exist_ok=True)
            self._trees.mkdir(parents=True, exist_ok=True)

    def put(self, path: Path) -> Digest:
        """Keep a copy of a folder or file.

        Raises:
            NotFoundError: when there is no such path.
            DamagedError: when it holds a link or a special file, what its owner may not read, a
                name that is no text, or a path of over 1,024 bytes.
            RetryableError: when the disk is full or the store not writable.
        """
        if not path.exists():
            raise NotFoundError(f"there is nothing at {str(path)!r} to keep")
        with storage("keep an artefact in"), self._locked():
            tree = [self._keep(found, name) for name, found in _walk(path)]
            text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            digest = documents.sha256(text.encode())
            target = self._tree_path(digest)
            if target.exists():
                os.utime(target)  # `collect` takes it for new
            else:
                files.write_durably(target, text.encode())
            return digest

    def fetch(self, digest: Digest, target: Path) -> None:
        """Lay an artefact out at `target`, files read-only, each checked on the way.

        Raises:
            NotFoundError: when nothing has this digest.
            DamagedError: when a file is not what its digest says; nothing is left at `target`.
            RetryableError: when `target` exists, or cannot be written.
        """
        self.lay_out(digest, target, durable=True)

    def lay_out(self, digest: Digest, target: Path, *, durable: bool) -> None:
        """Fetch; what only this process reads need not survive a power cut (`durable` false).

        Raises:
            NotFoundError, DamagedError, RetryableError: as `fetch`.
        """
        tree = self._tree(digest)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        with storage(f"lay out {digest} at"):
            if target.exists():
                raise FileExistsError(errno.EEXIST, "it exists already", str(target))
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                for entry in tree:
                    place = partial / entry["path"] if entry["path"] else partial
                    self._lay_out(entry, place, durable=durable)
                partial.rename(target)
            finally:
                _remove(partial)

    def has(self, digest: Digest) -> bool:
        """Say whether the store holds an artefact."""
        return bool(_DIGEST.fullmatch(digest)) and self._tree_path(digest).exists()

    def read(self, digest: Digest, name: str) -> bytes:
        """Return one file of an artefact without laying the others out.

        Raises:
            NotFoundError: when nothing has this digest, or the artefact has no such file.
            DamagedError: when the file is not what its digest says.
        """
        for entry in self._tree(digest):
            if entry["path"] == name and entry["kind"] == "file":
                blob = self._blob_path(entry["digest"])
                data = blob.read_bytes() if blob.exists() else b""
                if documents.sha256(data) != entry["digest"]:
                    raise DamagedError(
                        f"{str(blob)!r} is not what its digest says", fix="run it again"
                    )
                return data
        raise NotFoundError(f"artefact {digest} has no file {name!r}")

    def collect(self, live: Sequence[Digest], *, grace_seconds: float) -> int:
        """Remove artefacts not in `live` and not put of late, and files that no other needs.

        Their age is told by the clock of the file system, which no clock of an engine changes.
        """
        keep = set(live)
        with storage("collect artefacts in"), self._locked() as now:
            old = [path for path in self._trees.iterdir() if f"sha256:{path.name}" not in keep]
            gone = [
                path
                for path in old
                # Under the lock nobody writes: a crash left what has no name of its own.
                if path.name.startswith(".") or now - path.stat().st_mtime >= grace_seconds
            ]
            for path in gone:
                path.unlink()
            files.sync_folder(self._trees)
            trees = [self._tree(Digest(f"sha256:{path.name}")) for path in self._trees.iterdir()]
            needed = {entry["digest"] for tree in trees for entry in tree}
            for blob in self._blobs.glob("*/*"):
                if f"sha256:{blob.name}" not in needed:
                    blob.unlink()
        return sum(1 for path in gone if not path.name.startswith("."))

    @contextmanager
    def _locked(self) -> Generator[float]:
        """Keep `collect` and `put` of several processes apart; yield the file system's time."""
        with (self._root / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.utime(file.fileno())
            yield os.fstat(file.fileno()).st_mtime

    def _tree_path(self, digest: str) -> Path:
        return self._trees / digest.removeprefix("sha256:")

    def _blob_path(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self._blobs / name[:2] / name

    def _tree(self, digest: Digest) -> list[Entry]:
        """Return the checked list of an artefact's files."""
        if not _DIGEST.fullmatch(digest):  # who asks may have it from anybody: it names no file
            raise NotFoundError(f"{digest!r} is no digest of an artefact")
        path = self._tree_path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"no artefact has the digest {digest}") from error
        if documents.sha256(data) != digest:
            raise DamagedError(f"{str(path)!r} is not what its digest says", fix="run it again")
        return cast("list[Entry]", json.loads(data))

    def _keep(self, path: Path, name: str) -> Entry:
        """Copy one file into the store and describe it."""
        with _readable(path):
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise DamagedError(
                    f"{str(path)!r} is neither file nor folder", fix="write a plain file instead"
                )
            if path.is_dir():
                return Entry(path=name, kind="folder", digest="", size=0, executable=False)
            source = files.open_plain(path)
        partial = self._blobs / f".{uuid.uuid4().hex}"
        try:
            with source:
                mode = os.fstat(source.fileno()).st_mode
                digest, size = _copy(source, partial, durable=True)
            target = self._blob_path(digest)
            if not target.exists() or target.stat().st_size != size:
                target.parent.mkdir(exist_ok=True)
                partial.chmod(0o444)
                partial.replace(target)
                files.sync_folder(target.parent)
        finally:
            partial.unlink(missing_ok=True)
        return Entry(
            path=name, kind="file", digest=digest, size=size, executable=bool(mode & 0o111)
        )

    def _lay_out(self, entry: Entry, target: Path, *, durable: bool) -> None:
        """Write one entry of a tree; folders come before what is in them."""
        if entry["kind"] == "folder":
            target.mkdir()
            return
        blob = self._blob_path(entry["digest"])
        if not blob.exists():
            raise DamagedError(f"{str(blob)!r} is missing from the store", fix="run it again")
        with blob.open("rb") as source:
            digest, _ = _copy(source, target, durable=durable)
        if digest != entry["digest"]:
            raise DamagedError(f"{str(blob)!r} is not what its digest says", fix="run it again")
        target.chmod(0o555 if entry["executable"] else 0o444)


def _walk(top: Path) -> Iterator[tuple[str, Path]]:
    """Yield every path below and including `top` by name, folders before what is in them.

    Raises:
        DamagedError: when there is a name that no artefact can have.
    """
    yield "", top
    if top.is_dir() and not top.is_symlink():
        with _readable(top):
            names = sorted(_checked(name, top) for name, _ in files.walk(top))
        for name in names:
            yield name, top / name


def _checked(name: str, top: Path) -> str:
    """Return a path within an artefact that has a digest, and that others can make again."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        message = f"{name!r} in {str(top)!r} is no text in UTF-8"
        raise DamagedError(message, fix="give it another name") from error
    if size > _PATH_BYTES_MAX:
        shown = name[:_SHOWN_CHARACTERS]
        message = f"{shown!r}... in {str(top)!r} has over {_PATH_BYTES_MAX} bytes"
        raise DamagedError(message, fix="nest fewer folders, or pack them into one file")
    return name


def _copy(source: BinaryIO, target: Path, *, durable: bool) -> tuple[str, int]:
    """Copy a file; return digest and size of what was copied."""
    hasher = hashlib.sha256()
    size = 0
    with target.open("wb") as writing:
        while chunk := source.read(_CHUNK_BYTES):
            hasher.update(chunk)
            writing.write(chunk)
            size += len(chunk)
        if durable:
            writing.flush()
            os.fsync(writing.fileno())
    return f"sha256:{hasher.hexdigest()}", size


@contextmanager
def _readable(path: Path) -> Generator[None]:
    """Tell what a task did to its files from what the disk does.

    Raises:
        DamagedError: when nobody will ever read it.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_TASK and not isinstance(error, files.NotPlainError):
            raise
        fix = "write files and folders that their owner may read"
        raise DamagedError(f"cannot read {str(path)!r}: {error.strerror}", fix=fix) from error


def _remove(path: Path) -> None:
    """Remove what was half laid out; nothing when it was renamed."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
