"""The ledger on SQL: SQLite by default, PostgreSQL by URL with the same tables.

This folder is the home of sqlalchemy and alembic. The rest of the engine sees the port `Ledger`.
"""

from __future__ import annotations

from engine.runs import next_run_id
from engine.store.leases import LEASE_SECONDS, Elector
from engine.store.ledger import SqlLedger, open_ledger
from engine.store.lock import FolderLock, lock_folder
from engine.store.terms import begin_term

__all__ = [
    "LEASE_SECONDS",
    "Elector",
    "FolderLock",
    "SqlLedger",
    "begin_term",
    "lock_folder",
    "next_run_id",
    "open_ledger",
]
