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


def test_a_package_needs_room_for_data_only_where_its_model_keeps_it() -> None:
    large = {"volume_gib": 400.0}
    kept = presets.preset(TaskKind.PACKAGE, {**large, "model": "knn"})
    small = presets.preset(TaskKind.PACKAGE, {**large, "model": "boosting+tree"})
    assert kept[presets.Quantity.MEMORY] > 400.0
    assert small[presets.Quantity.MEMORY] < 1.0


def test_nothing_is_taken_to_move_more_than_a_link_carries() -> None:
    for kind in (TaskKind.ETL, TaskKind.TRAIN, TaskKind.PACKAGE):
        found = presets.preset(kind, {"volume_gib": 400.0, "model": "knn"})
        assert found[presets.Quantity.NETWORK] <= 1_000.0
