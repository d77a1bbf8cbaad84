"""A base of nothing, so that no Debian archive is asked."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from executors.packaging.oci import bases
from executors.packaging.oci.layers import LayerCache, Role, key_of


def empty_base(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the base be a layer of a tar without entries."""
    layer = LayerCache(root).make(key_of("empty"), Role.BASE, _nothing)
    monkeypatch.setattr(bases, "_debian", lambda _: layer)


def _nothing(sink: IO[bytes]) -> None:
    sink.write(bytes(10_240))
