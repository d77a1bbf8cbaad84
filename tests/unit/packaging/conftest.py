"""A model in a repository, its server, and all that a delivery needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.empty_base import empty_base
from tests.support.pushed_models import Servers, World


@pytest.fixture
def servers() -> Servers:
    return Servers()


def made(folder: Path, servers: Servers, patch: pytest.MonkeyPatch) -> World:
    for role in ("AUTHOR", "COMMITTER"):
        patch.setenv(f"GIT_{role}_NAME", "A")
        patch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
    found = World(folder, servers)
    empty_base(found.home / "layers", patch)
    return found


@pytest.fixture
def world(tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> World:
    return made(tmp_path, servers, monkeypatch)


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which one good push was delivered."""
    with pytest.MonkeyPatch.context() as patch:
        found = made(tmp_path_factory.mktemp("delivered"), Servers(), patch)
        found.deliver()
        yield found


@pytest.fixture
def good(delivered: World) -> Iterator[World]:
    """The same; what a test writes to the working folder is taken back after it."""
    kept = {path: path.read_bytes() for path in delivered.work.iterdir() if path.is_file()}
    yield delivered
    for path in delivered.work.iterdir():
        if path.is_file() and path not in kept:
            path.unlink()
    for path, data in kept.items():
        path.write_bytes(data)
