"""Run by alembic: migrations use the connection, and the transaction, that they are given."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from engine.store import tables


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=tables.METADATA)
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
