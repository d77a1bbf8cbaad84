"""Zip and tar archives read with distrust: names, links, devices, duplicates, overlaps, counts.

The faults are those of known attacks: path traversal (MLflow CVE-2023-1177), links that lead out,
device files, members written twice so that two readers see two contents, and bombs whose members
overlap (Fifield, "A better zip bomb", 2019). Sizes in headers are never believed: `members` counts
what really comes.
"""

from __future__ import annotations

import io
import posixpath
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from engine.model.scans import Finding, FindingKind, FindingSeverity
from executors.packaging.security.scanning.limits import Limits

_LOCAL_HEADER_BYTES = 30
_DRIVE = re.compile(r"^[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FIX = "do not unpack it; ask for an archive of plain files below one folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of an archive: its name, what is wrong with it, and its content.

    reader: None for what is no plain file.
    """

    name: str
    findings: tuple[Finding, ...] = ()
    reader: IO[bytes] | None = None


def is_zip(data: bytes) -> bool:
    """Return whether a file is a zip archive: by its end, as those who open it decide."""
    return data.startswith(b"PK\x03\x04") or (
        b"PK\x05\x06" in data[-65_600:] and zipfile.is_zipfile(io.BytesIO(data))
    )


def zip_members(data: bytes, limits: Limits) -> Iterator[Entry]:
    """Yield the entries of a zip archive.

    Raises:
        ValueError: when it is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            known = archive.infolist()
            yield from _whole(len(known), limits, overlap=_overlapping(known, len(data)))
            seen: dict[str, str] = {}
            for info in known if len(known) <= limits.members_max else ():
                mode = info.external_attr >> 16
                faults = [*name_faults(info.filename), *_repeated(info.filename, seen)]
                faults += _mode_faults(info.filename, mode)
                if stat.S_ISLNK(mode):
                    target = archive.read(info).decode("utf-8", "replace")
                    faults += link_faults(info.filename, target)
                if info.flag_bits & 0x1:
                    message = "it is encrypted, so nothing is known of it"
                    faults.append(_fault("archive.encrypted", info.filename, message))
                    yield Entry(name=info.filename, findings=tuple(faults))
                    continue
                plain = not info.is_dir() and not stat.S_ISLNK(mode)
                reader = archive.open(info) if plain else None
                yield Entry(name=info.filename, findings=tuple(faults), reader=reader)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ValueError(str(error)) from error


def tar_members(data: bytes, limits: Limits) -> Iterator[Entry]:
    """Yield the entries of a tar archive.

    Raises:
        tarfile.TarError: when it is damaged.
    """
    seen: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for count, info in enumerate(archive):
            if count >= limits.members_max:
                yield from _whole(count + 1, limits, overlap=False)
                return
            faults = [*name_faults(info.name), *_repeated(info.name, seen)]
            if info.issym() or info.islnk():
                # Hard links name a member, symbolic ones start at their own folder.
                faults += link_faults("" if info.islnk() else info.name, info.linkname, info.name)
            elif not (info.isreg() or info.isdir()):
                faults.append(device(info.name))
            if info.mode & (stat.S_ISUID | stat.S_ISGID):
                faults.append(_setuid(info.name))
            reader = archive.extractfile(info) if info.isreg() else None
            yield Entry(name=info.name, findings=tuple(faults), reader=reader)


def name_faults(name: str) -> list[Finding]:
    """Return what is wrong with the name of a member."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        message = f"the name {name!r} is absolute: it would be written outside the folder"
    elif ".." in parts:
        message = f"the name {name!r} leads out of the folder that it is unpacked to"
    elif "\\" in name or _CONTROL.search(name):
        message = f"the name {name!r} means different files to different programs"
    else:
        return []
    return [_fault("archive.traversal", name, message, FindingSeverity.CRITICAL)]


def link_faults(start: str, target: str, name: str = "") -> list[Finding]:
    """Return what is wrong with a link at `start` (or at the root) to `target`."""
    at = name or start
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(start), target))
    if target.startswith(("/", "\\")) or whole == ".." or whole.startswith("../"):
        message = f"the link {at!r} leads out of the archive, to {target!r}"
        return [_fault("archive.link.outside", at, message, FindingSeverity.CRITICAL)]
    message = f"the link {at!r} stands where a file is expected"
    return [_fault("archive.link", at, message, FindingSeverity.MEDIUM)]


def device(name: str) -> Finding:
    """Return the finding of a device file, a pipe or a socket."""
    message = f"{name!r} is a device, a pipe or a socket"
    return _fault("archive.device", name, message, FindingSeverity.CRITICAL)


def duplicate(name: str) -> Finding:
    """Return the finding of a member that is there twice."""
    message = f"{name!r} is there twice: which one is used depends on the reader"
    return _fault("archive.duplicate", name, message)


def _mode_faults(name: str, mode: int) -> list[Finding]:
    """Return what is wrong with the mode that a zip archive gives a member."""
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return [device(name)]
    return [_setuid(name)] if mode & (stat.S_ISUID | stat.S_ISGID) else []


def _setuid(name: str) -> Finding:
    return _fault("archive.setuid", name, f"{name!r} would run with the rights of its owner")


def _repeated(name: str, seen: dict[str, str]) -> list[Finding]:
    """Return the fault of a name that was there before, also when only its capitals differ."""
    whole = posixpath.normpath(name)
    before = seen.setdefault(whole.casefold(), whole)
    if before == whole and not name.endswith("/") and f"{whole}\0" in seen:
        return [duplicate(name)]
    seen[f"{whole}\0"] = whole
    if before != whole:
        message = f"{name!r} and {before!r} are one file where capitals do not count"
        return [_fault("archive.duplicate", name, message, FindingSeverity.MEDIUM)]
    return []


def _overlapping(known: list[zipfile.ZipInfo], size: int) -> bool:
    """Return whether members share bytes, as in bombs."""
    end = 0
    for info in sorted(known, key=lambda info: info.header_offset):
        if info.header_offset < end:
            return True
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size
    return end > size


def _whole(count: int, limits: Limits, *, overlap: bool) -> Iterator[Entry]:
    """Yield what is wrong with an archive as a whole, as an entry without a name."""
    faults: list[Finding] = []
    if count > limits.members_max:
        message = f"it has more than {limits.members_max:,} members"
        faults.append(_fault("archive.members", "", message, FindingSeverity.CRITICAL))
    if overlap:
        message = "members share the same bytes, as in bombs"
        faults.append(_fault("archive.bomb", "", message, FindingSeverity.CRITICAL))
    if faults:
        yield Entry(name="", findings=tuple(faults))


def _fault(
    code: str, place: str, message: str, severity: FindingSeverity = FindingSeverity.HIGH
) -> Finding:
    return Finding(
        kind=FindingKind.ARCHIVE,
        severity=severity,
        code=code,
        place=place,
        message=message,
        fix=_FIX,
    )
