"""Schemas compiled at run time, and what is refused of them."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pool

from executors.serving.runner.errors import CallError
from executors.serving.runner.schema import compile_schema

EVERYTHING = b"""
/* all that
   is read */
syntax = "proto3";   // proto3
package whole.of.it;
option java_package = "org.example";
enum Animal { option allow_alias = true; CAT = 0; KITTEN = 0 [deprecated = true]; DOG = -1; }
message Outer {
  option (my.option).deep = 3;
  reserved 7, 9 to 11, "old";
  message Inner { repeated sint32 numbers = 1 [packed = false]; Outer again = 2; }
  enum Kind { NONE = 0; }
  Inner one = 1;
  repeated .whole.of.it.Outer.Inner more = 2;
  map<string, Inner> by_name = 3;
  oneof either { string text = 4; bytes data = 5; }
  optional Kind kind = 6;
  Animal animal = 0x10;
};
service First { rpc one (Outer) returns (Outer.Inner) {} }
service Second { option deprecated = true; rpc two (.whole.of.it.Outer) returns (Outer); }
"""


def wrapped(members: str, syntax: str = "proto3") -> bytes:
    service = "service S { rpc f (M) returns (M); }"
    return f'syntax = "{syntax}"; message M {{ {members} }} {service}'.encode()


def test_all_of_the_subset_is_read() -> None:
    schema = compile_schema(EVERYTHING)
    message = schema.method("one").input_class()
    message.more.add().numbers.extend([1, -2])
    message.by_name["x"].numbers.append(3)
    message.animal = -1
    message.text = "either"
    assert not message.HasField("kind")
    again = schema.method("two").input_class()
    again.ParseFromString(message.SerializeToString())
    assert list(again.more[0].numbers) == [1, -2]
    assert again.by_name["x"].numbers[0] == 3
    assert schema.method("one").output.full_name == "whole.of.it.Outer.Inner"


def test_schemas_of_the_same_names_stand_beside_each_other() -> None:
    first = compile_schema(wrapped("int32 a = 1;")).method("f").input
    second = compile_schema(wrapped("string b = 1;")).method("f").input
    assert [f.name for f in first.fields] == ["a"]
    assert [f.name for f in second.fields] == ["b"]
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("M")


def test_proto2_has_required_fields_and_defaults() -> None:
    schema = compile_schema(wrapped("required int32 a = 1 [default = 7];", "proto2"))
    message = schema.method("f").input_class()
    assert message.a == 7
    assert not message.IsInitialized()


def test_the_wire_is_that_of_protobuf() -> None:
    message = compile_schema(wrapped("int32 a = 1; string b = 2;")).method("f").input_class()
    message.a, message.b = 150, "testing"
    # The example of the encoding guide at protobuf.dev.
    assert message.SerializeToString() == b"\x08\x96\x01\x12\x07testing"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff\xfe", "no text in UTF-8"),
        (b"what is this;", "line 1, column 1: 'what' is none of"),
        (b"{}", "expected `message`"),
        (b'syntax = "proto4";', "'proto4' is not read"),
        (b'import "other.proto";', "`import` is not read"),
        (b'syntax = "proto3"; message M { int32 a = 1; }', "no service"),
        (wrapped("Nobody a = 1;"), "`Nobody` is no message"),
        (wrapped("int32 a = 0;"), "0 is no number of a field"),
        (wrapped("int32 a = 19001;"), "19001 is no number"),
        (wrapped("int32 a = 1.5;"), "no whole number"),
        (wrapped("int32 a = 1; int32 a = 2;"), "name or number of another"),
        (wrapped("int32 a = 1; int32 b = 1;"), "name or number of another"),
        (wrapped("required int32 a = 1;"), "proto3 has no `required`"),
        (wrapped("int32 a = 1;", "proto2"), "needs a label"),
        (wrapped("map<double, int32> a = 1;"), "no keys of type `double`"),
        (wrapped("repeated group G = 1 { }"), "`group` is not read"),
        (wrapped("extensions 4 to 9;"), "`extensions` is not read"),
        (wrapped("enum E { }"), "has no value"),
        (wrapped("reserved 1, 2"), "`reserved` has no end"),
        (wrapped("message A { } message A { }"), "`M.A` is defined twice"),
        (wrapped("message A { " * 30 + "}" * 30), "over 24 deep"),
        (wrapped("int32 a = 1"), "expected ';'"),
        (wrapped("int32 a = 1; @"), "'@' cannot stand here"),
        (wrapped("enum E { A = 1; }"), "cannot be used"),
        (b'syntax = "proto3"; enum E { A = 0; } service S { rpc f (E) returns (E); }', "an enum"),
        (b"message M {} service S { rpc f (stream M) returns (M); }", "`stream` is not read"),
        (b"message M {} package late;", "`package` stands before"),
        (wrapped("int32 a = 1;") + b" message M {}", "defined twice"),
        (b"//" + b"x" * (1 << 20), "at most 1048576 are read"),
        (b";" * 200_002, "more than 200000"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(text: bytes, said: str) -> None:
    with pytest.raises(CallError) as caught:
        compile_schema(text)
    assert said in caught.value.message
    assert caught.value.status == 422


def test_a_method_is_named_unless_there_is_one() -> None:
    assert compile_schema(wrapped("int32 a = 1;")).method("").name == "f"
    with pytest.raises(CallError, match="it has: one, two"):
        compile_schema(EVERYTHING).method("")
    with pytest.raises(CallError, match="no method 'three'"):
        compile_schema(EVERYTHING).method("three")
