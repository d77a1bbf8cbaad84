"""Models behind schemas: shapes of rows, swaps, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from executors.serving.models import ServedModel
from executors.serving.runner import OwnSlot, Runner, compile_schema
from executors.serving.runner.errors import CallError
from executors.serving.runner.runner import Parts
from executors.serving.runtime.runners import TensorSpec
from executors.serving.values import Answers
from tests.unit.executors.runner.conftest import model_of, said

LABEL = "message Answer { repeated string label = 1; }"


def schema_of(rows: str, answer: str = LABEL) -> bytes:
    service = "service S { rpc f (Rows) returns (Answer); }"
    return f'syntax = "proto3"; {rows} {answer} {service}'.encode()


def runner_of(proto: bytes, model: ServedModel | None = None, **entries: str) -> Runner:
    slot = OwnSlot(model or model_of("m", "ab"))
    return Runner(slot, schema=compile_schema(proto), configuration=entries)


def labels(runner: Runner, json: bytes) -> list[int]:
    data, found = runner.transform(json, runner.method(""), is_json=True)
    answer = runner.method("").output_class()
    answer.ParseFromString(data)
    return said(found)


@pytest.mark.parametrize(
    ("rows", "json", "expected"),
    [
        (
            "message R { double a = 1; double b = 2; } message Rows { repeated R r = 1; }",
            b'{"r": [{"a": 2, "b": 1}, {"a": 1, "b": 2}]}',
            [1, 0],
        ),
        ("message Rows { int32 b = 1; float a = 2; }", b'{"a": 2, "b": 1}', [1]),
        ("message Rows { repeated double a=1; repeated double b=2; }", b'{"a":[2],"b":[1]}', [1]),
        ("message Rows { repeated double values = 1; }", b'{"values": [2, 1, 1, 2]}', [1, 0]),
    ],
)
def test_rows_have_four_shapes(rows: str, json: bytes, expected: list[int]) -> None:
    assert labels(runner_of(schema_of(rows)), json) == expected


def valued(columns: int) -> ServedModel:
    """Answers the sum of a row, some times over."""

    def run(rows: np.ndarray) -> list[np.ndarray]:
        return [np.repeat(rows.sum(axis=1)[:, None], columns, axis=1)]

    spec = TensorSpec(name="output", datatype="FP64", shape=(-1, columns))
    return replace(model_of("m", "ab"), answers=Answers(outputs=(spec,), run=run))


def test_a_model_of_values_answers_where_a_label_would_go() -> None:
    rows = "message Rows { repeated double a=1; repeated double b=2; }"
    proto = schema_of(rows, "message Answer { repeated double value = 1; }")
    runner = runner_of(proto, valued(1))
    json = b'{"a": [2, 0.5], "b": [1, 0.25]}'
    data, found = runner.transform(json, runner.method(""), is_json=True)
    answer: Any = runner.method("").output_class()
    answer.ParseFromString(data)
    assert list(answer.value) == [3.0, 0.75]
    assert said(found) == []  # there are no labels to be counted
    whole = runner_of(schema_of(rows, "message Answer { repeated int64 value = 1; }"), valued(1))
    with pytest.raises(CallError, match="does not fit"):
        whole.transform(json, whole.method(""), is_json=True)
    with pytest.raises(CallError, match="2\\] values a row"):
        runner_of(proto, valued(2))


def test_fields_may_be_named_by_the_configuration() -> None:
    rows = schema_of("message Rows { double x = 1; double y = 2; }")
    entries = {"input.x": "a", "input.y": "b"}
    assert labels(runner_of(rows, **entries), b'{"x": 2, "y": 1}') == [1]


def test_a_value_that_is_unset_is_not_a_number(pairs: bytes) -> None:
    runner = runner_of(pairs)
    _, found = runner.transform(b"a,b\n1,\n", runner.method(""), is_json=False)
    assert found.rows[0, 1] != found.rows[0, 1]


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("message Answer { repeated int64 label = 1; repeated float probability = 2; }",
         lambda a: (list(a.label), list(a.probability)) == ([1], [0.0, 1.0])),
        ("message Answer { bytes anything = 1; }", lambda a: a.anything == b"1"),
        ("message Answer { bool result = 1; }", lambda a: a.result is True),
        ("message Answer { double value = 1; }", lambda a: a.value == 1.0),
        ("message P { int32 label=1; repeated float scores=2; } message Answer { repeated P r=1; }",
         lambda a: (a.r[0].label, list(a.r[0].scores)) == (1, [0.0, 1.0])),
    ],
)  # fmt: skip
def test_answers_have_the_shape_of_their_message(answer: str, read: Callable[[Any], bool]) -> None:
    runner = runner_of(schema_of("message Rows { double a = 1; double b = 2; }", answer))
    data, _ = runner.transform(b'{"a": 2, "b": 1}', runner.method("f"), is_json=True)
    found = runner.method("").output_class()
    found.ParseFromString(data)
    assert read(found)


@pytest.mark.parametrize(
    ("rows", "answer", "entries", "message"),
    [
        ("message Rows { double a = 1; }", LABEL, {}, "no number for each of: a, b"),
        ("message Rows { string a = 1; double b = 2; }", LABEL, {}, "no number for each"),
        ("message Rows { double a = 1; double b = 2; }", "message Answer {}", {}, "no place"),
        ("message Rows { double a=1; double b=2; }", LABEL, {"modelMethod": "g"}, "is 'g'"),
        ("message Rows { double a=1; double b=2; }", LABEL, {"output.label": "g"}, "no place"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused(
    rows: str, answer: str, entries: dict[str, str], message: str
) -> None:
    with pytest.raises(CallError) as caught:
        runner_of(schema_of(rows, answer), **entries)
    assert message in caught.value.message
    assert caught.value.status == 409


@pytest.mark.parametrize(
    ("rows", "json", "message"),
    [
        ("message Rows { repeated double v = 1; }", b'{"v": [1, 2, 3]}', "multiple of 2"),
        ("message Rows { repeated double v = 1; }", b"{}", "has 0 rows"),
        ("message Rows { repeated int32 a=1; repeated int32 b=2; }", b'{"a":[1]}', "lengths"),
    ],
)
def test_a_message_without_whole_rows_is_refused(rows: str, json: bytes, message: str) -> None:
    with pytest.raises(CallError, match=message):
        labels(runner_of(schema_of(rows)), json)


def test_an_answer_too_many_for_its_message_is_refused() -> None:
    runner = runner_of(
        schema_of("message Rows { repeated double v = 1; }", "message Answer { int32 label = 1; }")
    )
    with pytest.raises(CallError, match="holds one value, the answer has 2"):
        labels(runner, b'{"v": [1, 2, 3, 4]}')


def test_a_serialised_message_is_answered_and_another_refused(pairs: bytes) -> None:
    runner = runner_of(pairs)
    data = runner.encode(b"a,b\n2,1\n", runner.method("predict"), is_json=False)
    assert said(runner.call(data, "predict")[1]) == [1]
    with pytest.raises(CallError, match=r"is no `pairs\.Rows`"):
        runner.call(b"\xff\xff\xff", "predict")


def test_a_model_is_swapped_for_one_that_fits(pairs: bytes) -> None:
    runner = runner_of(pairs)
    runner.put(Parts(model=model_of("n", "ab", above=False)))
    assert labels(runner, b'{"rows": [{"a": 2, "b": 1}]}') == [0]


def test_a_bad_schema_leaves_the_old_one_serving(pairs: bytes) -> None:
    runner = runner_of(pairs)
    with pytest.raises(CallError):
        runner.put(Parts(schema=runner.compile(b"message {")))
    assert labels(runner, b'{"rows": [{"a": 2, "b": 1}]}') == [1]


def test_another_model_waits_for_its_schema(pairs: bytes) -> None:
    runner = runner_of(pairs)
    other = schema_of("message Rows { double x = 1; double y = 2; double z = 3; }")
    with pytest.raises(CallError) as caught:
        runner.put(Parts(model=model_of("n", "xyz")))
    assert caught.value.status == 202
    assert labels(runner, b'{"rows": [{"a": 2, "b": 1}]}') == [1]
    assert "model n" in runner.put(Parts(schema=compile_schema(other)))
    assert labels(runner, b'{"x": 2, "z": 1}') == [1]


def test_a_model_swapped_from_elsewhere_is_followed(pairs: bytes) -> None:
    slot = OwnSlot(model_of("m", "ab"))
    runner = Runner(slot, schema=compile_schema(pairs))
    slot.model = model_of("n", "ab", above=False)
    assert labels(runner, b'{"rows": [{"a": 2, "b": 1}]}') == [0]
    slot.model = model_of("o", "xyz")
    with pytest.raises(CallError, match="no number for each of: x, y, z"):
        labels(runner, b'{"rows": [{"a": 2, "b": 1}]}')


def test_a_call_may_bring_its_own_model_and_schema(pairs: bytes) -> None:
    runner = Runner(OwnSlot())
    own = Parts(model=model_of("n", "ab"), schema=runner.compile(pairs))
    method = runner.method("", own.schema)
    for _ in range(2):
        _, found = runner.transform(b"a,b\n2,1\n", method, is_json=False, other=own)
        assert said(found) == [1]
    with pytest.raises(CallError, match="there is no schema yet"):
        runner.method("")


def test_calls_without_a_model_say_so(pairs: bytes) -> None:
    runner = Runner(OwnSlot(), schema=compile_schema(pairs))
    with pytest.raises(CallError, match="there is no model yet"):
        runner.call(b"", "predict")


def test_a_method_that_does_not_fit_says_so_when_called() -> None:
    proto = schema_of("message Rows { double a = 1; double b = 2; }").replace(
        b"service S {", b"message Odd { string t = 1; } service S { rpc g (Odd) returns (Answer);"
    )
    runner = runner_of(proto, modelMethod="f")
    assert labels(runner, b'{"a": 2, "b": 1}') == [1]
    with pytest.raises(CallError, match="`Odd` has no number"):
        runner.call(b"", "g")
    with pytest.raises(CallError, match="`Odd` has no number"):
        runner_of(proto, modelMethod="g")
