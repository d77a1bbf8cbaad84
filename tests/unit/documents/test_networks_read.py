"""What a train task says of its network is checked before anything is planned by it."""

from __future__ import annotations

import pytest

from engine.documents import read_pipeline
from engine.model.errors import InvalidInputError


def text(parameters: str) -> str:
    return f"pipeline: a\ntasks:\n  t: {{kind: train, command: [run], parameters: {parameters}}}\n"


def faults(parameters: str) -> list[str]:
    with pytest.raises(InvalidInputError) as refused:
        read_pipeline(text(parameters), name="a.yaml", as_of=0.0)
    return [f"{fault.code}: {fault.message}" for fault in refused.value.faults]


def test_a_network_that_can_be_read_is_kept_as_it_was_written() -> None:
    written = "{network_layers: 'linear 8, ReLU', network_inputs: 4, batch_size: 2}"
    spec = read_pipeline(text(written), name="a.yaml", as_of=0.0)
    assert spec.tasks[0].parameters["network_layers"] == "linear 8, ReLU"


def test_a_layer_that_is_none_is_named() -> None:
    (said,) = faults("{network_layers: 'linear 8, relu', network_inputs: 4, batch_size: 2}")
    assert said.startswith("S026: how large layer 2, 'relu', is")


def test_inputs_and_batch_belong_to_it() -> None:
    missing, wrong = faults("{network_layers: 'linear 8', batch_size: 0.5}")
    assert missing == "S026: `network_layers` says little without `network_inputs`"
    assert wrong == "S026: `batch_size` is '0.5'; it must be a whole number of at least 1"


def test_what_a_loop_may_give_at_its_run_is_not_missed() -> None:
    parameters = "{network_layers: 'linear 8', network_inputs: 4}"
    spec = read_pipeline(
        "pipeline: a\ntasks:\n"
        "  split: {kind: etl}\n"
        f"  t: {{kind: train, after: split, command: [run], parameters: {parameters},"
        " each: {batch_size: split.sizes}, most: 2}\n",
        name="a.yaml",
        as_of=0.0,
    )
    assert len(spec.tasks) == 3
