"""The layers of a network that a task trains, as people write them in `network_layers`.

`linear 512, batch_normalization, ReLU, dropout, linear 10, Softmax` names them from the input on. A
layer is its kind, the values it puts out for one sample, and how many parameters it learns. Both
numbers may be left out where they follow from the layer before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ACTIVATIONS = (
    "ELU",
    "GELU",
    "Identity",
    "LeakyReLU",
    "Mish",
    "PReLU",
    "ReLU",
    "SELU",
    "Sigmoid",
    "SiLU",
    "Softmax",
    "Softplus",
    "Tanh",
)
"""Named as PyTorch names them."""
_KEEPING = frozenset({*ACTIVATIONS, "dropout"})
"""Layers that put out as many values as come in, and learn nothing."""
FULLY_CONNECTED = frozenset({*_KEEPING, "linear", "batch_normalization"})
"""Kinds whose numbers follow from the layer before."""
_LAYERS_MAX = 10_000
_COUNT_MAX = 10**15
_DIGITS_MAX = 30
_FORM = "KIND, KIND VALUES or KIND VALUES PARAMETERS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: its kind, the values it puts out for one sample, and what it learns.

    kind: linear, batch_normalization, dropout, or an activation as PyTorch names it.
    """

    kind: str
    activations: int
    parameters: int


def layers_of(text: str, *, inputs: int) -> tuple[Layer, ...]:
    """Return the layers of a network from the input on.

    Args:
        text: As above, with commas between layers.
        inputs: Values of one sample.

    Raises:
        ValueError: A layer cannot be read, with its number and what would be one.

    >>> [layer.parameters for layer in layers_of("linear 4, ReLU, linear 2", inputs=3)]
    [16, 0, 10]
    """
    return tuple(_layers(text, inputs))


def _layers(text: str, width: int) -> Iterator[Layer]:
    """Yield layer by layer; each knows how many values come in."""
    written = text.split(",")
    if len(written) > _LAYERS_MAX:
        message = f"{len(written)} layers are more than {_LAYERS_MAX}, the most allowed"
        raise ValueError(message)
    for number, part in enumerate(written, start=1):
        kind, *amounts = part.split() or [""]
        counts = [int(a) for a in amounts if a.isdecimal() and len(a) <= _DIGITS_MAX]
        if not kind or len(counts) < len(amounts) or len(counts) > len(("values", "learned")):
            message = f"layer {number} is {part.strip()!r}; a layer is {_FORM}"
            raise ValueError(message)
        layer = _layer(kind, counts, width)
        if layer is None:
            known = ", ".join(sorted(FULLY_CONNECTED))
            message = (
                f"how large layer {number}, {part.strip()!r}, is does not follow from its kind; "
                f"write `{kind} VALUES PARAMETERS`, or one of {known}"
            )
            raise ValueError(message)
        if max(layer.activations, layer.parameters) > _COUNT_MAX:
            message = f"layer {number}, {part.strip()!r}, is larger than any network"
            raise ValueError(message)
        yield layer
        width = layer.activations


def _layer(kind: str, counts: list[int], width: int) -> Layer | None:
    """Return a layer behind `width` values; None where its numbers are not known."""
    match kind, counts:
        case _, [values, learned]:
            return Layer(kind=kind, activations=values, parameters=learned)
        case "linear", [values]:
            return Layer(kind=kind, activations=values, parameters=(width + 1) * values)
        case "batch_normalization", []:
            return Layer(kind=kind, activations=width, parameters=2 * width)
        case kept, [] if kept in _KEEPING:
            return Layer(kind=kind, activations=width, parameters=0)
        case _:
            return None
