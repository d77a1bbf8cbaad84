"""The network of the root-cause locator: messages over a system's topology, written out.

Its input says which alerts fired, one number for each pair of entity and signal that was ever seen.
An alert counts by its surprise, -log of how often it fired in the past; each entity sums those of
its own. Entities then tell their neighbours, over each kind of relation and in both directions, by
weights that they share; two rounds reach neighbours of neighbours. A score by surprise alone stands
in the sum from the start, so what is learned is a correction to it.
Source: Gilmer et al., Neural Message Passing for Quantum Chemistry, 2017; relations as in
Schlichtkrull et al., Modeling Relational Data with Graph Convolutional Networks, 2018.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

torch: Any = importlib.import_module("torch")
Tensor = Any  # of torch, whose types are not followed
_FACTS = 3
"""Numbers that an entity begins with: its surprise, its share of all, and how many alerts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What of a system the network is built on.

    owner: (pairs, entities), 1 where a pair of entity and signal is of that entity.
    signal: (pairs, signals), 1 where a pair is of that signal. surprise: (pairs,).
    types: (entities, types), 1 for the type. relations: (relations, entities, entities), rows sum
    to 1 or are empty: who hears whom.
    """

    owner: NDArray[np.float32]
    signal: NDArray[np.float32]
    surprise: NDArray[np.float32]
    types: NDArray[np.float32]
    relations: NDArray[np.float32]


class Round(torch.nn.Module):
    """One round of messages: what an entity knows, and the mean of what each relation tells it."""

    def __init__(self, relations: int, width: int) -> None:
        super().__init__()
        self.own = torch.nn.Linear(width, width)
        self.heard = torch.nn.Parameter(torch.randn(relations, width, width) / width)

    def forward(self, known: Tensor, relations: Tensor) -> Tensor:
        """Return what entities know afterwards: (cases, entities, width)."""
        told = torch.matmul(relations.unsqueeze(0), known.unsqueeze(1))
        heard = torch.matmul(told, self.heard.unsqueeze(0)).sum(dim=1)
        return known + torch.relu(self.own(known) + heard)


class Locator(torch.nn.Module):
    """What is served: `label`, the place of the likeliest entity, `probabilities` of all."""

    def __init__(self, plan: Plan, *, width: int, rounds: int) -> None:
        super().__init__()
        for name in ("owner", "signal", "surprise", "types", "relations"):
            self.register_buffer(name, torch.from_numpy(getattr(plan, name)))
        self.kinds = torch.nn.Parameter(0.1 * torch.randn(plan.signal.shape[1], width))
        self.begin = torch.nn.Linear(_FACTS + plan.types.shape[1], width)
        self.rounds = torch.nn.ModuleList(
            [Round(plan.relations.shape[0], width) for _ in range(rounds)]
        )
        self.end = torch.nn.Linear(width, 1)
        torch.nn.init.zeros_(self.end.weight)
        torch.nn.init.zeros_(self.end.bias)
        self.by_surprise = torch.nn.Parameter(torch.tensor(0.2))

    def scores(self, fired: Tensor) -> Tensor:
        """Return the score of each entity: (cases, entities)."""
        weighed = fired * self.surprise
        surprise = weighed @ self.owner
        total = surprise.sum(dim=1, keepdim=True) + 1.0
        count = torch.log1p(fired @ self.owner)
        facts = torch.stack((torch.log1p(surprise), surprise / total, count), dim=2)
        types = self.types.unsqueeze(0) + torch.zeros_like(facts[:, :, :1])
        # Which signals fired at an entity, by what the network learned of each signal.
        of_pairs = self.owner.unsqueeze(2) * (self.signal @ self.kinds).unsqueeze(1)
        of_signals = weighed @ of_pairs.reshape(self.owner.shape[0], -1)
        of_signals = of_signals.reshape(-1, self.owner.shape[1], self.kinds.shape[1])
        known = torch.relu(self.begin(torch.cat((facts, types), dim=2))) + torch.tanh(of_signals)
        for step in self.rounds:
            known = step(known, self.relations)
        return self.end(known).squeeze(2) + self.by_surprise * surprise

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Answer cases (rows, pairs): 1 where that alert fired, else 0."""
        scores = self.scores(features)
        return scores.argmax(dim=1), torch.softmax(scores, dim=1)
