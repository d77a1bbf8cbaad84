"""Members of an archive are written below a folder, and nothing beside it.

Python's own filter for that (PEP 706) came with 3.11.4, and Debian 12, on which our images stand,
has 3.11.2: there every member is looked at here. Standard library only, for the runner in pods.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

_MODES = 0o755


def extract(packed: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Write one member below a folder.

    Raises:
        TarError: when it would leave the folder, or is a device.
    """
    if hasattr(tarfile, "data_filter"):
        packed.extract(member, target, filter="data")
        return
    check(member, target)
    member.uid, member.gid, member.mode = os.getuid(), os.getgid(), member.mode & _MODES
    packed.extract(member, target)


def check(member: tarfile.TarInfo, target: Path) -> None:
    """Refuse a member that would leave its folder, or is no file, folder or link.

    Raises:
        TarError: when it does.
    """
    places = [target / member.name]
    if member.issym():
        places.append((target / member.name).parent / member.linkname)
    elif member.islnk():
        places.append(target / member.linkname)
    elif not (member.isreg() or member.isdir()):
        raise tarfile.TarError(f"{member.name!r} is a device")
    root = target.resolve()
    if not all(place.resolve().is_relative_to(root) for place in places):
        raise tarfile.TarError(f"{member.name!r} leaves its folder")
