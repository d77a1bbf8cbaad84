"""CSV, JSON and properties as messages."""

from __future__ import annotations

import pytest

from executors.serving.runner import tables, texts
from executors.serving.runner.errors import CallError
from executors.serving.runner.schema import compile_schema

FRAME = (
    compile_schema(b"""
syntax = "proto3";
enum Colour { RED = 0; BLUE = 2; }
message Sub { repeated string tag = 1; }
message Row { string name = 1; int32 width = 2; Sub sub = 3; optional double depth = 4; }
message Frame {
  repeated Row rows = 1; repeated int64 code = 2; Colour colour = 3; bool ready = 4;
  Frame inner = 5; map<string, int32> counts = 6;
}
service S { rpc f (Frame) returns (Frame); }
""")
    .method("f")
    .input_class
)
HEADER = "name,width,tag,tag,depth,code,colour,ready\n"


def test_each_line_is_an_element_of_repeated_messages() -> None:
    lines = HEADER + "a,1,x,y,0.5,7,RED,true\nb,2,z,,,8,2,0\n"
    frame = tables.message_of(lines.encode(), FRAME)
    assert [(row.name, row.width, list(row.sub.tag)) for row in frame.rows] == [
        ("a", 1, ["x", "y"]),
        ("b", 2, ["z"]),
    ]
    assert [row.HasField("depth") for row in frame.rows] == [True, False]
    assert list(frame.code) == [7, 8]
    assert frame.colour == 2
    assert not frame.ready


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        ("", "needs a header"),
        (HEADER, "needs a header and at least one line"),
        ("name,width\na,1\n", "missing 'colour', 'ready'"),
        (HEADER.replace("depth", "deep") + "a,1,,,,1,RED,1\n", "unknown 'deep'"),
        (HEADER.replace("tag,tag", "name,tag") + "a,1,,,,1,RED,1\n", "twice 'name'"),
        (HEADER + "a,wide,,,,1,RED,1\n", "line 2: column 'width' is 'wide'"),
        (HEADER + "a,99999999999,,,,1,RED,1\n", "line 2"),
        (HEADER + "a,,,,,1,RED,1\n", "column 'width' is empty"),
        (HEADER + "a,1,,,,1,GREEN,1\n", "column 'colour' is 'GREEN'"),
        (HEADER + "a,1,,,,1,1,1\n", "expected one of RED, BLUE"),
        (HEADER + "a,1,,,,1,RED,perhaps\n", "expected true or false"),
        (HEADER + "a,1,,,,1,RED,1,more\n", "line 2 has 9 cells"),
        (HEADER + '"a,1', "cannot be read"),
        (HEADER + "a,1,,,,1,RED,1\n" * 10_001, "more than 10000 lines"),
    ],
)
def test_a_csv_that_does_not_fit_is_refused(csv: str, said: str) -> None:
    with pytest.raises(CallError) as caught:
        tables.message_of(csv.encode(), FRAME)
    assert said in caught.value.message


def test_a_csv_in_another_encoding_is_refused() -> None:
    with pytest.raises(CallError, match="no text in UTF-8"):
        tables.message_of("näme\n1\n".encode("latin-1"), FRAME)


def test_json_is_read_as_protobuf_maps_it() -> None:
    frame = texts.message_of(b'{"rows": [{"width": 3}], "code": ["9"], "colour": "BLUE"}', FRAME)
    assert (frame.rows[0].width, list(frame.code), frame.colour) == (3, [9], 2)


@pytest.mark.parametrize(
    ("json", "said"),
    [
        (b"{", "cannot be read"),
        (b"[1]", "is list, expected an object"),
        (b'{"width": 3}', "does not fit `Frame`"),
        (b'{"code": ["x"]}', "does not fit"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"inner":' * 60 + b"{}" + b"}" * 60, "does not fit"),
    ],
)
def test_json_that_does_not_fit_is_refused(json: bytes, said: str) -> None:
    with pytest.raises(CallError) as caught:
        texts.message_of(json, FRAME)
    assert said in caught.value.message


def test_properties_have_comments_and_two_signs() -> None:
    assert texts.properties(b"# c\n! c\n\n a = b=c\nd: e\n") == {"a": "b=c", "d": "e"}


@pytest.mark.parametrize("text", [b"nothing", b"= value", b"a=1\na=2", b"\xff"])
def test_what_is_no_configuration_is_refused(text: bytes) -> None:
    with pytest.raises(CallError, match="configuration"):
        texts.properties(text)
