"""What a file is, by its content, and what is dangerous in formats other than pickle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import StrEnum

from engine.model.scans import Finding, FindingKind, FindingSeverity
from executors.packaging.security.scanning import archives, pickles
from executors.packaging.security.scanning.members import Member


class Format(StrEnum):
    """Formats of the files in a model package."""

    ONNX = "onnx"
    SKOPS = "skops"
    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    NUMPY = "numpy"
    UBJ = "ubj"
    HDF5 = "hdf5"
    PYTHON = "python"
    JSON = "json"
    TEXT = "text"
    ARCHIVE = "archive"
    NATIVE = "native"
    BYTECODE = "bytecode"
    UNKNOWN = "unknown"


_HEAD_BYTES = 8_192
_SAFETENSORS_HEADER_BYTES_MAX = 100_000_000
_TRUSTED_TYPES = ("numpy", "scipy", "sklearn", "builtins", "collections")
_NATIVE = (b"\x7fELF", b"MZ", b"\xfe\xed\xfa", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_LAMBDA = re.compile(rb'"class_name"\s*:\s*"(?:Lambda|TFOpLambda)"')
# The key "location" of a tensor's data outside the model, as protobuf writes it; its length may be
# written in more bytes than it needs.
_OUTSIDE = re.compile(rb"\n(?:\x08|\x88\x80{0,3}\x00)location\x12(.)", re.DOTALL)
_OBJECT_ARRAY = re.compile(rb"\x93NUMPY.{4,8}\{[^}]*'descr':[^}]*[|'\"]O", re.DOTALL)


def of(member: Member) -> Format:
    """Return the format of a file; its name only decides between formats without marks."""
    data = member.data
    if data.startswith(_NATIVE):
        return Format.NATIVE
    if data.startswith(b"\x89HDF"):
        return Format.HDF5
    if data.startswith(b"\x93NUMPY"):
        return Format.NUMPY
    if archives.is_zip(data):
        return Format.SKOPS if member.suffix == ".skops" else Format.ARCHIVE
    if member.suffix == ".pyc":
        return Format.BYTECODE
    if _is_safetensors(data):
        return Format.SAFETENSORS
    if member.suffix == ".onnx" and data[:1] == b"\x08":
        return Format.ONNX
    if member.suffix == ".ubj" and data[:1] == b"{":
        return Format.UBJ
    if pickles.is_pickle(member.name, data):
        return Format.PICKLE
    return _text(member)


def _text(member: Member) -> Format:
    head = member.data[:_HEAD_BYTES]
    if b"\0" in head:
        return Format.UNKNOWN
    try:
        # A character may be cut in two at the end of the head.
        head[: len(head) - 4 if len(head) == _HEAD_BYTES else None].decode("utf-8")
    except UnicodeDecodeError:
        return Format.UNKNOWN
    return {".py": Format.PYTHON, ".json": Format.JSON}.get(member.suffix, Format.TEXT)


def _is_safetensors(data: bytes) -> bool:
    """Return whether a file begins with the length of a JSON header, then with that header."""
    size = int.from_bytes(data[:8], "little")
    return 1 < size <= min(len(data) - 8, _SAFETENSORS_HEADER_BYTES_MAX) and data[8:9] == b"{"


def findings(member: Member, kind: Format) -> Iterator[Finding]:
    """Yield what is dangerous in a file of a format."""
    data, place = member.data, member.place
    if kind is Format.PICKLE:
        yield from pickles.findings(place, data)
    elif kind is Format.NUMPY and _OBJECT_ARRAY.match(data[:_HEAD_BYTES]):
        start = data.find(b"\n", 10) + 1
        yield from pickles.findings(place, data[start:])
    elif kind is Format.NATIVE:
        yield _finding("format.native", place, FindingSeverity.HIGH, "it is native code")
    elif kind is Format.BYTECODE:
        message = "it is bytecode of Python, which nobody can read"
        yield _finding("format.bytecode", place, FindingSeverity.MEDIUM, message)
    elif kind is Format.ONNX:
        yield from _onnx(place, data)
    if member.name == "schema.json" and "!" in place:
        yield from _skops(place, data)
    if kind in {Format.HDF5, Format.JSON} and _LAMBDA.search(data):
        message = "it holds a Lambda layer: code of Python that runs when it is loaded"
        yield _finding("format.lambda", place, FindingSeverity.CRITICAL, message)


def _onnx(place: str, data: bytes) -> Iterator[Finding]:
    """Yield the finding of weights that an ONNX model reads from other files."""
    if b"location\x12" not in data:  # a plain search is much faster than the form
        return
    for match in _OUTSIDE.finditer(data):
        target = data[match.end() : match.end() + match[1][0]].decode("utf-8", "replace")
        leads_out = bool(archives.name_faults(target))
        severity = FindingSeverity.CRITICAL if leads_out else FindingSeverity.MEDIUM
        message = f"it reads weights from the file {target!r}"
        fix = "save the model with its weights inside"
        yield _finding("format.outside", place, severity, message, fix)
        if leads_out:
            return


def _skops(place: str, data: bytes) -> Iterator[Finding]:
    """Yield the types of a skops file that are of none of the trusted libraries."""
    try:
        waiting: list[object] = [json.loads(data)]
    except (ValueError, RecursionError):
        yield _finding("format.damaged", place, FindingSeverity.HIGH, "it is no JSON")
        return
    seen: set[str] = set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
            module = value.get("__module__")
            if isinstance(module, str) and isinstance(value.get("__class__"), str):
                seen.add(f"{module}.{value['__class__']}")
    for name in sorted(seen):
        if name.partition(".")[0] not in _TRUSTED_TYPES:
            message = f"it holds the type `{name}`, which is of no trusted library"
            yield _finding("format.type", place, FindingSeverity.HIGH, message)


def _finding(
    code: str, place: str, severity: FindingSeverity, message: str, fix: str = ""
) -> Finding:
    return Finding(
        kind=FindingKind.FORMAT,
        severity=severity,
        code=code,
        place=place,
        message=message,
        fix=fix,
    )
