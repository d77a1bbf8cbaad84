"""What leaves its folder is refused, also by a Python without a filter of its own."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from executors.kubernetes import unpacking


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


@pytest.mark.parametrize(
    "bad",
    [
        member("../out"),
        member("/etc/passwd"),
        member("a", tarfile.SYMTYPE, "../../out"),
        member("a", tarfile.LNKTYPE, "../out"),
        member("a", tarfile.CHRTYPE),
    ],
    ids=["above", "absolute", "link", "hard link", "device"],
)
def test_what_leaves_its_folder_is_refused(bad: tarfile.TarInfo, tmp_path: Path) -> None:
    with pytest.raises(tarfile.TarError, match=r"leaves its folder|is a device"):
        unpacking.check(bad, tmp_path)


def test_members_are_written_where_python_has_no_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = member("content/rows.txt")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"1234"))
        archive.addfile(member("content/link", tarfile.SYMTYPE, "rows.txt"))
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        archive.extraction_filter = None
        for each in archive:
            unpacking.extract(archive, each, tmp_path)
    assert (tmp_path / "content" / "link").read_text() == "1234"
