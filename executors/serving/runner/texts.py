"""JSON and Java properties, the other two texts that the runner is given."""

from __future__ import annotations

from collections.abc import Mapping

import pydantic_core
from google.protobuf import json_format
from google.protobuf.message import Message

from executors.serving.runner.errors import CallError

_DEPTH_MAX = 32
_PROPERTIES_MAX = 1_000


def message_of(data: bytes, kind: type[Message]) -> Message:
    """Return a message of class `kind` from JSON (protobuf's own mapping of it).

    Raises:
        CallError: when it is no JSON, nested deeper than 32, or does not fit the message.
    """
    try:
        value: object = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise CallError(f"the JSON cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise CallError(f"the JSON is {type(value).__name__}, expected an object")
    message = kind()
    try:
        json_format.ParseDict(value, message, max_recursion_depth=_DEPTH_MAX)
    except (json_format.ParseError, TypeError, ValueError, RecursionError) as error:
        fields = ", ".join(field.name for field in kind.DESCRIPTOR.fields)
        text = f"the JSON does not fit `{kind.DESCRIPTOR.full_name}`: {str(error)[:400]}"
        raise CallError(text, fix=f"its fields are: {fields}") from error
    return message


def properties(data: bytes) -> Mapping[str, str]:
    """Return the entries of a properties file: `name = value` or `name: value`, `#` comments.

    Raises:
        CallError: when a line is neither, or a name stands twice.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CallError(f"the configuration is no text in UTF-8: {error}", status=422) from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#!":
            continue
        cuts = [at for at in (stripped.find("="), stripped.find(":")) if at > 0]
        if not cuts or len(found) >= _PROPERTIES_MAX:
            message = f"configuration, line {number}: {stripped[:60]!r} is no `name=value`"
            raise CallError(message, status=422)
        name = stripped[: min(cuts)].strip()
        if name in found:
            raise CallError(f"configuration, line {number}: {name!r} stands twice", status=422)
        found[name] = stripped[min(cuts) + 1 :].strip()
    return found
