"""How folders travel to the service and back: nothing is written beside the place they are for."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

CONTENT = "content"


def pack(folder: Path) -> bytes:
    """Return a folder as an archive in which it is called `content`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(folder, arcname=CONTENT)
    return packed.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """Write an archive below a folder.

    Raises:
        TarError: when a member or what it links to is outside of the folder, or is a device.
    """
    root = folder.resolve()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        # Debian 12's Python has no filter of its own yet (PEP 706), so each member is looked at.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        for member in archive:
            places = [root / member.name]
            if member.issym():
                places.append(places[0].parent / member.linkname)
            elif member.islnk():
                places.append(root / member.linkname)
            elif not (member.isreg() or member.isdir()):
                raise tarfile.TarError(f"{member.name!r} is a device")
            if not all(place.resolve().is_relative_to(root) for place in places):
                raise tarfile.TarError(f"{member.name!r} leaves its folder")
            member.uid, member.gid = os.getuid(), os.getgid()
            archive.extract(member, root)
