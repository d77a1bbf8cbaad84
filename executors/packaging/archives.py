"""Tar archives: written so that the same files give the same bytes, read as if by an enemy.

Written entries hold no times, owners or order of a file system. Read archives may come from
anybody: a path that leaves its folder, a link, a device, a name that stands twice, and more bytes
than were asked for are refused by name, and nothing is written before all is checked.
"""

from __future__ import annotations

import gzip
import importlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from engine.model.errors import DamagedError


def _fast() -> Any:  # noqa: ANN401 - a module, or None
    """Return isal's gzip; None without the extra `packaging`: the same, eight times slower."""
    try:
        return importlib.import_module("isal.igzip")
    except ImportError:
        return None


_FAST = _fast()
COMPRESSOR = "isal-1" if _FAST is not None else "zlib-1"
"""What compresses layers. Another one gives other bytes, so it is part of every cache key."""
_EPOCH_SECONDS = 0
_CHUNK_BYTES = 1 << 20
_AGAIN = "make the archive of plain files and folders below one folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an archive may unpack to."""

    bytes_max: int = 4 << 30
    entries_max: int = 200_000


def compressing(sink: IO[bytes]) -> IO[bytes]:
    """Return a file that writes gzip to `sink`, without a time or a name in its header."""
    opener: Any = _FAST.IGzipFile if _FAST is not None else gzip.GzipFile
    return cast(
        "IO[bytes]",
        opener(filename="", mode="wb", compresslevel=1, fileobj=sink, mtime=_EPOCH_SECONDS),
    )


def pack_files(files: Mapping[str, bytes], *, mode: int = 0o444) -> bytes:
    """Return a tar of files by path, in order of path, with the folders above them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        seen: set[str] = set()
        for name in sorted(files):
            _check_name(name, "the files to pack")
            for folder in reversed(PurePosixPath(name).parents):
                if str(folder) != "." and str(folder) not in seen:
                    seen.add(str(folder))
                    archive.addfile(_entry(f"{folder}/", tarfile.DIRTYPE, 0o755))
            entry = _entry(name, tarfile.REGTYPE, mode)
            entry.size = len(files[name])
            archive.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def pack_tree(root: Path, prefix: str, sink: IO[bytes], *, leave_out: Iterable[str] = ()) -> None:
    """Write a tar of all files below `root` to `sink`, their paths below `prefix`.

    leave_out: names of files and folders that are left out wherever they stand.
    """
    skipped = frozenset(leave_out)
    buffered = io.BufferedWriter(_Passing(sink), _CHUNK_BYTES)
    with tarfile.TarFile(
        fileobj=buffered, mode="w", format=tarfile.PAX_FORMAT, copybufsize=_CHUNK_BYTES
    ) as archive:
        for folder in reversed(PurePosixPath(prefix).parents):
            if str(folder) != ".":
                archive.addfile(_entry(f"{folder}/", tarfile.DIRTYPE, 0o755))
        archive.addfile(_entry(f"{prefix}/", tarfile.DIRTYPE, 0o755))
        for path in _walk(root, skipped):
            name = f"{prefix}/{path.relative_to(root).as_posix()}"
            if path.is_dir():
                archive.addfile(_entry(f"{name}/", tarfile.DIRTYPE, 0o755))
                continue
            status = path.stat()
            entry = _entry(name, tarfile.REGTYPE, 0o755 if status.st_mode & 0o100 else 0o644)
            entry.size = status.st_size
            with path.open("rb") as file:
                archive.addfile(entry, file)
    buffered.flush()


class _Passing(io.RawIOBase):
    """Passes large blocks on to what can only be written to."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._size = 0

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - any buffer
        """Pass bytes on."""
        block = bytes(data)
        self._sink.write(block)
        self._size += len(block)
        return len(block)

    def tell(self) -> int:
        """Return how much was passed on."""
        return self._size


def read_files(data: bytes, name: str, limits: Limits | None = None) -> dict[str, bytes]:
    """Return the files of a tar by path, checked; nothing is written to disk.

    Raises:
        DamagedError: naming the entry: a path that leaves the folder, a link, a device, a name
            that stands twice, or more bytes than the limits; or that `data` is no tar.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for entry in checked(archive, name, limits or Limits()):
                reader = archive.extractfile(entry) if entry.isfile() else None
                if reader is not None:
                    found[_plain(entry.name)] = reader.read()
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise DamagedError(f"{name} is no tar: {error}", fix=_AGAIN) from error
    return found


def unpack(source: IO[bytes], name: str, target: Path, limits: Limits | None = None) -> None:
    """Write the files of a tar or tar.gz below a new folder, after all of it was checked.

    Raises:
        DamagedError: as `read_files`; `target` does not exist then.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with tarfile.open(fileobj=source, mode="r:*") as archive:
            for entry in list(checked(archive, name, limits or Limits())):
                _write(archive, entry, partial / _plain(entry.name))
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DamagedError(f"{name} cannot be unpacked: {error}", fix=_AGAIN) from error
    partial.mkdir(parents=True, exist_ok=True)
    partial.rename(target)


def unpack_some(
    source: IO[bytes],
    name: str,
    target: Path,
    wanted: Callable[[str], bool],
    limits: Limits | None = None,
) -> None:
    """Write those plain files of a tar or tar.gz below `target` whose path is wanted.

    Links and special files, which layers of a system have, are passed over. A file that is there
    already, of a lower layer, is replaced.

    Raises:
        DamagedError: a path that leaves the folder, more bytes than the limits, or no tar.
    """
    allowed = limits or Limits()
    total = 0
    try:
        with tarfile.open(fileobj=source, mode="r|*") as archive:
            for entry in archive:
                if not entry.isfile() or not wanted(entry.name):
                    continue
                _check_name(entry.name, name)
                total += entry.size
                if total > allowed.bytes_max:
                    message = f"{name} unpacks to over {allowed.bytes_max} bytes"
                    raise DamagedError(message, fix="use a smaller base")
                place = target / _plain(entry.name)
                place.unlink(missing_ok=True)
                _write(archive, entry, place)
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        raise DamagedError(f"{name} cannot be unpacked: {error}", fix=_AGAIN) from error


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, place: Path) -> None:
    """Write one entry, which must not be there yet."""
    if entry.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    reader = cast("IO[bytes]", archive.extractfile(entry))
    with place.open("xb") as file:
        shutil.copyfileobj(reader, file, _CHUNK_BYTES)


def checked(archive: tarfile.TarFile, name: str, limits: Limits) -> Iterator[tarfile.TarInfo]:
    """Yield the entries of an archive, each checked before it is given.

    Raises:
        DamagedError: at the first entry that is not allowed.
    """
    seen: set[str] = set()
    total = 0
    for entry in archive:
        _check_name(entry.name, name)
        plain = _plain(entry.name)
        if not (entry.isfile() or entry.isdir()):
            kind = "a link" if entry.issym() or entry.islnk() else "a special file"
            raise DamagedError(f"{entry.name!r} in {name} is {kind}", fix=_AGAIN)
        if plain in seen and not entry.isdir():
            raise DamagedError(f"{entry.name!r} stands twice in {name}", fix=_AGAIN)
        seen.add(plain)
        total += entry.size
        if total > limits.bytes_max:
            message = f"{name} unpacks to over {limits.bytes_max} bytes (at {entry.name!r})"
            raise DamagedError(message, fix="pack less, or raise the limit")
        if len(seen) > limits.entries_max:
            message = f"{name} has over {limits.entries_max} entries"
            raise DamagedError(message, fix="pack less, or raise the limit")
        yield entry


def _check_name(entry: str, name: str) -> None:
    """Refuse a path that is absolute, leaves its folder, or holds what no path should."""
    parts = PurePosixPath(entry).parts
    if not parts or entry.startswith("/") or ".." in parts or "\\" in entry or "\0" in entry:
        raise DamagedError(f"{entry!r} in {name} leaves its folder", fix=_AGAIN)


def _plain(entry: str) -> str:
    """Return a checked path in the one form in which names are compared."""
    return PurePosixPath(entry).as_posix()


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = mode
    entry.mtime = _EPOCH_SECONDS
    return entry


def _walk(root: Path, skipped: frozenset[str]) -> Iterator[Path]:
    """Yield all below `root` but links and what is skipped, in order of path."""
    for path in sorted(root.iterdir(), key=lambda found: found.name):
        if path.name in skipped or path.is_symlink():
            continue
        yield path
        if path.is_dir():
            yield from _walk(path, skipped)
