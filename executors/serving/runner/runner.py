"""What the runner serves, replaced as one: model, schema, configuration, and how they fit.

A call uses the state that it began with. A new part is compiled, loaded and tried against the rest
before it is put in place; until then, and when it is bad, the old state serves. A part that is
good but does not fit the rest waits for the one that does, so that a model with another schema can
be put in two calls.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from engine.model.errors import BerthError
from executors.packaging.security.policies.gate import Gate
from executors.serving.models import Prediction, ServedModel
from executors.serving.runner import binding, tables, texts, uploads
from executors.serving.runner.binding import Binding
from executors.serving.runner.errors import CallError
from executors.serving.runner.schema import Method, Schema, compile_schema
from executors.serving.runner.trials import Trials

T = TypeVar("T")
_CACHED = 8
_NO_FIT = 409
"""Status of errors that say that good parts do not fit each other."""
METHOD = "modelMethod"
"""Entry of the configuration that names the method of calls without `operation`."""


def _unrecorded(_: str, __: str, ___: str) -> None:
    return


Record = Callable[[str, str, str], None]
"""Told what served before, what serves now ("" when nothing changed), and why not."""


class Slot(Protocol):
    """Where the model in service stands; the runner never keeps one of its own."""

    @property
    def model(self) -> ServedModel | None:
        """The model in service; None before the first."""
        ...

    def check(self, model: ServedModel) -> None:
        """Refuse a model that may not take this place."""
        ...

    def put(self, model: ServedModel) -> None:
        """Let another model serve, from the next call on."""
        ...


class OwnSlot:
    """A place for a model that belongs to the runner alone."""

    def __init__(self, model: ServedModel | None = None) -> None:
        self.model = model

    def check(self, model: ServedModel) -> None:
        """Accept any model."""

    def put(self, model: ServedModel) -> None:
        """Let another model serve."""
        self.model = model


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Parts of a state; None for those that are not there."""

    model: ServedModel | None = None
    schema: Schema | None = None
    configuration: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Parts that fit. `bindings` holds for each method how it calls the model, or why not."""

    parts: Parts
    bindings: Mapping[str, Binding | CallError] = field(default_factory=dict)


class _Recent(Generic[T]):
    """The last few values made of some bytes, so that a repeated upload costs a hash."""

    def __init__(self, make: Callable[[bytes], T]) -> None:
        self._make = make
        self._values: OrderedDict[bytes, T] = OrderedDict()

    def knows(self, data: bytes) -> bool:
        """Say whether nothing has to be made for these bytes."""
        return hashlib.sha256(data).digest() in self._values

    def of(self, data: bytes) -> T:
        key = hashlib.sha256(data).digest()
        known = self._values.get(key)
        if known is None:
            known = self._make(data)
            self._values[key] = known
            while len(self._values) > _CACHED:
                self._values.popitem(last=False)
        return known


class Runner:
    """Answers calls by whatever is in place. Swaps come one at a time; calls at any time."""

    def __init__(
        self,
        slot: Slot,
        *,
        schema: Schema | None = None,
        configuration: Mapping[str, str] | None = None,
        gate: Gate | None = None,
        record: Record = _unrecorded,
    ) -> None:
        """Begin with what is in the slot.

        gate: the policy on what may be served, asked about every model that is brought. record: is
        told of every part that is put or refused.

        Raises:
            CallError: when model, schema and configuration do not fit.
        """
        self._slot = slot
        self._waiting = Parts()
        self._gate = gate
        self._policy: object = None
        self._record = record
        self.trials = Trials()
        self._models = self._uploads()
        self._schemas = _Recent(compile_schema)
        self._bindings: OrderedDict[tuple[str, str, str], Binding] = OrderedDict()
        parts = Parts(model=slot.model, schema=schema, configuration=configuration)
        self._state = _fitted(parts)

    @property
    def state(self) -> State:
        """The state in place, following a model that was swapped from elsewhere."""
        model = self._slot.model
        if model is not self._state.parts.model:
            parts = replace(self._state.parts, model=model)
            try:
                self._state = _fitted(parts)
            except CallError as error:
                # It serves, whether its schema is here or not: calls say why they cannot.
                methods = parts.schema.methods if parts.schema else {}
                self._state = State(parts=parts, bindings=dict.fromkeys(methods, error))
        return self._state

    # -------------------------------------------------------------------- swaps

    def put(self, parts: Parts) -> str:
        """Put parts in place together with what is there; return what now serves, in words.

        Raises:
            CallError: when they cannot be used; what was in place serves on. With status 202 they
                are good but fit only parts still to come, and wait for those.
        """
        before = _described(self.state.parts)
        try:
            after = self._put(parts)
        except CallError as error:
            self._record(before, "", error.message)
            raise
        self._record(before, after, "")
        return after

    def _put(self, parts: Parts) -> str:
        if parts.model is not None:
            self._slot.check(parts.model)
        now = self.state.parts
        try:
            fitted = _fitted(_over(now, parts))
        except CallError as first:
            waiting = _over(self._waiting, parts)
            try:
                fitted = _fitted(_over(now, waiting))
            except CallError:
                if first.status != _NO_FIT:
                    raise first from None
                self._waiting = waiting
                text = f"it waits for parts that fit: {first.message}"
                raise CallError(text, status=202, fix=first.fix) from first
        self._waiting = Parts()
        if fitted.parts.model is not None and fitted.parts.model is not now.model:
            self._slot.put(fitted.parts.model)
        self._state = fitted
        return _described(fitted.parts)

    def load(self, data: bytes) -> ServedModel:
        """Load an uploaded model; errors as of `uploads.load`."""
        if self._gate is not None:
            try:
                policy = self._gate.policy()
            except BerthError as error:
                raise CallError(error.message, status=403, fix=error.fix) from error
            if policy is not self._policy:  # what another policy allowed is judged again
                self._policy, self._models = policy, self._uploads()
        return self._models.of(data)

    def _uploads(self) -> _Recent[ServedModel]:
        return _Recent(lambda data: uploads.load(data, self._gate, self.trials))

    def knows(self, model: bytes, schema: bytes) -> bool:
        """Say whether a model and a schema are at hand; each may be empty for none."""
        return all(
            not data or recent.knows(data)
            for data, recent in ((model, self._models), (schema, self._schemas))
        )

    def compile(self, data: bytes) -> Schema:
        """Compile an uploaded schema; errors as of `compile_schema`."""
        return self._schemas.of(data)

    # -------------------------------------------------------------------- calls

    def method(self, operation: str, schema: Schema | None = None) -> Method:
        """Return a method of a schema, or of the one in place.

        Raises:
            CallError: when there is no schema, or no such method.
        """
        parts = self.state.parts
        found = schema or parts.schema
        if found is None:
            raise CallError("there is no schema yet", status=409, fix="PUT one to `/proto`")
        configured = (parts.configuration or {}).get(METHOD, "")
        if not operation and configured in found.methods:
            operation = configured
        return found.method(operation)

    def encode(self, data: bytes, method: Method, *, is_json: bool) -> bytes:
        """Return a CSV or JSON as the serialised input message of a method."""
        reader = texts if is_json else tables
        message = reader.message_of(data, method.input_class)
        encoded: bytes = message.SerializeToString()
        return encoded

    def transform(
        self, data: bytes, method: Method, *, is_json: bool, other: Parts | None = None
    ) -> tuple[bytes, Prediction]:
        """Answer a CSV or JSON with the serialised output message, and the answer as it was.

        other: a model and a schema that are used for this call only.
        """
        bound, model = self._bound(method, other)
        reader = texts if is_json else tables
        return binding.infer(bound, model, reader.message_of(data, method.input_class))

    def call(self, data: bytes, operation: str) -> tuple[bytes, Prediction]:
        """Answer a serialised input message."""
        method = self.method(operation)
        bound, model = self._bound(method, None)
        message = method.input_class()
        try:
            message.ParseFromString(data)
        except Exception as error:
            name = method.input_class.DESCRIPTOR.full_name
            raise CallError(f"the body is no `{name}`: {error}") from error
        return binding.infer(bound, model, message)

    def _bound(self, method: Method, other: Parts | None) -> tuple[Binding, ServedModel]:
        state = self.state
        if other is not None and other.model is not None and other.schema is not None:
            return self._once(method, other.model, other.schema), other.model
        model = state.parts.model
        if model is None:
            raise CallError("there is no model yet", status=409, fix="PUT one to `/model`")
        found = state.bindings.get(method.name)
        if isinstance(found, CallError):
            raise found
        if found is None or found.method is not method:
            # The schema changed between the two looks at the state; the call goes by its own.
            return binding.bind(method, model, state.parts.configuration or {}), model
        return found, model

    def _once(self, method: Method, model: ServedModel, schema: Schema) -> Binding:
        """Bind for one call; the next with the same model and schema finds it made."""
        key = (model.digest, schema.digest, method.name)
        known = self._bindings.get(key)
        if known is None or known.method is not method:
            known = binding.bind(method, model, self.state.parts.configuration or {})
            self._bindings[key] = known
            while len(self._bindings) > _CACHED:
                self._bindings.popitem(last=False)
        return known


def _over(below: Parts, above: Parts) -> Parts:
    """Return the parts of `above`, and of `below` those that it lacks."""
    return Parts(
        model=above.model if above.model is not None else below.model,
        schema=above.schema if above.schema is not None else below.schema,
        configuration=(
            above.configuration if above.configuration is not None else below.configuration
        ),
    )


def _fitted(parts: Parts) -> State:
    """Return the state of some parts.

    Raises:
        CallError: when no method fits the model, or the configured one does not.
    """
    model, schema = parts.model, parts.schema
    configuration = parts.configuration or {}
    if schema is None:
        return State(parts=parts)
    wanted = configuration.get(METHOD, "")
    if wanted and wanted not in schema.methods:
        listed = ", ".join(schema.methods)
        text = f"`{METHOD}` is {wanted!r}, the schema has: {listed}"
        raise CallError(text, status=409, fix="name one of these")
    if model is None:
        return State(parts=parts)
    bindings: dict[str, Binding | CallError] = {}
    for name, method in schema.methods.items():
        try:
            bindings[name] = binding.bind(method, model, configuration)
        except CallError as error:
            bindings[name] = error
    failed = [each for each in bindings.values() if isinstance(each, CallError)]
    chosen = bindings.get(wanted)
    if isinstance(chosen, CallError):
        raise chosen
    if len(failed) == len(bindings):
        raise failed[0]
    return State(parts=parts, bindings=bindings)


def _described(parts: Parts) -> str:
    model = f"model {parts.model.name} {parts.model.digest}" if parts.model else "no model"
    schema = f"schema sha256:{parts.schema.digest}" if parts.schema else "no schema"
    return f"{model}, {schema}, {len(parts.configuration or {})} entries of configuration"
