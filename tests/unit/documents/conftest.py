"""Reads documents and collects their faults."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine import documents
from engine.model.errors import Fault, InvalidInputError

AS_OF = 1_800_000_000.0

Faults = Callable[[str], tuple[Fault, ...]]


@pytest.fixture
def faults() -> Faults:
    """Return the faults of a pipeline in YAML, none when it can be read."""

    def read(text: str) -> tuple[Fault, ...]:
        try:
            documents.read_pipeline(text, name="x.yaml", as_of=AS_OF)
        except InvalidInputError as error:
            return error.faults
        return ()

    return read


@pytest.fixture
def task_fault(faults: Faults) -> Callable[[str], Fault]:
    """Return the one fault of a task, given its keys but `kind`; the kind is etl."""

    def read(keys: str, kind: str = "etl") -> Fault:
        (fault,) = faults(f"pipeline: p\ntasks:\n  t: {{kind: {kind}, {keys}}}\n")
        return fault

    return read


@pytest.fixture
def fleet_faults() -> Faults:
    """Return the faults of a fleet in YAML."""

    def read(text: str) -> tuple[Fault, ...]:
        with pytest.raises(InvalidInputError) as raised:
            documents.read_fleet(text, name="fleet.yaml")
        return raised.value.faults

    return read
