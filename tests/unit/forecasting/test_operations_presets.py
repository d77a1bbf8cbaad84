"""What is assumed of a model of operations that never ran: enough memory, about a minute."""

from __future__ import annotations

import pytest

from engine.model.specs import TaskKind
from forecasting import presets
from forecasting.presets import Quantity


@pytest.mark.parametrize("family", ["arima", "transformer", "graph"])
def test_a_model_of_operations_is_given_room_for_its_library(family: str) -> None:
    found = presets.preset(TaskKind.TRAIN, {"model": family, "rows": 3_000})
    plain = presets.preset(TaskKind.TRAIN, {"model": "knn", "rows": 3_000})
    assert found[Quantity.MEMORY] > plain[Quantity.MEMORY] + 0.4
    assert 30.0 < found[Quantity.DURATION] < 120.0
