"""CSV to a message: the header names fields, wherever below the message they stand.

Each line adds one element to every repeated message, and one value to every repeated number or
text, for each column of its name. A single field takes the value of the last line that has one.
An empty cell leaves a field unset; a single number cannot be unset unless it is `optional`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from executors.serving.runner.errors import CallError

ROWS_MAX = 10_000
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})
_WHOLE = frozenset({FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64,
                    FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64})  # fmt: skip
Read = Callable[[str], object]
Fill = Callable[[Message, Sequence[str]], None]


def message_of(data: bytes, kind: type[Message]) -> Message:
    """Return a message of class `kind` from a CSV with a header.

    Raises:
        CallError: naming line and column at fault, or the columns that do not fit.
    """
    rows = _rows(data)
    header = [cell.strip() for cell in rows[0]]
    columns: dict[str, list[int]] = {}
    for index, name in enumerate(header):
        columns.setdefault(name, []).append(index)
    descriptor = cast("Descriptor", kind.DESCRIPTOR)
    _check_columns(descriptor, columns)
    fill = _filler(descriptor, columns, ())
    message = kind()
    for number, row in enumerate(rows[1:], start=2):
        if len(row) > len(header):
            text = f"line {number} has {len(row)} cells, the header has {len(header)}"
            raise CallError(text)
        try:
            fill(message, row + [""] * (len(header) - len(row)))
        except (ValueError, TypeError) as error:
            raise CallError(f"line {number}: {error}") from error
    return message


def _rows(data: bytes) -> list[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CallError(f"the CSV is no text in UTF-8: {error}") from error
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text), strict=True):
            if row:
                rows.append(row)
            if len(rows) > ROWS_MAX + 1:
                raise CallError(f"more than {ROWS_MAX} lines", status=413, fix="send them in parts")
    except csv.Error as error:
        raise CallError(f"the CSV cannot be read: {error}") from error
    if len(rows) < 2:  # noqa: PLR2004 - a header and a line
        raise CallError("the CSV needs a header and at least one line of values")
    return rows


def leaves(descriptor: Descriptor, above: tuple[str, ...] = ()) -> dict[str, FieldDescriptor]:
    """Return the fields that hold values, by name, of a message and those in it; no map.

    A message that holds itself is looked at once.
    """
    found: dict[str, FieldDescriptor] = {}
    for field in descriptor.fields:
        inner = field.message_type
        if inner is None:
            found.setdefault(field.name, field)
        elif not _is_map(field) and inner.full_name not in above:
            for name, leaf in leaves(inner, (*above, descriptor.full_name)).items():
                found.setdefault(name, leaf)
    return found


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def is_repeated(field: FieldDescriptor) -> bool:
    """Return whether a field holds any number of values."""
    return bool(field.is_repeated)


def _check_columns(descriptor: Descriptor, columns: Mapping[str, list[int]]) -> None:
    known = leaves(descriptor)
    misfits = _misfits(known, columns)
    if columns and not any(misfits.values()):
        return
    parts = [
        f"{what} {', '.join(repr(name) for name in names[:10])}"
        for what, names in misfits.items()
        if names
    ]
    message = f"the columns do not fit `{descriptor.full_name}`: {'; '.join(parts)}"
    raise CallError(message, fix=f"its fields are: {', '.join(list(known)[:50])}")


def _misfits(
    known: Mapping[str, FieldDescriptor], columns: Mapping[str, list[int]]
) -> dict[str, list[str]]:
    """Return the columns that do not fit, by what is wrong with them."""
    single = {name: field for name, field in known.items() if not is_repeated(field)}
    return {
        "unknown": [name for name in columns if name not in known],
        "missing": [
            name for name, field in single.items() if name not in columns and not field.has_presence
        ],
        "twice": [name for name, where in columns.items() if len(where) > 1 and name in single],
    }


def _filler(
    descriptor: Descriptor, columns: Mapping[str, list[int]], above: tuple[str, ...]
) -> Fill:
    """Return the function that puts one line into a message."""
    steps = [
        step
        for field in descriptor.fields
        for step in [_step(field, columns, (*above, descriptor.full_name))]
        if step is not None
    ]

    def fill(message: Message, row: Sequence[str]) -> None:
        for step in steps:
            step(message, row)

    return fill


def _step(
    field: FieldDescriptor, columns: Mapping[str, list[int]], above: tuple[str, ...]
) -> Fill | None:
    """Return what puts one line into one field; None where no column is meant for it."""
    name, inner = field.name, field.message_type
    if inner is None:
        where = columns.get(name, [])
        return _values(field, where) if where else None
    if _is_map(field) or inner.full_name in above or not leaves(inner, above).keys() & columns:
        return None
    fill = _filler(inner, columns, above)
    if is_repeated(field):
        return lambda message, row: fill(getattr(message, name).add(), row)
    return lambda message, row: fill(getattr(message, name), row)


def _values(field: FieldDescriptor, where: Sequence[int]) -> Fill:
    name, read = field.name, reader(field)
    if is_repeated(field):

        def add(message: Message, row: Sequence[str]) -> None:
            getattr(message, name).extend(
                _read(read, row[index], name) for index in where if row[index].strip()
            )

        return add
    index = where[0]
    needed = not field.has_presence and field.cpp_type != FieldDescriptor.CPPTYPE_STRING

    def put(message: Message, row: Sequence[str]) -> None:
        if row[index].strip():
            setattr(message, name, _read(read, row[index], name))
        elif needed:
            raise ValueError(f"column {name!r} is empty; write a value, or declare it `optional`")

    return put


def _read(read: Read, cell: str, name: str) -> object:
    try:
        return read(cell.strip())
    except (ValueError, OverflowError) as error:
        raise ValueError(f"column {name!r} is {cell[:40]!r}: {error}") from error


def reader(field: FieldDescriptor) -> Read:
    """Return what turns a cell into a value of a field."""
    if field.enum_type is not None:
        by_name = {value.name: value.number for value in field.enum_type.values}
        numbers = frozenset(by_name.values())
        return lambda cell: _enum(cell, by_name, numbers)
    if field.cpp_type in _WHOLE:
        return int
    if field.cpp_type in {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}:
        return float
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _flag
    return str.encode if field.type == FieldDescriptor.TYPE_BYTES else _text


def _text(cell: str) -> str:
    return cell


def _enum(cell: str, by_name: Mapping[str, int], numbers: frozenset[int]) -> int:
    number = by_name[cell] if cell in by_name else int(cell)
    if number not in numbers:
        raise ValueError(f"expected one of {', '.join(by_name)}")
    return number


def _flag(cell: str) -> bool:
    if cell.lower() not in _TRUE | _FALSE:
        raise ValueError("expected true or false")
    return cell.lower() in _TRUE
