"""How folders travel to the service and back: nothing is written beside the place they are for."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from executors.kubernetes import unpacking

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
        TarError: when it is none, or a member would leave the folder or is a device.
    """
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            unpacking.extract(archive, member, folder)
