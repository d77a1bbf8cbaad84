"""The network of the anomaly detector: a causal transformer that says what value comes next.

Each window is scaled by its own middle and spread, so that one network serves metrics of any size.
The network gives place and spread of the next value (a Laplace density); how unlikely the newest
value is, is its score. Attention is written out in matrix products, which every exporter knows.
Source: Vaswani et al., Attention Is All You Need, 2017 (the encoder, with a causal mask).
"""

from __future__ import annotations

import importlib
import math
from typing import Any

torch: Any = importlib.import_module("torch")
Tensor = Any  # of torch, whose types are not followed

CLIPPED_AT = 20.0
"""Scaled values count at most so much: one wild value must not drown the rest of its window."""
_SPREAD_LEAST = -4.0
_SPREAD_MOST = 4.0
_QUANTILE_LOW, _QUANTILE_HIGH = 0.15, 0.85


class Block(torch.nn.Module):
    """Self-attention over earlier steps, then a small network for each step."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = torch.nn.LayerNorm(width)
        self.project = torch.nn.Linear(width, 3 * width)
        self.join = torch.nn.Linear(width, width)
        self.between = torch.nn.LayerNorm(width)
        self.each = torch.nn.Sequential(
            torch.nn.Linear(width, 2 * width), torch.nn.GELU(), torch.nn.Linear(2 * width, width)
        )

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Return the steps after attention; (rows, steps, width)."""
        width = steps.shape[2]
        parts = self.project(self.before(steps)).reshape(
            -1, steps.shape[1], 3, self.heads, width // self.heads
        )
        query, key, value = (parts[:, :, part].transpose(1, 2) for part in range(3))
        weights = query @ key.transpose(2, 3) / math.sqrt(width // self.heads) + mask
        mixed = (torch.softmax(weights, dim=-1) @ value).transpose(1, 2)
        steps = steps + self.join(mixed.reshape(-1, steps.shape[1], width))
        return steps + self.each(self.between(steps))


class NextValue(torch.nn.Module):
    """Place and logarithm of the spread of each next value, from those before it."""

    def __init__(self, window: int, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.window = window
        self.embed = torch.nn.Linear(2, width)
        self.places = torch.nn.Parameter(0.02 * torch.randn(window - 1, width))
        self.blocks = torch.nn.ModuleList([Block(width, heads) for _ in range(blocks)])
        self.last = torch.nn.LayerNorm(width)
        self.head = torch.nn.Linear(width, 2)
        mask = torch.triu(torch.full((window - 1, window - 1), -1e9), diagonal=1)
        self.register_buffer("mask", mask)

    def scaled(self, windows: Tensor) -> Tensor:
        """Return windows by their own middle and spread, those of all but the newest value."""
        ordered = torch.sort(windows[:, :-1], dim=1).values
        count = self.window - 1
        low, high = int(_QUANTILE_LOW * count), int(_QUANTILE_HIGH * count)
        middle = ordered[:, count // 2 : count // 2 + 1]
        spread = 0.5 * (ordered[:, high : high + 1] - ordered[:, low : low + 1])
        # What hardly moves is measured against its own size.
        spread = spread + 0.01 * middle.abs() + 1e-6
        return torch.clamp((windows - middle) / spread, -CLIPPED_AT, CLIPPED_AT)

    def forward(self, scaled: Tensor) -> Tensor:
        """Return what is expected after each step: (rows, window - 1, 2)."""
        past = scaled[:, :-1]
        squeezed = torch.sign(past) * torch.log1p(past.abs())
        steps = self.embed(torch.stack((past / CLIPPED_AT, squeezed), dim=2)) + self.places
        for block in self.blocks:
            steps = block(steps, self.mask)
        found = self.head(self.last(steps))
        # The newest value is the first guess: what is learned is how it moves on.
        place = found[:, :, :1] + past.unsqueeze(2)
        return torch.cat((place, found[:, :, 1:].clamp(_SPREAD_LEAST, _SPREAD_MOST)), dim=2)

    def surprises(self, scaled: Tensor) -> Tensor:
        """Return the negative logarithm of the density of every value but the first."""
        found = self.forward(scaled)
        spread = found[:, :, 1]
        return (scaled[:, 1:] - found[:, :, 0]).abs() * torch.exp(-spread) + spread

    def scores(self, windows: Tensor) -> Tensor:
        """Return how unlikely the newest value of each window is."""
        return self.surprises(self.scaled(windows))[:, -1]


class Detector(torch.nn.Module):
    """What is served: `label` 1 for an anomaly, `probabilities` of not and of one.

    The probability is one half at the threshold; it orders windows, and is no calibrated one.
    """

    def __init__(self, network: NextValue, threshold: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("threshold", torch.tensor(float(threshold)))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Answer windows (rows, window), oldest value first."""
        score = self.network.scores(features)
        chance = torch.sigmoid(score - self.threshold)
        label = (score > self.threshold).to(torch.int64)
        return label, torch.stack((1.0 - chance, chance), dim=1)
