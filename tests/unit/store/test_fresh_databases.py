"""What tests are given as a fresh database is what migrations make."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, create_engine

from engine.store.schema import migrate  # the real one: imported before tests begin
from tests.support import fresh_databases


def _asked(file: Path, remembering: fresh_databases.Migrate) -> None:
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        remembering(connection, file.name)
    engine.dispose()


def _dump(file: Path) -> list[str]:
    with sqlite3.connect(file) as connection:
        return sorted(connection.iterdump())


def test_fresh_databases_are_alike_and_the_others_are_migrated(tmp_path: Path) -> None:
    asked: list[str] = []

    def counted(connection: Connection, where: str) -> None:
        asked.append(where)
        migrate(connection, where)

    remembering = fresh_databases.remembering(counted)
    for name in ("first", "second", "second"):
        _asked(tmp_path / name, remembering)
    assert asked == ["first", "second"]  # the second time there is something to migrate
    assert _dump(tmp_path / "first") == _dump(tmp_path / "second")
