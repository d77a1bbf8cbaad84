"""Run histories as CSV: what past runs took, to start from before there are own ones.

One column for each field of `RunRecord`; `attributes` holds `name=value` pairs with `;` between.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence

from engine.model.errors import Fault, InvalidInputError
from engine.model.identifiers import PipelineName, TaskName
from engine.model.profiles import RunRecord
from engine.model.specs import Scalar, TaskKind
from forecasting.profiles import ranges

_NUMBERS = (
    "ended_at",
    "duration_seconds",
    "cpu_cores_mean",
    "memory_gib_peak",
    "disk_gib",
    "network_mbps_mean",
    "gpu_count",
    "gpu_memory_gib_peak",
)
COLUMNS = ("pipeline", "task", "kind", "attributes", *_NUMBERS, "succeeded")
_TRUTH = {"true": True, "false": False}
_DOCUMENT = "run history"


def read_history(text: str) -> tuple[RunRecord, ...]:
    """Return the records of a CSV text in their order.

    Raises:
        InvalidInputError: with every fault and its line: no rows, other columns, a cut-off row,
            a value that is not what its column holds.
    """
    lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    if not lines:
        raise InvalidInputError(_DOCUMENT, [_fault("H001", "the file is empty", 0)])
    header = [name.strip() for name in lines[0]]
    if set(header) != set(COLUMNS) or len(header) != len(COLUMNS):
        raise InvalidInputError(_DOCUMENT, [_header_fault(header)])
    faults: list[Fault] = []
    records: list[RunRecord] = []
    for line, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(header):
            message = f"line {line} has {len(cells)} values, the first line names {len(header)}"
            faults.append(_fault("H003", message, line, fix="restore the rest of the line"))
            continue
        read = _record(dict(zip(header, cells, strict=True)), line)
        if isinstance(read, RunRecord):
            records.append(read)
        else:
            faults += read
    if not records and not faults:
        faults.append(_fault("H001", "the file has no rows below its first line", 1))
    if faults:
        raise InvalidInputError(_DOCUMENT, [_with_text(fault, text) for fault in faults])
    return tuple(records)


def write_history(records: Sequence[RunRecord]) -> str:
    """Return the CSV text that `read_history` reads."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        attributes = ";".join(f"{name}={value}" for name, value in record.attributes.items())
        numbers = [f"{float(getattr(record, name)):g}" for name in _NUMBERS[1:]]
        writer.writerow(
            [
                record.pipeline,
                record.task,
                record.kind.value,
                attributes,
                f"{record.ended_at:.0f}",
                *numbers,
                str(record.succeeded).lower(),
            ]
        )
    return out.getvalue()


def _record(cells: Mapping[str, str], line: int) -> RunRecord | list[Fault]:
    """Return the record of one row, or its faults."""
    faults: list[Fault] = []
    numbers = {name: _number(cells[name], name, line, faults) for name in _NUMBERS}
    kinds = [kind.value for kind in TaskKind]
    if cells["kind"] not in kinds:
        message = f"`kind` is {cells['kind']!r}; it must be one of {', '.join(kinds)}"
        faults.append(_fault("H004", message, line, candidates=tuple(kinds)))
    if cells["succeeded"].lower() not in _TRUTH:
        message = f"`succeeded` is {cells['succeeded']!r}; it must be true or false"
        faults.append(_fault("H004", message, line))
    attributes = _attributes(cells["attributes"], line, faults)
    if faults:
        return faults
    return RunRecord(
        pipeline=PipelineName(cells["pipeline"]),
        task=TaskName(cells["task"]),
        kind=TaskKind(cells["kind"]),
        attributes=attributes,
        ended_at=numbers["ended_at"],
        duration_seconds=numbers["duration_seconds"],
        cpu_cores_mean=numbers["cpu_cores_mean"],
        memory_gib_peak=numbers["memory_gib_peak"],
        disk_gib=numbers["disk_gib"],
        network_mbps_mean=numbers["network_mbps_mean"],
        gpu_count=numbers["gpu_count"],
        gpu_memory_gib_peak=numbers["gpu_memory_gib_peak"],
        succeeded=_TRUTH[cells["succeeded"].lower()],
    )


def _number(text: str, name: str, line: int, faults: list[Fault]) -> float:
    """Return a number of at least 0, or add a fault."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        message = f"`{name}` is {text!r}; it must be a number of at least 0"
        fix = "correct the clock or the counter that measured it, or leave the run out"
        faults.append(_fault("H004", message, line, fix=fix))
        return value
    for found in _out_of_range(name, value):
        message = f"`{name}` is {text!r}; {found.message.partition('; ')[2]}"
        faults.append(_fault(found.code, message, line, fix=found.fix))
    return value


def _out_of_range(name: str, value: float) -> list[Fault]:
    """Return the fault of a value that no task can have, as one in another unit has."""
    match name:
        case "memory_gib_peak":
            return ranges.memory_gib(value, 0)
        case "gpu_memory_gib_peak":
            return ranges.gpu_memory_mib(value * 1024.0, 0)
        case "duration_seconds":
            return ranges.seconds(value, 0)
        case "cpu_cores_mean":
            return ranges.cores(value, 0)
        case _:
            return []


def _attributes(text: str, line: int, faults: list[Fault]) -> dict[str, Scalar]:
    """Return `name=value` pairs, numbers as numbers; add a fault for each that is none."""
    found: dict[str, Scalar] = {}
    for pair in filter(None, text.split(";")):
        name, separator, value = pair.partition("=")
        if not separator or not name.strip():
            message = f"`attributes` holds {pair!r}; it must be NAME=VALUE pairs with `;` between"
            faults.append(_fault("H004", message, line))
            continue
        found[name.strip()] = _scalar(value.strip())
    return found


def _scalar(text: str) -> Scalar:
    """Return a whole number, a number, a truth value or else the text."""
    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _header_fault(header: Sequence[str]) -> Fault:
    """Return the fault of a first line with other columns."""
    missing = [name for name in COLUMNS if name not in header]
    unknown = [name for name in header if name not in COLUMNS]
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has unknown {', '.join(map(repr, unknown))}"] if unknown else []
    said = " and ".join(parts) or "names a column twice"
    fix = f"use the columns {', '.join(COLUMNS)}"
    return _fault("H002", f"the first line {said}", 1, fix=fix, candidates=tuple(missing))


def _with_text(fault: Fault, text: str) -> Fault:
    """Return a fault with the text of its line, all of it marked."""
    lines = text.splitlines()
    if not 1 <= fault.line <= len(lines):
        return fault
    source = lines[fault.line - 1]
    return dataclasses.replace(fault, source_line=source, length=max(len(source), 1))


def _fault(
    code: str, message: str, line: int, *, fix: str = "", candidates: tuple[str, ...] = ()
) -> Fault:
    """Return a fault at a line."""
    return Fault(code=code, message=message, line=line, column=1, fix=fix, candidates=candidates)
