"""The built-in `Scanner`: every check that needs neither the network nor another program."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from engine.model.errors import NotFoundError
from engine.model.scans import Finding, FindingKind, FindingSeverity, ScanReport
from executors.packaging.security import components, layouts
from executors.packaging.security.scanning import (
    archives,
    credentials,
    formats,
    licences,
    requirements,
)
from executors.packaging.security.scanning.limits import Limits
from executors.packaging.security.scanning.members import Member, Walk

_FINDINGS_MAX = 1_000
_SYSTEM = frozenset({"usr", "lib", "lib32", "lib64", "bin", "sbin", "boot"})
_LIBRARIES = frozenset({"site-packages", "dist-packages"})
_PACKAGE_FOLDER = "models"


class OfflineScanner:
    """Looks at files, folders and images; keeps everything in memory and writes nothing.

    Of an image, files of the system and of installed libraries are not opened: what they are is
    known by their distribution, which the bill and the audit name.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()

    def scan(self, path: Path, digest: str | None = None) -> ScanReport:
        """Return what was found in a file, a folder or an OCI layout.

        digest: of the image of a layout; None for its newest.

        Raises:
            NotFoundError: when there is nothing at the path.
            DamagedError: when an image is not what it says.
        """
        if not path.exists():
            raise NotFoundError(f"there is nothing to scan at {str(path)!r}", fix="check the path")
        if layouts.is_layout(path):
            manifest = layouts.manifest_of(path, digest)
            layouts.check_layers(manifest)
            return self.scan_image(manifest)
        looking = _Looking(self._limits)
        if path.is_dir():
            looking.folder(path)
            found = components.of_folder(path)
        else:
            looking.file(path.name, path)
            found = ()
        return looking.report(found)

    def scan_image(self, manifest: layouts.Manifest) -> ScanReport:
        """Return what was found in the layers of a manifest.

        Raises:
            DamagedError: when a layer is no archive.
        """
        looking = _Looking(self._limits)
        looking.image(manifest)
        return looking.report(components.of_image(manifest))


class _Looking:
    """One scan: gathers findings, and counts files."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._findings: list[Finding] = []
        self._not_run: list[str] = []
        self._count = 0

    def report(self, found: tuple[components.Component, ...]) -> ScanReport:
        """Return the report, with the licences of what is installed."""
        listed = dict.fromkeys([*self._findings, *licences.findings(found)])
        order = sorted(listed, key=lambda f: (-f.severity.rank, f.place, f.code, f.message))
        if len(order) > _FINDINGS_MAX:
            self._not_run.append(f"only the worst {_FINDINGS_MAX:,} of {len(order):,} are listed")
        return ScanReport(
            findings=tuple(order[:_FINDINGS_MAX]),
            not_run=tuple(sorted(set(self._not_run))),
            file_count=self._count,
        )

    def image(self, manifest: layouts.Manifest) -> None:
        """Look at every layer."""
        seen: set[str] = set()
        for entry, reader in layouts.layer_files(manifest):
            self._findings.extend(_entry_faults(entry))
            if entry.isreg() and _is_package(entry.name):
                if posixpath.normpath(entry.name) in seen:
                    self._findings.append(archives.duplicate(entry.name))
                seen.add(posixpath.normpath(entry.name))
            if reader is None or _is_system(entry.name):
                continue
            self._member(entry.name, reader.read(self._limits.file_bytes_max), entry.size)

    def folder(self, folder: Path) -> None:
        """Look at every file below a folder; links are not followed."""
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                self._findings.extend(archives.link_faults(name, str(path.readlink())))
            elif path.is_file():
                self.file(name, path)
            elif not path.is_dir():
                self._findings.append(archives.device(name))

    def file(self, name: str, path: Path) -> None:
        """Look at one file."""
        size = path.stat().st_size
        with path.open("rb") as file:
            self._member(name, file.read(self._limits.file_bytes_max), size)

    def _member(self, name: str, data: bytes, size: int) -> None:
        """Look at a file and at all inside it."""
        if size > len(data):
            message = f"only the first {len(data):,} of {size:,} bytes were looked at"
            self._findings.append(
                Finding(
                    kind=FindingKind.FORMAT,
                    severity=FindingSeverity.MEDIUM,
                    code="format.size",
                    place=name,
                    message=message,
                )
            )
        walk = Walk(self._limits)
        for member in walk.members(name, data):
            self._count += 1
            self._findings.extend(self._checked(member))
        self._findings.extend(walk.findings)

    def _checked(self, member: Member) -> Iterator[Finding]:
        """Yield what all checks say of one file."""
        yield from formats.findings(member, formats.of(member))
        yield from credentials.findings(member.place, member.data)
        if len(member.data) > credentials.BYTES_MAX:
            shown = f"{credentials.BYTES_MAX >> 20} MiB"
            self._not_run.append(f"secrets beyond the first {shown} of {member.place!r}")
        if requirements.is_requirements(member.name):
            yield from requirements.findings(member.place, member.data)


def _is_system(name: str) -> bool:
    """Return whether a file of a layer belongs to the system or to an installed library."""
    parts = PurePosixPath(name.lstrip("./")).parts
    return bool(parts) and (parts[0] in _SYSTEM or not _LIBRARIES.isdisjoint(parts))


def _is_package(name: str) -> bool:
    """Return whether a file of a layer belongs to the packaged model."""
    return PurePosixPath(name.lstrip("./")).parts[:1] == (_PACKAGE_FOLDER,)


def _entry_faults(entry: tarfile.TarInfo) -> list[Finding]:
    """Return what is wrong with an entry of a layer; links of the system are usual."""
    faults = archives.name_faults(entry.name)
    if not _is_package(entry.name):
        return faults
    if entry.issym() or entry.islnk():
        start = "" if entry.islnk() else entry.name
        return faults + archives.link_faults(start, entry.linkname, entry.name)
    return faults if entry.isreg() or entry.isdir() else [*faults, archives.device(entry.name)]
