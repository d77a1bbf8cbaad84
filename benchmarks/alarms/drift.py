"""Retrainings that were due and that were not, over 40 models watched at once.

Each model has a value that should stay low (its error), every half hour: white, autocorrelated
(0.9), with a daily season, heavy-tailed, or a share of wrong answers. Some never drift, some have
a fault that passes by itself, some drift at once and some slowly, by one to three deviations. A
retraining within the time given after the begin of a drift is right and ends it; every other is
false. Page-Hinkley and ADWIN, written from their papers, read the same values.

Then the scenarios of driftfdr 0.1.1 itself (40 models each, drifts of half a deviation and one,
abrupt and slow, models that move together), with its alarms and ours in one run (`_driftfdr`);
where the library cannot be installed, that is reported as not run.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from alarms.detection.drift import DriftTriggers
from benchmarks import frame
from benchmarks.alarms import _driftfdr
from benchmarks.alarms._change_anchors import Adwin, PageHinkley

MODELS = 40
VALUES = 6_000
BEGINS_FROM = 2_500
RIGHT_WITHIN = 1_500
"""Values after the begin of a drift in which a retraining is right (31 days)."""
RAMP = 600
CADENCE_SECONDS = 1_800.0
SEEDS = 5
KINDS = ("white", "autocorrelated", "seasonal", "heavy-tailed", "share")
FATES = ("none", "none", "passing", "passing", "abrupt", "abrupt", "gradual", "gradual")
CORRELATION = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One watched model: its values, and when its drift begins, or None."""

    name: str
    kind: str
    values: NDArray[np.float64]
    lift: NDArray[np.float64]
    drifts_at: int | None


class Watch(Protocol):
    """Says which models to retrain."""

    def observe(self, model: str, place: int, value: float) -> bool:
        """Return whether to retrain the model."""
        ...


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the numbers of seeds."""
    group.add_argument("--seeds", type=int, default=SEEDS)
    group.add_argument(
        "--suite-seeds", type=int, default=4, help="of each of driftfdr's 25 cases, 0 for none"
    )


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Watch the same models with each way to trigger."""
    seeds = 1 if context.quick else int(context.options.get("seeds") or SEEDS)
    worlds = [drawn(seed) for seed in range(seeds)]
    right, false, missed = counted(worlds, Ours)
    anchors = {
        name: counted(worlds, watch) for name, watch in (("PH", Hinkley), ("ADWIN", Windows))
    }
    f1_anchor = ", ".join(f"{name} {f1(*counts):.2f}" for name, counts in anchors.items())
    share_anchor = ", ".join(
        f"{name} {100 * wrong / max(1, wrong + good):.0f} %"
        for name, (good, wrong, _) in anchors.items()
    )
    yield frame.at_least(
        f"F1 of retrainings, {seeds} times {MODELS} models",
        f1(right, false, missed),
        0.9,
        anchor=f1_anchor,
    )
    yield frame.at_most(
        "share of retrainings that are false",
        100 * false / max(1, false + right),
        5,
        unit="%",
        anchor=share_anchor,
    )
    yield frame.informs("right retrainings", right, anchor=f"{missed} missed, {false} false")
    if not context.quick:
        yield from of_driftfdr(context)


def of_driftfdr(context: frame.Context) -> Iterator[frame.Figure]:
    """Yield figures on the scenarios of driftfdr, its own alarms beside ours."""
    seeds = int(context.options.get("suite_seeds", 4))
    ours: list[tuple[_driftfdr.Scenario, list[_driftfdr.Alarm]]] = []
    if seeds:
        found = _driftfdr.scenarios(context.scratch / "driftfdr", MODELS, seeds)
        ours = [(scenario, alarms_of(scenario)) for scenario in found]
    if not ours:
        print("the scenarios of driftfdr: not run, the library is not there", file=sys.stderr)
        return
    peer = _driftfdr.score([(scenario, scenario.by_driftfdr) for scenario, _ in ours])
    hinkley = _driftfdr.score([(scenario, scenario.by_hinkley) for scenario, _ in ours])
    mine = _driftfdr.score(ours)
    yield frame.at_least(
        f"driftfdr's {len(ours)} scenarios: F1",
        mine.f1,
        0.9,
        anchor=f"driftfdr {peer.f1:.3f}, PH {hinkley.f1:.3f}",
    )
    yield frame.at_most(
        "the same: share of retrainings that are false",
        mine.false_share,
        5,
        unit="%",
        anchor=f"driftfdr {peer.false_share:.0f} %, PH {hinkley.false_share:.0f} %",
    )
    late = mine.alarms - mine.right - mine.false
    yield frame.informs(
        "the same: right retrainings", mine.right, anchor=f"{mine.false} false, {late} late"
    )


def alarms_of(scenario: _driftfdr.Scenario) -> list[_driftfdr.Alarm]:
    """Return model and step of every retraining that our triggers ask for; the drift stays."""
    watch = Ours()
    rows = scenario.values.tolist()
    names = [f"model-{number}" for number in range(len(rows))]
    return [
        (number, place + 1)
        for place in range(scenario.values.shape[1])
        for number, name in enumerate(names)
        if watch.observe(name, place, rows[number][place])
    ]


def f1(right: int, false: int, missed: int) -> float:
    """Return the harmonic mean of precision and recall."""
    return 2 * right / max(1, 2 * right + false + missed)


def drawn(seed: int) -> list[Model]:
    """Return 40 models; fates and kinds are crossed, sizes and times are drawn."""
    random = np.random.default_rng([seed, 7])
    models: list[Model] = []
    for number in range(MODELS):
        kind = KINDS[number % len(KINDS)]
        fate = FATES[number // len(KINDS) % len(FATES)]
        begin = int(random.integers(BEGINS_FROM, VALUES - RIGHT_WITHIN))
        size = float(random.uniform(1.0, 3.0))
        lift = np.zeros(VALUES)
        if fate == "passing":
            lift[begin : begin + int(random.integers(5, 60))] = 2 * size
        elif fate == "abrupt":
            lift[begin:] = size
        elif fate == "gradual":
            lift[begin:] = np.minimum(1.0, np.arange(VALUES - begin) / RAMP) * size
        models.append(
            Model(
                name=f"model-{number}",
                kind=kind,
                values=noise(kind, random),
                lift=lift,
                drifts_at=begin if fate in {"abrupt", "gradual"} else None,
            )
        )
    return models


def noise(kind: str, random: np.random.Generator) -> NDArray[np.float64]:
    """Return values of unit deviation without a drift; a share stays uniform until it is read."""
    if kind == "heavy-tailed":
        return random.standard_t(3, VALUES) / math.sqrt(3)
    if kind == "share":
        return random.random(VALUES)
    values = random.normal(size=VALUES)
    if kind == "autocorrelated":
        for place in range(1, VALUES):
            step = math.sqrt(1 - CORRELATION**2) * values[place]
            values[place] = CORRELATION * values[place - 1] + step
    if kind == "seasonal":
        values += 3 * np.sin(2 * np.pi * np.arange(VALUES) * CADENCE_SECONDS / 86_400)
    return values


def value_of(model: Model, place: int, *, cured: bool) -> float:
    """Return the value at a place; after a retraining the drift is no longer in it."""
    lift = 0.0 if cured else float(model.lift[place])
    if model.kind == "share":
        return float(model.values[place] < 0.1 + 0.1 * lift)
    return float(model.values[place]) + lift


def counted(worlds: list[list[Model]], make: type[Watch]) -> tuple[int, int, int]:
    """Return right and false retrainings and drifts missed."""
    right = false = missed = 0
    for models in worlds:
        watch = make()
        cured: set[str] = set()
        for place in range(VALUES):
            for model in models:
                value = value_of(model, place, cured=model.name in cured)
                if not watch.observe(model.name, place, value):
                    continue
                begin = model.drifts_at
                if begin is None or model.name in cured or not 0 <= place - begin < RIGHT_WITHIN:
                    false += 1
                else:
                    right += 1
                    cured.add(model.name)
        drifting = {model.name for model in models if model.drifts_at is not None}
        missed += len(drifting - cured)
    return right, false, missed


class Ours:
    """The triggers of `alarms.detection.drift`."""

    def __init__(self) -> None:
        self._triggers = DriftTriggers()

    def observe(self, model: str, place: int, value: float) -> bool:
        """Return whether to retrain; the model then has a new norm."""
        if self._triggers.observe(model, place * CADENCE_SECONDS, value) is None:
            return False
        self._triggers.retrained(model)
        return True


class _Anchors:
    """One anchor for each model."""

    kind: type[PageHinkley] | type[Adwin]

    def __init__(self) -> None:
        self._known: dict[str, PageHinkley | Adwin] = {}

    def observe(self, model: str, place: int, value: float) -> bool:
        """Return whether to retrain."""
        del place
        known = self._known.get(model)
        if known is None:
            known = self._known[model] = self.kind()
        return known.observe(value)


class Hinkley(_Anchors):
    """Page-Hinkley."""

    kind = PageHinkley


class Windows(_Anchors):
    """ADWIN."""

    kind = Adwin
