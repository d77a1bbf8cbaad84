"""One table for each collection: key, version, the columns to find records by, and the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Double, Integer, MetaData, Table, Text

from engine.model import records

_TIMES = frozenset({"at", "as_of"})


def is_time(column: str) -> bool:
    """Return whether a column holds an instant (a number); all others hold text."""
    return column in _TIMES or column.endswith("_at")


def _table(collection: records.Collection[Any], metadata: MetaData) -> Table:
    found_by = [
        Column(name, Double if is_time(name) else Text, index=True, nullable=True)
        for name in collection.columns
    ]
    return Table(
        collection.name,
        metadata,
        Column("key", Text, primary_key=True),
        Column("version", Integer, nullable=False),
        *found_by,
        Column("body", Text, nullable=False),
    )


METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""What the newest migration arrives at; a test holds the two against each other."""

TABLES: Mapping[str, Table] = {
    collection.name: _table(collection, METADATA) for collection in records.COLLECTIONS
}
"""Tables by the name of their collection."""
