"""Who proposes configurations: seeded random draws, or any sampler of Optuna (extra `tuning`)."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engine.model.errors import NotFoundError
from executors.training.trials import spaces
from executors.training.trials.trial import Value

RANDOM = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a sampler learns from: a configuration with the loss it came to, or None so far."""

    parameters: Mapping[str, Value]
    loss: float | None


class Sampler(Protocol):
    """Proposes the configuration of the next trial."""

    def propose(self, number: int, tried: Sequence[Tried]) -> dict[str, Value]:
        """Return a configuration; the same arguments give the same one."""
        ...


class RandomSampler:
    """Draws each trial by the study's seed and its number, whatever was tried before."""

    def __init__(self, space: spaces.Space, seed: int) -> None:
        self._space = space
        self._seed = seed

    def propose(self, number: int, tried: Sequence[Tried]) -> dict[str, Value]:  # noqa: ARG002 - protocol
        """Return a configuration."""
        return spaces.draw(self._space, np.random.default_rng([self._seed, number]))


class OptunaSampler:
    """A sampler of Optuna by name: `tpe`, `gp`, `cmaes`, `nsgaii`, `qmc`.

    It is made anew for every proposal and told all that is known, so that a study that goes on
    after a kill proposes what it would have proposed.

    Raises:
        NotFoundError: when Optuna is not installed, or has no such sampler.
    """

    def __init__(self, name: str, space: spaces.Space, seed: int) -> None:
        try:
            self._optuna: Any = importlib.import_module("optuna")
        except ImportError as error:
            message = f"sampler {name!r} is one of Optuna, which is not installed"
            raise NotFoundError(message, fix="pip install 'berth[tuning]'") from error
        known = {kind.removesuffix("Sampler").lower() for kind in self._optuna.samplers.__all__}
        names = {kind.lower(): kind for kind in self._optuna.samplers.__all__}
        self._kind = names.get(f"{name.lower()}sampler", "")
        if not self._kind.endswith("Sampler"):
            listed = ", ".join([RANDOM, *sorted(known)])
            raise NotFoundError(f"there is no sampler {name!r}", fix=f"one of: {listed}")
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        self._space = space
        self._seed = seed

    def propose(self, number: int, tried: Sequence[Tried]) -> dict[str, Value]:
        """Return a configuration, in sight of all that was tried."""
        seed = zlib.crc32(f"{self._seed}/{number}".encode())
        kind = getattr(self._optuna.samplers, self._kind)
        study = self._optuna.create_study(sampler=kind(seed=seed))
        distributions = self._distributions()
        for one in tried:
            if one.loss is not None:
                study.add_trial(
                    self._optuna.trial.create_trial(
                        params=dict(one.parameters), distributions=distributions, value=one.loss
                    )
                )
        return dict(study.ask(distributions).params)

    def _distributions(self) -> dict[str, Any]:
        """Return the space in Optuna's words."""
        kinds = self._optuna.distributions
        found: dict[str, Any] = {}
        for name, part in self._space.items():
            if isinstance(part, spaces.Choice):
                found[name] = kinds.CategoricalDistribution(part.values)
            elif part.whole:
                low, high = int(part.low), int(part.high)
                found[name] = kinds.IntDistribution(low, high, log=part.logarithmic)
            else:
                found[name] = kinds.FloatDistribution(part.low, part.high, log=part.logarithmic)
        return found


def sampler(name: str, space: spaces.Space, seed: int) -> Sampler:
    """Return a sampler by its name."""
    if name == RANDOM:
        return RandomSampler(space, seed)
    return OptunaSampler(name, space, seed)
