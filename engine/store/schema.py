"""Brings a database to the newest revision, and refuses one that is newer than this Berth."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from engine.model.errors import RefusedError
from engine.store import postgresql

MIGRATIONS = Path(__file__).parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    # The option is interpolated, so a percent sign in the path has to be doubled.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def newest_revision() -> str:
    """Return the revision that this version of Berth works with."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def migrate(connection: Connection, where: str) -> None:
    """Bring the database to the newest revision, within the connection's transaction.

    Raises:
        RefusedError: when a newer version of Berth wrote it.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(postgresql.MIGRATION_LOCK)))
    current = MigrationContext.configure(connection).get_current_revision()
    config = _config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise RefusedError(
            f"{where!r} has revision {current!r}, which this version of Berth does not know",
            fix="use the version of Berth that wrote it, or a newer one",
        )
    command.upgrade(config, "head")
