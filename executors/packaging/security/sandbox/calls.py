"""What is done in the confined process, with arguments and answers that are JSON."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, cast

from engine.model.errors import DamagedError, RefusedError
from engine.model.identifiers import Digest
from engine.model.scans import FindingSeverity, ScanReport
from executors.packaging.archives import unpack_some
from executors.packaging.security import components, layouts
from executors.packaging.security.sandbox.ahead import Ahead
from executors.packaging.security.sandbox.confinement import Bounds
from executors.packaging.security.sandbox.running import Answer, Call, run
from executors.packaging.security.scanning import archives
from executors.packaging.security.scanning.limits import Limits
from executors.packaging.security.scanning.members import Walk
from executors.packaging.security.scanning.offline import OfflineScanner
from executors.packaging.security.signing import provenance

_HERE = "executors.packaging.security.sandbox.calls"
_SCAN = f"{_HERE}:scan"
_SECONDS = 600.0
_WHOLE_IMAGES = Bounds(memory_bytes=8 << 30, cpu_seconds=600)
_MODE = 0o644


class ConfinedScanner:
    """The port `Scanner`, in a process with limits and without network. For several threads.

    What could not be applied is named in `not_run` of the report.
    """

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._ahead = Ahead(_SCAN)

    def prepare(self) -> None:
        """Begin the process of the next scan ahead, unless one waits; `close` ends it."""
        self._ahead.prepare()

    def close(self) -> None:
        """End the process that waits."""
        self._ahead.close()

    def scan(self, path: Path, digest: str | None = None) -> ScanReport:
        """Return what was found.

        Raises:
            NotFoundError: when there is nothing at the path.
            DamagedError: when an image is not what it says, or a limit ended the scan.
            RefusedError: when this machine cuts no process off from the network.
            UnreachableError: when no process can be started.
        """
        answer = self._ahead.take().make(
            Call(
                function=_SCAN,
                arguments={"path": str(path.resolve()), "digest": digest},
                reads=[path],
                bounds=self._bounds,
                seconds=_SECONDS,
            )
        )
        report = _report(answer)
        missing = tuple(f"confined without {each}" for each in answer.missing)
        return ScanReport(
            findings=report.findings,
            not_run=(*report.not_run, *missing),
            file_count=report.file_count,
        )


def unpack(archive: Path, target: Path, bounds: Bounds | None = None) -> tuple[str, ...]:
    """Unpack an untrusted archive to a new folder, in a confined process; return the files' names.

    Raises:
        RefusedError: when something is wrong with the archive, or the folder is there; nothing
            is unpacked.
        DamagedError: when it is no archive, or a limit ended it.
    """
    try:
        target.mkdir(parents=True)
    except FileExistsError as error:
        message = f"{str(target)!r} is there already"
        raise RefusedError(message, fix="name a new folder") from error
    try:
        answer = run(
            Call(
                function=f"{_HERE}:unpack_here",
                arguments={"archive": str(archive.resolve()), "target": str(target.resolve())},
                reads=[archive],
                writes=[target],
                bounds=bounds or Bounds(),
                seconds=_SECONDS,
            )
        )
    except Exception:
        if not any(target.iterdir()):
            target.rmdir()
        raise
    return tuple(map(str, answer.value))


def unpack_named(archive: Path, target: Path, parts: Collection[str]) -> None:
    """Unpack those files of a layer that stand in a folder of one of these names, confined.

    target: a folder that is there; to be thrown away when this fails.

    Raises:
        DamagedError: as `archives.unpack_some`, or when a limit ended it.
    """
    named = {"archive": str(archive.resolve()), "target": str(target.resolve())}
    run(
        Call(
            function=f"{_HERE}:unpack_named_here",
            arguments={**named, "parts": sorted(parts)},
            reads=[archive],
            writes=[target],
            seconds=_SECONDS,
        )
    )


def unpack_named_here(archive: str, target: str, parts: Sequence[str]) -> None:
    """Unpack some files of a layer; runs inside."""
    wanted = frozenset(parts)
    with Path(archive).open("rb") as file:
        unpack_some(
            file,
            "a layer of the base",
            Path(target),
            lambda name: not wanted.isdisjoint(PurePosixPath(name).parts),
        )


def contents(layout: str, layers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what layers hold that are not ours, in a confined process, as JSON.

    layout: where their blobs are. layers: their descriptors, the base first. Returns `components`
    (what is installed, as `Component` has it) and `scan` (with the predicate of a report).

    Raises:
        DamagedError: when a layer is not what it says, or a limit ended it.
    """
    folder = Path(layout).resolve()
    call = Call(
        function=f"{_HERE}:contents_here",
        arguments={"layout": str(folder), "layers": list(layers)},
        reads=[folder],
        bounds=_WHOLE_IMAGES,
        seconds=_SECONDS,
    )
    return cast("dict[str, Any]", run(call).value)


def contents_here(layout: str, layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Look through layers; runs inside, or where the layers are ours."""
    document = {"layers": list(layers)}
    manifest = layouts.Manifest(layout=Path(layout), digest=Digest(""), document=document)
    report = OfflineScanner().scan_image(manifest)
    return {
        "components": [asdict(each) for each in components.of_image(manifest)],
        "scan": {"predicate": provenance.of_scan(report, "berth offline")},
    }


def scan(path: str, digest: str | None) -> dict[str, Any]:
    """Scan a path; runs inside."""
    return provenance.of_scan(OfflineScanner().scan(Path(path), digest), "berth offline")


def unpack_here(archive: str, target: str) -> list[str]:
    """Unpack an archive; runs inside. All of it is looked at before anything is written.

    Raises:
        RefusedError: when something is wrong with it.
        DamagedError: when it is no archive.
    """
    limits = Limits()
    data = Path(archive).read_bytes()
    walk = Walk(limits)
    members = {member.place for member in walk.members("", data)}
    wrong = [f for f in walk.findings if f.severity is not FindingSeverity.LOW]
    if wrong:
        worst = max(wrong, key=lambda found: found.severity.rank)
        raise RefusedError(f"nothing was unpacked: {worst.message}", fix=worst.fix)
    if len(members) == 1:
        raise DamagedError(f"{archive!r} is no archive, or an empty one")
    single = {place.partition("!")[2] for place in members} & {"unpacked"}
    inner = next(iter(walk.members("", data)))
    # A compressed tar is one file that holds an archive.
    packed = _unpacked(inner.data, limits) if single else inner.data
    return _write_all(packed, Path(target), limits)


def _unpacked(data: bytes, limits: Limits) -> bytes:
    """Return the content of a compressed file."""
    members = iter(Walk(limits).members("", data))
    next(members)
    return next(members).data


def _write_all(data: bytes, target: Path, limits: Limits) -> list[str]:
    """Write every file of an archive whose names are known to be harmless."""
    is_zip = archives.is_zip(data)
    entries = archives.zip_members(data, limits) if is_zip else archives.tar_members(data, limits)
    written: list[str] = []
    for entry in entries:
        if entry.reader is None:
            continue
        path = target / entry.name
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, _MODE), "wb") as file:
            while chunk := entry.reader.read(1 << 20):
                file.write(chunk)
        written.append(entry.name)
    return written


def _report(answer: Answer) -> ScanReport:
    try:
        return provenance.scan_of({"predicate": answer.value})
    except ValueError as error:
        raise DamagedError("the confined process gave no report") from error
