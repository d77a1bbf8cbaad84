"""How messages of a method become rows of a model, and its answers a message again.

Worked out once for a model, a schema and a configuration, so that a pair that does not fit is
refused before it serves. The features of a model are found by name, capitals and underscores
aside, or by the configuration (`input.FIELD=FEATURE`), in one of three shapes:

    rows      a repeated message with a single field for each feature
    columns   a repeated field for each feature, one value a row
    row       a single field for each feature; the message is one row

A message whose only field is a repeated number holds the features of one row in their order. The
answer goes to `output.label` and `output.probability`, or to fields of usual names; that of a model
of values (its first output, one a row) where a label would go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from executors.serving.models import Prediction, Rows, ServedModel
from executors.serving.runner.errors import CallError
from executors.serving.runner.schema import Method
from executors.serving.runner.tables import is_repeated
from executors.serving.values import Answers

LABELS = ("label", "prediction", "class", "result", "value", "output")
PROBABILITIES = ("probability", "probabilities", "score", "scores", "proba")
ROWS_MAX = 10_000
_NUMBERS = frozenset({
    FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64, FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT,
    FieldDescriptor.CPPTYPE_BOOL, FieldDescriptor.CPPTYPE_ENUM,
})  # fmt: skip
Extract = Callable[[Message], Rows]
Answer = Callable[[Message, Prediction], None]


@dataclass(frozen=True, slots=True)
class Binding:
    """One method over one model."""

    method: Method
    rows: Extract
    answer: Answer


def bind(method: Method, model: ServedModel, configuration: Mapping[str, str]) -> Binding:
    """Return how a method calls a model.

    Raises:
        CallError: when the messages have no place for the features or the answer.
    """
    features = [feature.name for feature in model.features]
    shape = model.answers.outputs[0].shape if model.answers is not None else ()
    if shape[1:] not in {(), (1,)}:
        text = f"{model.name!r} answers {list(shape[1:])} values a row, a message takes one"
        raise CallError(text, status=409, fix="serve it by the Open Inference Protocol")
    rows = _extract(method.input, features, configuration)
    answer = _answer(method.output, model, configuration)
    return Binding(method, rows, answer)


def infer(binding: Binding, model: ServedModel, message: Message) -> tuple[bytes, Prediction]:
    """Return the answer of a model to a message, serialised, and as it was.

    Raises:
        CallError: when the message holds no rows, or the answer does not fit its message.
    """
    rows = binding.rows(message)
    if not 1 <= len(rows) <= ROWS_MAX:
        raise CallError(f"the message has {len(rows)} rows, expected 1 to {ROWS_MAX}")
    told = found = model.infer(rows) if model.answers is None else _valued(model, rows)
    if model.answers is not None:
        told = replace(found, labels=np.zeros(0, np.int64))  # there are none to be counted
    answer = binding.method.output_class()
    try:
        binding.answer(answer, found)
    except (ValueError, TypeError) as error:
        name = binding.method.output.full_name
        text = f"the answer does not fit `{name}`: {error}"
        raise CallError(text, status=409, fix="declare its fields so that they hold it") from error
    return answer.SerializeToString(), told


def _valued(model: ServedModel, rows: Rows) -> Prediction:
    """Return the values of a model that answers values, in the place of labels."""
    answers = cast("Answers", model.answers)
    converted = rows * model.factors
    found = answers.run(converted)[0].reshape(len(rows))
    return Prediction(labels=found, probabilities=None, rows=converted)


# --------------------------------------------------------------------- the input


def _extract(
    descriptor: Descriptor, features: Sequence[str], configuration: Mapping[str, str]
) -> Extract:
    names = _configured(configuration)
    repeated = [f for f in descriptor.fields if f.message_type is not None and is_repeated(f)]
    for field in repeated:
        inner = cast("Descriptor", field.message_type)
        found = _fields(inner, features, names, repeated=False)
        if found is not None:
            return _from_messages(field.name, found)
    single = _fields(descriptor, features, names, repeated=False)
    if single is not None:
        return lambda message: np.array([_row(message, single)], dtype=np.float64)
    columns = _fields(descriptor, features, names, repeated=True)
    if columns is not None and len(columns) > 1:
        return _from_columns(columns)
    numbers = [f for f in descriptor.fields if is_repeated(f) and f.cpp_type in _NUMBERS]
    if len(numbers) == len(descriptor.fields) == 1:
        return _from_vector(numbers[0].name, len(features))
    if columns is not None:
        return _from_columns(columns)
    message = f"`{descriptor.full_name}` has no number for each of: {', '.join(features[:30])}"
    fix = "name fields as the features, or configure `input.FIELD=FEATURE`"
    raise CallError(message, status=409, fix=fix)


def _configured(configuration: Mapping[str, str]) -> dict[str, str]:
    """Return the feature of each field that the configuration names."""
    start = "input."
    return {
        key.removeprefix(start): value
        for key, value in configuration.items()
        if key.startswith(start)
    }


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(" ", "").casefold()


def _fields(
    descriptor: Descriptor, features: Sequence[str], names: Mapping[str, str], *, repeated: bool
) -> list[FieldDescriptor] | None:
    """Return the field of each feature, in their order; None when one has none."""
    by_feature = {
        _plain(names.get(field.name, field.name)): field
        for field in descriptor.fields
        if field.cpp_type in _NUMBERS and is_repeated(field) is repeated
    }
    found = [by_feature.get(_plain(feature)) for feature in features]
    complete = [field for field in found if field is not None]
    return complete if len(complete) == len(found) and found else None


def _row(message: Message, fields: Sequence[FieldDescriptor]) -> list[float]:
    """Return the values of single fields; one that can be unset and is, is not a number."""
    return [
        float("nan")
        if field.has_presence and not message.HasField(field.name)
        else getattr(message, field.name)
        for field in fields
    ]


def _from_messages(name: str, fields: Sequence[FieldDescriptor]) -> Extract:
    width = len(fields)
    if any(field.has_presence for field in fields):

        def careful(message: Message) -> Rows:
            rows = [_row(inner, fields) for inner in getattr(message, name)]
            return np.array(rows, dtype=np.float64).reshape(-1, width)

        return careful
    names = [field.name for field in fields]

    def quick(message: Message) -> Rows:
        rows = [[getattr(inner, each) for each in names] for inner in getattr(message, name)]
        return np.array(rows, dtype=np.float64).reshape(-1, width)

    return quick


def _from_columns(fields: Sequence[FieldDescriptor]) -> Extract:
    names = [field.name for field in fields]

    def extract(message: Message) -> Rows:
        columns = [list(getattr(message, name)) for name in names]
        lengths = {name: len(column) for name, column in zip(names, columns, strict=True)}
        if len(set(lengths.values())) > 1:
            raise CallError(f"the columns have different lengths: {lengths}")
        return np.array(columns, dtype=np.float64).T

    return extract


def _from_vector(name: str, width: int) -> Extract:
    def extract(message: Message) -> Rows:
        values = list(getattr(message, name))
        if len(values) % width:
            raise CallError(f"`{name}` has {len(values)} values, expected a multiple of {width}")
        return np.array(values, dtype=np.float64).reshape(-1, width)

    return extract


# -------------------------------------------------------------------- the answer


def _answer(descriptor: Descriptor, model: ServedModel, configuration: Mapping[str, str]) -> Answer:
    wanted = (configuration.get("output.label", ""), configuration.get("output.probability", ""))
    label, chance = _targets(descriptor, model, wanted)
    if label is not None or chance is not None:
        return _flat(label, chance)
    for field in descriptor.fields:
        inner = field.message_type
        if inner is not None and is_repeated(field):
            label, chance = _targets(inner, model, wanted)
            if label is not None or chance is not None:
                return _by_row(field.name, label, chance)
    fix = "name a field `label`, or configure `output.label=FIELD`"
    raise CallError(f"`{descriptor.full_name}` has no place for the answer", status=409, fix=fix)


def _targets(
    descriptor: Descriptor, model: ServedModel, wanted: tuple[str, str]
) -> tuple[FieldDescriptor | None, FieldDescriptor | None]:
    """Return the fields for label and probabilities."""
    fields = [f for f in descriptor.fields if f.message_type is None]
    by_name = {field.name: field for field in fields}
    label = by_name.get(wanted[0]) if wanted[0] else _usual(fields, LABELS)
    chance = by_name.get(wanted[1]) if wanted[1] else _usual(fields, PROBABILITIES)
    if label is None and chance is None and len(fields) == 1 and not any(wanted):
        label = fields[0]
    if chance is not None and not model.has_probabilities:
        if wanted[1]:
            text = f"`output.probability` is {wanted[1]!r}, but {model.name!r} gives labels only"
            raise CallError(text, status=409, fix="remove it from the configuration")
        chance = None
    return label, chance


def _usual(fields: Sequence[FieldDescriptor], names: Sequence[str]) -> FieldDescriptor | None:
    plain = {_plain(field.name): field for field in reversed(fields)}
    for name in names:
        for form in (name, f"{name}s", f"{name}es"):
            if form in plain:
                return plain[form]
    return None


def _cast(field: FieldDescriptor) -> Callable[[object], object]:
    """Return what makes a label the type of a field."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return (lambda value: str(value).encode()) if field.type == field.TYPE_BYTES else str
    if field.cpp_type in {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}:
        return _number
    return _flag if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else _whole


def _number(value: object) -> float:
    return float(str(value))


def _whole(value: object) -> int:
    return int(str(value))


def _flag(value: object) -> bool:
    return bool(value)


def _put(message: Message, field: FieldDescriptor, values: Sequence[object]) -> None:
    if is_repeated(field):
        getattr(message, field.name).extend(values)
    elif len(values) == 1:
        setattr(message, field.name, values[0])
    else:
        raise ValueError(f"`{field.name}` holds one value, the answer has {len(values)}")


def _flat(label: FieldDescriptor | None, chance: FieldDescriptor | None) -> Answer:
    def answer(message: Message, found: Prediction) -> None:
        if label is not None:
            cast = _cast(label)
            _put(message, label, [cast(value) for value in found.labels.tolist()])
        if chance is not None and found.probabilities is not None:
            _put(message, chance, found.probabilities.astype(np.float64).ravel().tolist())

    return answer


def _by_row(name: str, label: FieldDescriptor | None, chance: FieldDescriptor | None) -> Answer:
    def answer(message: Message, found: Prediction) -> None:
        rows = getattr(message, name)
        for index, value in enumerate(found.labels.tolist()):
            row = rows.add()
            if label is not None:
                _put(row, label, [_cast(label)(value)])
            if chance is not None and found.probabilities is not None:
                chances = found.probabilities[index].astype(np.float64).tolist()
                _put(row, chance, chances)

    return answer
