"""Logs of commands are held to a size."""

from __future__ import annotations

from pathlib import Path

import pytest

from executors.local import logs


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (b"a\nbb\n", b"a\nbb\n"),
        (b"a\nbb\nccc\n", b"ccc\n"),
        (b"no line ends here", b" here"),
        (b"ends with one\n", b" one\n"),
    ],
)
def test_the_end_of_a_long_log_stays(tmp_path: Path, written: bytes, left: bytes) -> None:
    path = tmp_path / "log.txt"
    with path.open("a+b", buffering=0) as log:
        log.write(written)
        logs.hold(log.fileno(), most=8, left=5)
        log.write(b"more\n")
    note, _, rest = path.read_bytes().partition(b"]\n")
    if len(written) <= 8:
        assert path.read_bytes() == written + b"more\n"
    else:
        assert note.startswith(b"[what was written before")
        assert rest == left + b"more\n"
