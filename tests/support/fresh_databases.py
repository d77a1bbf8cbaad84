"""Fresh SQLite databases without the migrations that would make each of them anew.

Migrating takes sixty milliseconds, and a thousand tests begin with an empty ledger. The first
fresh database of a process is migrated in earnest, and what its schema then says is said again to
every later one; databases that exist, and PostgreSQL's, are always migrated.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

Migrate = Callable[[Connection, str], None]

_SCHEMA = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
_REVISION = "SELECT version_num FROM alembic_version"


def remembering(migrate: Migrate) -> Migrate:
    """Return a migration that gives a fresh database what the first one of its kind was given."""
    statements: list[str] = []

    def migrated(connection: Connection, where: str) -> None:
        fresh = connection.dialect.name == "sqlite" and not _schema(connection)
        if not fresh or not statements:
            migrate(connection, where)
            if fresh:
                (revision,) = connection.exec_driver_sql(_REVISION).one()
                statements.extend(_schema(connection))
                statements.append(f"INSERT INTO alembic_version VALUES ('{revision}')")
            return
        for statement in statements:
            connection.exec_driver_sql(statement)

    return migrated


def _schema(connection: Connection) -> list[str]:
    return [str(row.sql) for row in connection.exec_driver_sql(_SCHEMA)]
