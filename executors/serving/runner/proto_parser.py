"""A `.proto` text as a file descriptor, without protoc.

Reads proto2 and proto3 (language specification at protobuf.dev) as far as messages of models need
them: messages, nested ones, enums, `repeated`, `optional`, `required`, `map`, `oneof`, and services
with unary calls. Options change nothing of what is on the wire but for `packed` and
`default`. Imports, groups, extensions and streams are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
)

from executors.serving.runner.proto_tokens import Token, Tokens

_DEPTH_MAX = 24
_FIELD_NUMBER_MAX = (1 << 29) - 1
_RESERVED_NUMBERS = range(19_000, 20_000)
_FIELD = FieldDescriptorProto
SCALARS: dict[str, int] = {
    name: _FIELD.Type.Value(f"TYPE_{name.upper()}")
    for name in (
        "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64",
        "fixed32", "fixed64", "sfixed32", "sfixed64", "bool", "string", "bytes",
    )
}  # fmt: skip
_KEYS = frozenset(SCALARS) - {"double", "float", "bytes"}
_NOT_READ = {
    "import": "write everything into one file",
    "group": "write a nested message",
    "extend": "add the field to the message",
    "extensions": "add the fields to the message",
    "stream": "take and return one message a call",
}
Named = tuple[FieldDescriptorProto, Token, str]
"""A descriptor field that names a type, where, and the scope it stands in."""


class Parser:
    """Reads one file. `named` are the names of types still to be resolved."""

    def __init__(self, text: str) -> None:
        self.tokens = Tokens(text)
        self.file = FileDescriptorProto(name="model.proto", syntax="proto2")
        self.named: list[Named] = []
        self.methods: list[tuple[MethodDescriptorProto, str, Token]] = []
        self.types: dict[str, bool] = {}
        """Full names of messages (True) and enums (False)."""

    def parse(self) -> FileDescriptorProto:
        """Return the descriptor, names of types not resolved yet.

        Raises:
            ProtoError: where the text is no schema, or has what is not read.
        """
        statements: dict[str, Callable[[], None]] = {
            "syntax": self._syntax,
            "package": self._package,
            "message": lambda: self._message(self.file.message_type.add(), self.file.package, 1),
            "enum": lambda: self._enum(self.file.enum_type.add(), self.file.package),
            "service": self._service,
            "option": lambda: self._option(None),
        }
        while self.tokens.here.kind != "end":
            if self.tokens.takes(";"):
                continue
            token = self.tokens.kind("word", "`message`, `enum` or `service`")
            self._refuse(token)
            if token.text not in statements:
                known = ", ".join(statements)
                raise self.tokens.fault(f"{token.text!r} is none of {known}", token.offset)
            statements[token.text]()
        return self.file

    def _refuse(self, token: Token) -> None:
        if token.text in _NOT_READ:
            message = f"`{token.text}` is not read"
            raise self.tokens.fault(message, token.offset, fix=_NOT_READ[token.text])

    def _syntax(self) -> None:
        self.tokens.expect("=")
        token = self.tokens.kind("string", '"proto2" or "proto3"')
        if token.text not in {"proto2", "proto3"}:
            message = f"syntax {token.text!r} is not read, expected proto2 or proto3"
            raise self.tokens.fault(message, token.offset)
        self.file.syntax = token.text
        self.tokens.expect(";")

    def _package(self) -> None:
        if self.types:
            token = self.tokens.here
            raise self.tokens.fault("`package` stands before the first message", token.offset)
        self.file.package = self.tokens.name().text
        self.tokens.expect(";")

    def _define(self, scope: str, *, is_message: bool) -> tuple[str, str]:
        """Take the name of a new type; return it, alone and in full."""
        token = self.tokens.kind("word", "a name")
        full = f"{scope}.{token.text}" if scope else token.text
        if full in self.types:
            raise self.tokens.fault(f"`{full}` is defined twice", token.offset)
        self.types[full] = is_message
        return token.text, full

    # ---------------------------------------------------------------- messages

    def _message(self, message: DescriptorProto, scope: str, depth: int) -> None:
        if depth > _DEPTH_MAX:
            offset = self.tokens.here.offset
            raise self.tokens.fault(f"messages stand over {_DEPTH_MAX} deep", offset)
        message.name, full = self._define(scope, is_message=True)
        self.tokens.expect("{")
        while not self.tokens.takes("}"):
            self._member(message, full, depth)
        names: set[str] = set()
        numbers: set[int] = set()
        for field in message.field:
            if field.name in names or field.number in numbers:
                text = f"`{full}.{field.name}` = {field.number} has the name or number of another"
                raise self.tokens.fault(text, self.tokens.here.offset)
            names.add(field.name)
            numbers.add(field.number)

    def _member(self, message: DescriptorProto, full: str, depth: int) -> None:
        token = self.tokens.here
        if self.tokens.takes(";"):
            return
        self._refuse(token)
        if self._opens("message"):
            self._message(message.nested_type.add(), full, depth + 1)
        elif self._opens("enum"):
            self._enum(message.enum_type.add(), full)
        elif self._opens("oneof"):
            self._oneof(message, full)
        elif token.text == "option" and self._is_statement():
            self.tokens.take()
            self._option(None)
        elif token.text == "reserved" and self._is_statement():
            while not self.tokens.takes(";"):
                if self.tokens.here.text in {"}", ""} or self.tokens.take().kind == "end":
                    raise self.tokens.fault("`reserved` has no end", token.offset, fix="add `;`")
        elif token.text == "map" and self._is_statement():
            self._map(message, full)
        else:
            self._field(message, full)

    def _opens(self, word: str) -> bool:
        """Take a word that opens a block, unless it is the name of a type here."""
        return self.tokens.here.text == word and self._is_statement() and self.tokens.takes(word)

    def _is_statement(self) -> bool:
        """Whether a keyword is one: a message may also be called `option`, say."""
        text = self.tokens.here.text
        return not any(name.rpartition(".")[2] == text for name in self.types)

    def _oneof(self, message: DescriptorProto, full: str) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self.tokens.kind("word", "a name").text)
        self.tokens.expect("{")
        while not self.tokens.takes("}"):
            if self.tokens.takes("option"):
                self._option(None)
            elif not self.tokens.takes(";"):
                self._plain_field(message, full, _FIELD.LABEL_OPTIONAL).oneof_index = index

    def _field(self, message: DescriptorProto, full: str) -> None:
        label, optional = _FIELD.LABEL_OPTIONAL, False
        token = self.tokens.here
        if self.tokens.takes("repeated"):
            label = _FIELD.LABEL_REPEATED
        elif self.tokens.takes("optional"):
            optional = True
        elif self.tokens.takes("required"):
            label = _FIELD.LABEL_REQUIRED
            if self.file.syntax == "proto3":
                raise self.tokens.fault("proto3 has no `required`", token.offset, fix="remove it")
        elif self.file.syntax == "proto2":
            fix = 'write `optional`, or `syntax = "proto3";` first'
            raise self.tokens.fault("a field of proto2 needs a label", token.offset, fix=fix)
        field = self._plain_field(message, full, label)
        if optional and self.file.syntax == "proto3":
            # As protoc does: presence of one field is a oneof of its own.
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")

    def _plain_field(self, message: DescriptorProto, full: str, label: int) -> FieldDescriptorProto:
        field = message.field.add(label=label)
        self._type(field, full)
        field.name = self.tokens.kind("word", "the name of the field").text
        self.tokens.expect("=")
        field.number = self._field_number()
        self._field_options(field)
        self.tokens.expect(";")
        return field

    def _type(self, field: FieldDescriptorProto, full: str) -> None:
        self._refuse(self.tokens.here)
        token = self.tokens.name()
        if token.text in SCALARS:
            setattr(field, "type", SCALARS[token.text])  # noqa: B010 - a number, as on the wire
        else:
            self.named.append((field, token, full))

    def _field_number(self) -> int:
        token = self.tokens.kind("number", "the number of the field")
        number = self._whole(token)
        if not 1 <= number <= _FIELD_NUMBER_MAX or number in _RESERVED_NUMBERS:
            message = f"{number} is no number of a field: 1 to {_FIELD_NUMBER_MAX}, not 19000s"
            raise self.tokens.fault(message, token.offset)
        return number

    def _whole(self, token: Token) -> int:
        try:
            return int(token.text, 0)
        except ValueError:
            raise self.tokens.fault(f"{token.text!r} is no whole number", token.offset) from None

    def _map(self, message: DescriptorProto, full: str) -> None:
        self.tokens.expect("map")
        self.tokens.expect("<")
        key = self.tokens.kind("word", "the type of the keys")
        if key.text not in _KEYS:
            message_ = f"a map has no keys of type `{key.text}`"
            raise self.tokens.fault(message_, key.offset, fix="use string or whole numbers")
        self.tokens.expect(",")
        field = message.field.add(label=_FIELD.LABEL_REPEATED)
        entry = message.nested_type.add()
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_FIELD.LABEL_OPTIONAL, type=SCALARS[key.text])
        value = entry.field.add(name="value", number=2, label=_FIELD.LABEL_OPTIONAL)
        self._type(value, full)
        self.tokens.expect(">")
        field.name = self.tokens.kind("word", "the name of the field").text
        entry.name = "".join(part.capitalize() for part in field.name.split("_")) + "Entry"
        self.types[f"{full}.{entry.name}"] = True
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{full}.{entry.name}"
        self.tokens.expect("=")
        field.number = self._field_number()
        self._field_options(field)
        self.tokens.expect(";")

    def _field_options(self, field: FieldDescriptorProto) -> None:
        if not self.tokens.takes("["):
            return
        while True:
            name, value = self._assignment()
            if name == "packed" and value in {"true", "false"}:
                field.options.packed = value == "true"
            elif name == "default":
                field.default_value = value
            if self.tokens.takes("]"):
                return
            self.tokens.expect(",")

    # ------------------------------------------------- enums, options, services

    def _enum(self, enum: EnumDescriptorProto, scope: str) -> None:
        enum.name, full = self._define(scope, is_message=False)
        self.tokens.expect("{")
        while not self.tokens.takes("}"):
            if self.tokens.takes(";"):
                continue
            if self.tokens.takes("option"):
                self._option(enum)
                continue
            name = self.tokens.kind("word", "the name of a value")
            self.tokens.expect("=")
            minus = self.tokens.takes("-")
            number = self._whole(self.tokens.kind("number", "the number of the value"))
            enum.value.add(name=name.text, number=-number if minus else number)
            self._field_options(FieldDescriptorProto())
            self.tokens.expect(";")
        if not enum.value:
            raise self.tokens.fault(f"enum `{full}` has no value", self.tokens.here.offset)

    def _option(self, enum: EnumDescriptorProto | None) -> None:
        name, value = self._assignment()
        if enum is not None and name == "allow_alias":
            enum.options.allow_alias = value == "true"
        self.tokens.expect(";")

    def _assignment(self) -> tuple[str, str]:
        """Read `name = value`; a name in parentheses is somebody's own option."""
        if self.tokens.takes("("):
            name = f"({self.tokens.name().text})"
            self.tokens.expect(")")
            while self.tokens.takes("."):
                name += "." + self.tokens.kind("word", "a name").text
        else:
            name = self.tokens.name().text
        self.tokens.expect("=")
        sign = "-" if self.tokens.takes("-") else ""
        token = self.tokens.take()
        if token.kind not in {"word", "number", "string"}:
            raise self.tokens.fault(f"{token.text!r} is no value of an option", token.offset)
        return name, sign + token.text

    def _service(self) -> None:
        service = self.file.service.add()
        service.name, full = self._define(self.file.package, is_message=False)
        # A service is no type of a field.
        del self.types[full]
        self.tokens.expect("{")
        while not self.tokens.takes("}"):
            if self.tokens.takes(";"):
                continue
            if self.tokens.takes("option"):
                self._option(None)
                continue
            self.tokens.expect("rpc")
            method = service.method.add(name=self.tokens.kind("word", "the name of a call").text)
            self._message_of(method, "input_type")
            self.tokens.expect("returns")
            self._message_of(method, "output_type")
            if self.tokens.takes("{"):
                while not self.tokens.takes("}"):
                    if not self.tokens.takes(";"):
                        self.tokens.expect("option")
                        self._option(None)
            else:
                self.tokens.takes(";")

    def _message_of(self, method: MethodDescriptorProto, which: str) -> None:
        self.tokens.expect("(")
        self._refuse(self.tokens.here)
        self.methods.append((method, which, self.tokens.name()))
        self.tokens.expect(")")
