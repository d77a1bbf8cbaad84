"""Text files that settings name."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from api.messages import files
from engine.model.errors import InvalidInputError


def test_what_gzip_packs_is_unpacked_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_UNPACKED_BYTES_MAX", 1 << 20)
    path = tmp_path / "demand.csv.gz"
    path.write_bytes(gzip.compress(b"x" * (1 << 20)))
    assert len(files.read_text(path, "demand")) == 1 << 20
    path.write_bytes(gzip.compress(b"x" * ((1 << 20) + 1)))
    with pytest.raises(InvalidInputError, match="more than 1 MiB"):
        files.read_text(path, "demand")
