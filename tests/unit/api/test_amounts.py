"""Amounts as every face shows them."""

from __future__ import annotations

import pytest

from api.report import words


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.0, "cores", "1 core"),
        (1.5, "cores", "1.5 cores"),
        (0.0, "cores", "0 cores"),
        (1.0, "GPUs", "1 GPU"),
        (1.0, "GiB", "1 GiB"),
    ],
)
def test_one_of_a_thing_is_no_plural(value: float, unit: str, text: str) -> None:
    assert words.amount(value, unit) == text
