"""Every file of an untrusted thing, with what lies inside archives, found within limits.

Only memory is used: nothing is written to disk, so a name cannot lead anywhere. Compressed files
are opened by their first bytes whatever their name, since scanners that go by the name were
evaded by pickles packed with gzip.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, cast

from engine.model.scans import Finding, FindingKind, FindingSeverity
from executors.packaging.security.layouts import UNPACKING_ERRORS
from executors.packaging.security.scanning import archives
from executors.packaging.security.scanning.limits import Limits

_CHUNK_BYTES = 1 << 20
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_TAR_MAGIC_AT = 257


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file: where it stands (`!` before each member of an archive), and its content."""

    place: str
    data: bytes

    @property
    def name(self) -> str:
        """Its own name, without folders and archives."""
        return PurePosixPath(self.place.rpartition("!")[2]).name.lower()

    @property
    def suffix(self) -> str:
        """The end of its name from the last dot on."""
        return PurePosixPath(self.name).suffix


@dataclass(slots=True)
class Walk:
    """One walk through what one file holds; keeps count of what was unpacked."""

    limits: Limits
    findings: list[Finding] = field(default_factory=list)
    _unpacked: int = 0

    def members(self, place: str, data: bytes, *, depth: int = 0) -> Iterator[Member]:
        """Yield a file, then everything inside it."""
        yield Member(place=place, data=data)
        if depth == 0:
            self._unpacked = 0
        inner = self._inner(place, data)
        if inner is None:
            return
        if depth >= self.limits.depth_max:
            self._add(place, "archive.depth", "archives are nested too deep to look into", bad=True)
            return
        for name, content in inner:
            yield from self.members(f"{place}!{name}", content, depth=depth + 1)

    def _inner(self, place: str, data: bytes) -> Iterator[tuple[str, bytes]] | None:
        """Return what is inside, by what the first bytes say; None for what is no archive."""
        if archives.is_zip(data):
            return self._archive(archives.zip_members(data, self.limits), place, len(data))
        if data[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
            return self._archive(archives.tar_members(data, self.limits), place, len(data))
        packed = _stream(data)
        return self._single(packed, place, len(data)) if packed is not None else None

    def _archive(
        self, entries: Iterator[archives.Entry], place: str, packed: int
    ) -> Iterator[tuple[str, bytes]]:
        """Yield the files of an archive; what is wrong with it becomes findings."""
        start = self._unpacked
        try:
            for entry in entries:
                self.findings.extend(_placed(fault, place) for fault in entry.findings)
                if entry.reader is None:
                    continue
                content = self._read(entry.reader, place, packed, start)
                if content is None:
                    return
                yield entry.name, content
        except UNPACKING_ERRORS as error:
            self._add(place, "archive.damaged", f"the archive is damaged: {error}")

    def _single(self, stream: IO[bytes], place: str, packed: int) -> Iterator[tuple[str, bytes]]:
        """Yield what a compressed file holds."""
        try:
            content = self._read(stream, place, packed, self._unpacked)
        except UNPACKING_ERRORS as error:
            self._add(place, "archive.damaged", f"it cannot be unpacked: {error}")
            return
        if content is not None:
            yield "unpacked", content

    def _read(self, reader: IO[bytes], place: str, packed: int, start: int) -> bytes | None:
        """Return the bytes of a reader, counted as they come; None after a limit."""
        found = bytearray()
        while chunk := reader.read(_CHUNK_BYTES):
            found += chunk
            self._unpacked += len(chunk)
            here = self._unpacked - start
            ratio = here / max(1, packed)
            if here > self.limits.ratio_bytes_min and ratio > self.limits.ratio_max:
                message = f"a bomb: {packed:,} bytes unpack to more than {here:,}"
                self._add(place, "archive.bomb", message, bad=True)
                return None
            if self._unpacked > self.limits.bytes_max or len(found) > self.limits.file_bytes_max:
                message = f"it unpacks to more than {min(here, self._unpacked):,} bytes"
                self._add(place, "archive.size", message, bad=True)
                return None
        return bytes(found)

    def _add(self, place: str, code: str, message: str, *, bad: bool = False) -> None:
        severity = FindingSeverity.CRITICAL if bad else FindingSeverity.HIGH
        self.findings.append(
            Finding(
                kind=FindingKind.ARCHIVE,
                severity=severity,
                code=code,
                place=place,
                message=message,
            )
        )


def _stream(data: bytes) -> IO[bytes] | None:
    """Return the unpacked stream of a compressed file; None for any other."""
    raw = io.BytesIO(data)
    if data.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if data.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if data.startswith((b"\xfd7zXZ\x00", b"\x5d\x00\x00")):
        return lzma.LZMAFile(raw)
    if data.startswith(_ZLIB):
        return cast("IO[bytes]", io.BufferedReader(_Inflated(data)))
    return None


class _Inflated(io.RawIOBase):
    """The content of a bare zlib stream, as joblib writes it, inflated in steps."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._engine = zlib.decompressobj()
        self._left = data

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: object, /) -> int:
        """Fill a buffer with the next bytes."""
        view = memoryview(cast("bytearray", buffer))
        if not self._left:
            return 0
        try:
            chunk = self._engine.decompress(self._left, len(view))
        except zlib.error:
            return 0  # two bytes that happened to look like a header
        self._left = self._engine.unconsumed_tail
        view[: len(chunk)] = chunk
        return len(chunk)


def _placed(fault: Finding, place: str) -> Finding:
    """Return a finding of a member with the place of its archive before it."""
    return Finding(
        kind=fault.kind,
        severity=fault.severity,
        code=fault.code,
        place=f"{place}!{fault.place}" if fault.place else place,
        message=fault.message,
        fix=fault.fix,
    )
