"""What a training takes from a GPU, by replaying its tensors through the allocator.

A few steps are enough: what they take is what all take. First the parameters, then a pass of two
samples (as a summary of the network makes), then batches with their forward pass, backward pass and
step of Adam. What each layer keeps for the backward pass is PyTorch's: a linear layer and a
normalisation keep what goes in, ReLU, Tanh, Sigmoid and Softmax what comes out, a dropout its mask;
others keep what goes in. Matrix products have workspaces of their own, forward and backward. A step
makes one copy of all parameters for a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.model.networks import Layer
from forecasting.profiles.allocator import MIB, Block, CachingAllocator

_BYTES = 4
_LABEL_BYTES = 8
_WORKSPACE = 8_320 * 1_024
"""Of matrix products, for each thread: 2 of 4 MiB and 8 of 16 KiB, cuBLAS's default."""
_SHORT_WORKSPACE = MIB
"""Of a product with a bias, given back at once."""
_WHOLE_BATCHES = 2
_KEEPS_OUTPUT = frozenset({"ReLU", "Tanh", "Sigmoid", "Softmax"})
_PASSES = frozenset({"Identity"})


@dataclass(slots=True, eq=False)
class _Tensor:
    """A block with the number of those who hold it."""

    block: Block
    holders: int = 1


@dataclass(slots=True)
class _Tensors:
    """Tensors that are given back when nobody holds them any more."""

    allocator: CachingAllocator = field(default_factory=CachingAllocator)

    def new(self, size: int) -> _Tensor:
        """Return a tensor of so many bytes with one holder."""
        return _Tensor(self.allocator.take(size))

    def drop(self, *tensors: _Tensor) -> None:
        """Let go of tensors."""
        for tensor in tensors:
            tensor.holders -= 1
            if not tensor.holders:
                self.allocator.give_back(tensor.block)

    def brief(self, *sizes: int) -> None:
        """Take tensors together and let go of them at once."""
        self.drop(*[self.new(size) for size in sizes])


def taken_mib(layers: Sequence[Layer], *, inputs: int, batch_size: int, samples: int = 0) -> float:
    """Return the MiB that a training takes from the GPU, besides the context of the driver.

    Args:
        layers: In their order.
        inputs: Values of one sample.
        batch_size: Samples in a batch.
        samples: In the data set, of which the last batch is what is left; 0 when not known.
    """
    training = _Training(layers, inputs)
    training.start()
    for size in _batches(batch_size, samples):
        training.step(size)
    return training.tensors.allocator.taken / MIB


def _batches(batch_size: int, samples: int) -> list[int]:
    """Return sizes of batches: an epoch's first and its last, and the first of another."""
    if not samples:
        return [batch_size] * (_WHOLE_BATCHES + 1)
    whole, left = divmod(samples, batch_size)
    epoch = [batch_size] * min(whole, _WHOLE_BATCHES) + [left] * (left > 0)
    return epoch + epoch[:_WHOLE_BATCHES]


class _Training:
    """The tensors of one training."""

    def __init__(self, layers: Sequence[Layer], inputs: int) -> None:
        self.tensors = _Tensors()
        self._inputs = inputs
        self._layers = [layer for layer in layers if layer.kind not in _PASSES]
        self._learned = [_learned(layer) for layer in self._layers]
        self._gradients: list[_Tensor] = []
        self._outputs: list[_Tensor] = []
        self._has_moments = False
        self._workspaces: set[str] = set()

    def start(self) -> None:
        """Place the parameters and pass two samples."""
        for layer, sizes in zip(self._layers, self._learned, strict=True):
            for size in sizes:
                self.tensors.new(_BYTES * size)
            if layer.kind == "batch_normalization":
                for size in (_BYTES * layer.activations, _BYTES * layer.activations, _LABEL_BYTES):
                    self.tensors.new(size)
        output, kept = self._forward(self.tensors.new(2 * _BYTES * self._inputs), 2)
        self.tensors.drop(*(tensor for each in kept for tensor in each), output)

    def step(self, batch: int) -> None:
        """Pass a batch forward and backward, and move the parameters."""
        tensors = self.tensors
        inputs, labels = tensors.new(_BYTES * batch * self._inputs), tensors.new(8 * batch)
        inputs.holders += 1  # The training loop names them until the next batch.
        tensors.drop(*self._gradients)
        output, kept = self._forward(inputs, batch)
        tensors.drop(*self._outputs)
        self._outputs = [output]
        values = self._layers[-1].activations if self._layers else self._inputs
        likelihoods = tensors.new(_BYTES * batch * values)
        losses = tensors.new(_BYTES), tensors.new(_BYTES)
        of_loss = tensors.new(_BYTES * batch * values)
        gradient = tensors.new(_BYTES * batch * values)
        tensors.drop(of_loss, likelihoods, losses[1])
        self._gradients = self._backward(gradient, kept, batch)
        self._move()
        tensors.drop(losses[0], labels, inputs)

    def _forward(self, current: _Tensor, batch: int) -> tuple[_Tensor, list[list[_Tensor]]]:
        """Return what the last layer puts out, and what each layer keeps to go backward."""
        kept = []
        for layer in self._layers:
            output = self.tensors.new(_BYTES * batch * layer.activations)
            if layer.kind == "linear":
                self._workspace("forward")
                self.tensors.brief(_SHORT_WORKSPACE)
            keeps = self._kept(layer, current, output, batch)
            kept.append(keeps)
            self.tensors.drop(current)
            current = output
        return current, kept

    def _kept(self, layer: Layer, current: _Tensor, output: _Tensor, batch: int) -> list[_Tensor]:
        """Return what a layer keeps to go backward."""
        if layer.kind == "dropout":
            return [self.tensors.new(batch * layer.activations)]
        one = output if layer.kind in _KEEPS_OUTPUT else current
        one.holders += 1
        if layer.kind == "batch_normalization":
            return [one, *(self.tensors.new(_BYTES * layer.activations) for _ in range(2))]
        return [one]

    def _backward(self, gradient: _Tensor, kept: list[list[_Tensor]], batch: int) -> list[_Tensor]:
        """Return the gradients of the parameters; what was kept is let go layer by layer."""
        gradients: list[_Tensor] = []
        first = next((i for i, sizes in enumerate(self._learned) if sizes), len(self._layers))
        for place in reversed(range(len(self._layers))):
            layer = self._layers[place]
            if layer.kind == "linear":
                self._workspace("backward")
            before = self._layers[place - 1].activations if place else self._inputs
            passed = [self.tensors.new(_BYTES * batch * before)] if place > first else []
            gradients += [self.tensors.new(_BYTES * size) for size in self._learned[place]]
            if layer.kind == "PReLU":
                self.tensors.brief(_BYTES * batch * before)
            self.tensors.drop(gradient, *kept[place])
            if not passed:
                self.tensors.drop(*(tensor for each in kept[:place] for tensor in each))
                return gradients
            gradient = passed[0]
        self.tensors.drop(gradient)
        return gradients

    def _move(self) -> None:
        """Move the parameters by Adam: two moments that stay, one copy that does not."""
        sizes = [_BYTES * size for each in self._learned for size in each]
        if not self._has_moments:
            self._has_moments = True
            for size in sizes:
                self.tensors.new(size)
                self.tensors.new(size)
        self.tensors.brief(*sizes)

    def _workspace(self, thread: str) -> None:
        """Take the workspace of a thread's matrix products, once."""
        if thread not in self._workspaces:
            self._workspaces.add(thread)
            self.tensors.new(_WORKSPACE)


def _learned(layer: Layer) -> list[int]:
    """Return the sizes of what a layer learns: weights and bias, two halves, or one slope."""
    if layer.kind == "PReLU":
        return [1]
    if not layer.parameters:
        return []
    bias = min(layer.activations, layer.parameters // 2)
    return [layer.parameters - bias, bias]
