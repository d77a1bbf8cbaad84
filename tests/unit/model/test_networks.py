"""Layers of a network are read as people write them, and what is none is refused with its place."""

from __future__ import annotations

import pytest

from engine.model.networks import Layer, layers_of


def test_numbers_of_a_layer_follow_from_the_one_before() -> None:
    text = "linear 8, batch_normalization, ReLU, dropout, linear 2, Softmax"
    found = layers_of(text, inputs=4)
    assert [layer.activations for layer in found] == [8, 8, 8, 8, 2, 2]
    assert [layer.parameters for layer in found] == [40, 16, 0, 0, 18, 0]


def test_a_layer_of_another_kind_says_its_numbers() -> None:
    (convolution, line) = layers_of("conv2d 4096 448, linear 10", inputs=3_072)
    assert convolution == Layer(kind="conv2d", activations=4_096, parameters=448)
    assert line.parameters == 40_970


def test_numbers_that_are_stated_go_before_those_that_follow() -> None:
    (line,) = layers_of("linear 10 40", inputs=4)
    assert line.parameters == 40


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("linear 8,, ReLU", "layer 2 is ''"),
        ("linear eight", "layer 1 is 'linear eight'"),
        ("linear 8 1 2 3", "a layer is KIND, KIND VALUES or KIND VALUES PARAMETERS"),
        ("linear 8, conv2d", "write `conv2d VALUES PARAMETERS`"),
        ("relu", "one of ELU, GELU"),
        ("linear -8", "layer 1 is 'linear -8'"),
        (f"linear {'9' * 5_000}", "layer 1 is 'linear 999"),
        (f"linear {10**16}", "larger than any network"),
        (",".join(["ReLU"] * 10_001), "10001 layers are more than 10000"),
    ],
)
def test_what_is_no_layer_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="layer") as refused:
        layers_of(text, inputs=4)
    assert said in str(refused.value)
