"""What is read from a table, as statements with parameters: each is built once and used again.

Building a statement and the key under which SQLAlchemy keeps its text costs twice what running it
does, and an engine with nothing to do reads hundreds of times a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import ColumnElement, Integer, Select, Table, bindparam, or_, select

from engine.model.records import Column
from engine.store.tables import TABLES

Wanted = Mapping[str, Column | Sequence[Column]]
"""By the name of a column, the value that it has, or several of which it has one."""
_Kind = Literal["value", "none", "some", "some or none"]
_FORMS_MOST = 1_000
"""Far more than the forms of what is asked anywhere; a bound all the same."""


@lru_cache(maxsize=_FORMS_MOST)
def one(name: str) -> Select[Any, Any]:
    """Return the statement that reads the record of a `key`."""
    table = TABLES[name]
    return select(table.c.body, table.c.version).where(table.c.key == bindparam("key"))


@lru_cache(maxsize=_FORMS_MOST)
def versions(name: str) -> Select[Any, Any]:
    """Return the statement that reads the versions of the records with some `keys`."""
    table = TABLES[name]
    some = table.c.key.in_(bindparam("keys", expanding=True))
    return select(table.c.key, table.c.version).where(some)


def several(
    name: str, where: Wanted, *, order_by: str, descending: bool, since: float | None, limit: int
) -> tuple[Select[Any, Any], dict[str, Any]]:
    """Return the statement that reads some records of a table, and its parameters.

    Raises:
        ValueError: when the table has no such column.
    """
    kinds = tuple((column, _kind(wanted)) for column, wanted in where.items())
    statement = _several(name, kinds, order_by, descending=descending, after=since is not None)
    parameters: dict[str, Any] = {"limit": limit}
    for column, wanted in where.items():
        parameters[f"where_{column}"] = _present(wanted)
    if since is not None:
        parameters["since"] = since
    return statement, parameters


@lru_cache(maxsize=_FORMS_MOST)
def _several(
    name: str, kinds: tuple[tuple[str, _Kind], ...], order_by: str, *, descending: bool, after: bool
) -> Select[Any, Any]:
    table = TABLES[name]
    query = select(table.c.body, table.c.version)
    for column, kind in kinds:
        query = query.where(_equals(_column(table, column), kind))
    if after:
        query = query.where(_column(table, order_by) > bindparam("since"))
    columns = [_column(table, order_by), table.c.key] if order_by else [table.c.key]
    query = query.order_by(*(column.desc() if descending else column for column in columns))
    return query.limit(bindparam("limit", type_=Integer))


def _column(table: Table, name: str) -> ColumnElement[Any]:
    if name not in table.c:
        raise ValueError(f"{table.name} has no column {name!r}")
    return table.c[name]


def _kind(wanted: Column | Sequence[Column]) -> _Kind:
    if wanted is None:
        return "none"
    if isinstance(wanted, str | int | float):
        return "value"
    return "some or none" if None in wanted else "some"


def _present(wanted: Column | Sequence[Column]) -> Column | list[Column]:
    """Return what a column is compared with; None is asked for by the statement itself."""
    if wanted is None or isinstance(wanted, str | int | float):
        return wanted
    return [value for value in wanted if value is not None]


def _equals(column: ColumnElement[Any], kind: _Kind) -> ColumnElement[bool]:
    if kind == "none":
        return column.is_(None)
    name = f"where_{column.key}"
    if kind == "value":
        return column == bindparam(name)
    missing = [column.is_(None)] if kind == "some or none" else []
    return or_(column.in_(bindparam(name, expanding=True)), *missing)
