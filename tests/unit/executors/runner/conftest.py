"""Two small models and the schemas that fit them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.model.identifiers import Digest
from executors.serving.models import Feature, Prediction, ServedModel

PAIRS = b"""
syntax = "proto3";
package pairs;
message Row { double a = 1; optional double b = 2; }
message Rows { repeated Row rows = 1; }
message Answer { repeated int64 label = 1; repeated float probability = 2; }
service Model { rpc predict (Rows) returns (Answer); }
"""


def model_of(name: str, features: str, *, above: bool = True) -> ServedModel:
    """Answers whether the first feature is above the second, or not."""

    def predict(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = (rows[:, 0] > rows[:, -1]) == above
        return found.astype(np.int64), np.column_stack([~found, found]).astype(np.float32)

    return ServedModel(
        name=name,
        digest=Digest(f"sha256:{name}"),
        names=frozenset({name}),
        features=tuple(Feature(name=f, unit="", input_unit="", factor=1.0) for f in features),
        classes=(0, 1),
        has_probabilities=True,
        family="test",
        factors=np.ones(len(features)),
        predict=predict,
    )


def said(prediction: Prediction) -> list[int]:
    """Return the labels."""
    return [int(value) for value in prediction.labels]


@pytest.fixture
def pairs() -> bytes:
    """A schema of rows with two features."""
    return PAIRS
