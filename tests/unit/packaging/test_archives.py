"""Archives: the same bytes for the same files, and nothing that leaves its folder."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from engine.model.errors import DamagedError
from executors.packaging import archives


def tar(*entries: tuple[str, bytes, bytes]) -> bytes:
    """Return a tar of entries: name, kind, content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type = kind
            entry.size = len(content)
            entry.linkname = "/etc/passwd"
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


FILE, LINK, HARD, DEVICE = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
BAD = {
    "leaves": tar(("../x", FILE, b"1")),
    "leaves deeper": tar(("a/../../x", FILE, b"1")),
    "absolute": tar(("/etc/x", FILE, b"1")),
    "link": tar(("x", LINK, b"")),
    "hard link": tar(("x", HARD, b"")),
    "device": tar(("x", DEVICE, b"")),
    "twice": tar(("x", FILE, b"1"), ("x", FILE, b"2")),
    "twice in two spellings": tar(("a/x", FILE, b"1"), ("a/./x", FILE, b"2")),
    "no tar": b"x" * 700,
    "too much": tar(("x", FILE, b"1" * 2000)),
    "too many": tar(*((str(number), FILE, b"") for number in range(20))),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_archive_is_refused_by_name(case: str) -> None:
    limits = archives.Limits(bytes_max=1000, entries_max=10)
    with pytest.raises(DamagedError, match="the upload"):
        archives.read_files(BAD[case], "the upload", limits)


@pytest.mark.parametrize("case", BAD)
def test_nothing_is_written_of_a_bad_archive(case: str, tmp_path: Path) -> None:
    limits = archives.Limits(bytes_max=1000, entries_max=10)
    target = tmp_path / "below" / "target"
    with pytest.raises(DamagedError):
        archives.unpack(io.BytesIO(BAD[case]), "the upload", target, limits)
    assert list(tmp_path.rglob("*")) == []


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    files = {"a/b/c.txt": b"1", "d": b"22"}
    data = archives.pack_files(files)
    assert archives.read_files(data, "it") == files
    archives.unpack(io.BytesIO(data), "it", tmp_path / "x")
    assert (tmp_path / "x" / "a" / "b" / "c.txt").read_bytes() == b"1"


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    packed = []
    for name in ("one", "two"):
        folder = tmp_path / name
        for file in ("b", "a/c") if name == "one" else ("a/c", "b"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(b"x")
        (folder / "left").write_bytes(name.encode())
        sink = io.BytesIO()
        compressed = archives.compressing(sink)
        archives.pack_tree(folder, "opt/site", compressed, leave_out=("left",))
        compressed.close()
        packed.append(sink.getvalue())
    assert packed[0] == packed[1]
