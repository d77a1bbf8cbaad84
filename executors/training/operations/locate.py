"""A graph network that finds the entity at fault among all of a system, by torch.

It learns from labelled faults of the past. Quality is the share of faults whose entity it ranks
first, each fold of faults judged by a network that saw none of them; beside it stands the ranking
by surprise, the sum of -log of how often each alert fired in the other faults, with the same folds.
The network that is kept learns from all faults.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from executors.tasks.context import BadInputError
from executors.tasks.reporting import SILENT, TrainingReport
from executors.training.operations import cases, exporting
from executors.training.operations.cases import Cases
from executors.training.operations.graph_net import Locator, Plan
from executors.training.operations.template import Order, Template, Trained

torch: Any = importlib.import_module("torch")
_FOLDS = 5
_STEPS = 150
_WIDTH = 16
_ROUNDS = 2
_RATE = 5e-3
_DECAY = 0.05
_DROPPED = 0.2
"""Share of alerts left out of each step: with a few dozen faults the network would learn them."""
_EXAMPLES = 8
_LOSSES = 10
_PAIRS_MAX = 20_000
Fired = NDArray[np.float32]
Pair = tuple[int, str]


def train(order: Order) -> Trained:
    """Learn from all cases; judge by folds.

    Settings: `folds` (5), `steps` (of each training, 150), `format` (`onnx` or `torch`).

    Raises:
        BadInputError: when the data or a setting are not what it needs.
    """
    # Sums of several threads round in another order each time.
    torch.set_num_threads(1)
    system = cases.load(order.source)
    folds = order.whole("folds", _FOLDS, least=2, most=100)
    steps = order.whole("steps", _STEPS)
    wanted = order.weights_format()
    count = len(system.fired)
    if count < 2 * folds:
        raise BadInputError(f"{count} labelled cases, at least {2 * folds} for {folds} folds")
    pairs = sorted(set().union(*system.fired))
    if not 0 < len(pairs) <= _PAIRS_MAX:
        raise BadInputError(f"{len(pairs)} pairs of entity and signal, expected 1 to {_PAIRS_MAX}")
    fired = _matrix(system.fired, pairs)
    culprits = np.array(system.culprits, dtype=np.int64)
    ours, simple = _by_folds(system, pairs, fired, folds=folds, steps=steps, seed=order.seed)
    first, third = top(ours, culprits, 1), top(ours, culprits, 3)
    network, losses = _learn(
        system, pairs, fired, culprits, steps=steps, seed=order.seed, report=order.report
    )
    examples = fired[:: max(1, count // _EXAMPLES)][:_EXAMPLES]
    weights = exporting.export(network, examples, wanted)
    with torch.no_grad():
        labels = network(torch.from_numpy(examples))[0].tolist()
    return Trained(
        template=Template.LOCATOR,
        format=wanted,
        weights=weights,
        features=tuple(f"{system.entities[place]}|{signal}" for place, signal in pairs),
        classes=system.entities,
        example={"rows": examples.astype(float).tolist(), "labels": labels},
        quality_name=f"share of {count} faults whose entity is ranked first, {folds} folds",
        quality=first,
        quality_std=float(np.sqrt(first * (1.0 - first) / count)),
        baseline_name="ranking by surprise",
        baseline=top(simple, culprits, 1),
        figures={
            "top_3": third,
            "baseline_top_3": top(simple, culprits, 3),
            "chance": 1.0 / len(system.entities),
            "cases": float(count),
            "alerts_left_out": float(system.strangers),
        },
        losses=losses,
        data=sorted(path for path in order.source.iterdir() if path.is_file()),
    )


def top(scores: NDArray[np.float64], culprits: NDArray[np.int64], most: int) -> float:
    """Return the share of cases whose culprit is among the first; ties count by expectation."""
    truth = scores[np.arange(len(culprits)), culprits][:, None]
    above = (scores > truth).sum(axis=1)
    equal = (scores == truth).sum(axis=1)
    return float(np.clip((most - above) / equal, 0.0, 1.0).mean())


def surprises(fired: Fired) -> Fired:
    """Return -log of how often each pair fired; one that never did counts as half a time."""
    found: Fired = -np.log((fired.sum(axis=0) + 0.5) / (len(fired) + 1.0)).astype(np.float32)
    return found


def _by_folds(
    system: Cases, pairs: Sequence[Pair], fired: Fired, *, folds: int, steps: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores of every case by a network, and by surprise, that saw no case of its fold."""
    culprits = np.array(system.culprits, dtype=np.int64)
    fold = np.random.default_rng(seed).permutation(len(fired)) % folds
    shape = (len(fired), len(system.entities))
    ours, simple = np.zeros(shape), np.zeros(shape)
    owner = _owner(pairs, len(system.entities))
    for number in range(folds):
        out, into = fold == number, fold != number
        network, _ = _learn(
            system, pairs, fired[into], culprits[into], steps=steps, seed=seed + number
        )
        with torch.no_grad():
            ours[out] = network.scores(torch.from_numpy(fired[out])).numpy()
        simple[out] = (fired[out] * surprises(fired[into])) @ owner
    return ours, simple


def _learn(
    system: Cases,
    pairs: Sequence[Pair],
    fired: Fired,
    culprits: NDArray[np.int64],
    *,
    steps: int,
    seed: int,
    report: TrainingReport = SILENT,
) -> tuple[Locator, list[float]]:
    """Return a network that learned from some cases, and the mean loss of ten parts."""
    torch.manual_seed(seed)
    network = Locator(_plan(system, pairs, fired), width=_WIDTH, rounds=_ROUNDS)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    inputs, truth = torch.from_numpy(fired), torch.from_numpy(culprits)
    losses = []
    for _ in range(steps):
        kept = (torch.rand_like(inputs) > _DROPPED).to(inputs.dtype)
        scores = network.scores(inputs * kept)
        loss = torch.nn.functional.cross_entropy(scores, truth, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        found = [each.grad for each in network.parameters() if each.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(found))
        report.step(loss=losses[-1], gradient_norm=norm, samples=len(inputs))
    network.eval()
    return network, [float(np.mean(part)) for part in np.array_split(losses, _LOSSES) if len(part)]


def _plan(system: Cases, pairs: Sequence[Pair], fired: Fired) -> Plan:
    """Return what of a system the network is built on; rates are those of the cases given."""
    signals = sorted({signal for _, signal in pairs})
    number = {signal: place for place, signal in enumerate(signals)}
    of_signal = np.zeros((len(pairs), len(signals)), dtype=np.float32)
    for place, (_, signal) in enumerate(pairs):
        of_signal[place, number[signal]] = 1.0
    kinds = sorted(set(system.types))
    types = np.zeros((len(system.entities), len(kinds)), dtype=np.float32)
    for place, kind in enumerate(system.types):
        types[place, kinds.index(kind)] = 1.0
    return Plan(
        owner=_owner(pairs, len(system.entities)),
        signal=of_signal,
        surprise=surprises(fired),
        types=types,
        relations=_relations(system),
    )


def _relations(system: Cases) -> Fired:
    """Return who hears whom: each relation forwards and backwards, as means over neighbours."""
    count = len(system.entities)
    labels = sorted({label for _, _, label in system.edges}) or [""]
    found = np.zeros((2 * len(labels), count, count), dtype=np.float32)
    for source, target, label in system.edges:
        place = 2 * labels.index(label)
        found[place, source, target] = 1.0
        found[place + 1, target, source] = 1.0
    heard: Fired = found / np.maximum(found.sum(axis=2, keepdims=True), 1.0)
    return heard


def _matrix(fired: Sequence[frozenset[Pair]], pairs: Sequence[Pair]) -> Fired:
    """Return a row for each case: 1 where a pair fired."""
    number = {pair: place for place, pair in enumerate(pairs)}
    found = np.zeros((len(fired), len(pairs)), dtype=np.float32)
    for row, those in enumerate(fired):
        found[row, [number[pair] for pair in those]] = 1.0
    return found


def _owner(pairs: Sequence[Pair], entities: int) -> Fired:
    """Return which entity each pair is of."""
    found = np.zeros((len(pairs), entities), dtype=np.float32)
    found[np.arange(len(pairs)), [place for place, _ in pairs]] = 1.0
    return found
