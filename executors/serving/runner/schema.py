"""A schema compiled at run time: message classes and methods in a pool of its own.

The default pool of the protobuf library is for one definition of a name in a process; a user's
`tritonclient` or `kserve` may have filled it. Every schema here has a private pool, so a new one
never clashes with the old one, which still answers open calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from executors.serving.runner.errors import CallError
from executors.serving.runner.proto_parser import Parser
from executors.serving.runner.proto_tokens import Token

_FIELD = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True, slots=True)
class Method:
    """One call of a service: the classes of its two messages."""

    name: str
    input_class: type[Message]
    output_class: type[Message]

    @property
    def input(self) -> Descriptor:
        """What the input message holds."""
        return cast("Descriptor", self.input_class.DESCRIPTOR)

    @property
    def output(self) -> Descriptor:
        """What the output message holds."""
        return cast("Descriptor", self.output_class.DESCRIPTOR)


@dataclass(frozen=True, slots=True)
class Schema:
    """A compiled schema. `digest` is of its text; `methods` are those of all its services."""

    digest: str
    text: str
    methods: Mapping[str, Method]

    def method(self, name: str) -> Method:
        """Return a method; "" stands for the only one there is.

        Raises:
            CallError: when there is none of this name, or more than one without a name.
        """
        if not name and len(self.methods) == 1:
            return next(iter(self.methods.values()))
        if name in self.methods:
            return self.methods[name]
        listed = ", ".join(self.methods)
        said = f"the schema has no method {name!r}" if name else "no `operation` was named"
        raise CallError(f"{said}; it has: {listed}", status=404, fix="name one of these")


def compile_schema(data: bytes) -> Schema:
    """Compile a `.proto` text.

    Raises:
        CallError: when it is no text, or no schema; with line and column.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CallError(f"the proto is no text in UTF-8: {error}", status=422) from error
    parser = Parser(text)
    file = parser.parse()
    _resolve(parser)
    methods = [method for service in file.service for method in service.method]
    if not methods:
        fix = "add `service Model { rpc predict (Input) returns (Output); }`"
        raise CallError("the proto has no service with a method", status=422, fix=fix)
    pool = descriptor_pool.DescriptorPool()
    try:
        pool.Add(file)
        found = {
            method.name: Method(
                method.name, _class(pool, method.input_type), _class(pool, method.output_type)
            )
            for method in methods
        }
    except (TypeError, KeyError, ValueError) as error:
        raise CallError(f"the proto cannot be used: {error}", status=422) from error
    if len(found) < len(methods):
        raise CallError("two methods of the proto have the same name", status=422)
    return Schema(hashlib.sha256(data).hexdigest(), text, found)


def _class(pool: descriptor_pool.DescriptorPool, name: str) -> type[Message]:
    found: type[Message] = message_factory.GetMessageClass(
        pool.FindMessageTypeByName(name.lstrip("."))
    )
    return found


def _resolve(parser: Parser) -> None:
    """Give every named type its full name, innermost scope first."""
    for field, token, scope in parser.named:
        full = _found(parser, token, scope)
        field.type_name = f".{full}"
        field.type = _FIELD.TYPE_MESSAGE if parser.types[full] else _FIELD.TYPE_ENUM
    for method, which, token in parser.methods:
        full = _found(parser, token, parser.file.package)
        if not parser.types[full]:
            raise parser.tokens.fault(f"`{full}` is an enum, no message", token.offset)
        setattr(method, which, f".{full}")


def _found(parser: Parser, token: Token, scope: str) -> str:
    name = token.text
    if name.startswith("."):
        scope, name = "", name[1:]
    while True:
        full = f"{scope}.{name}" if scope else name
        if full in parser.types:
            return full
        if not scope:
            break
        scope = scope.rpartition(".")[0]
    message = f"`{token.text}` is no message, enum or type of a field"
    known = ", ".join(sorted(parser.types)[:10]) or "none"
    raise parser.tokens.fault(message, token.offset, fix=f"define it; defined are: {known}")
