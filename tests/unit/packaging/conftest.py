"""A model in a repository, its server, and all that a delivery needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.empty_base import empty_base
from tests.support.pushed_models import Servers, World


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
def world(tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> World:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
    found = World(tmp_path, servers)
    empty_base(found.home / "layers", monkeypatch)
    return found
