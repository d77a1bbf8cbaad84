"""Whether the whole watch loop retrains when that helps only, and names the right kind of cause.

Each seed is a world of four pipelines (`simulations.loop`): three with faults of different kinds
(data, model, code, configuration, infrastructure, demand), one with a dip of quality that passes
or with nothing; changes that break nothing come at random. All that judges and acts is the
product's own; settings are its defaults at ten minutes a window. A retraining is right when its
pipeline has a fault that training cures, it is not cured yet, and data that arrive in another
unit are read right. Compared is a retraining on every alarm of drift (quality or features), one
at a time. A fault nobody saw counts as a wrong kind.

Every fifth seed is also a world in which concepts move just after a routine deployment, and
deployments that broke something are followed by a routine one.
Each seed is also a world of trainings (`simulations.training_runs`) that fall, fail, or do neither.
What the engine does beside retraining is scored in `_mending`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks import frame
from benchmarks.alarms import _mending
from engine.model.alarms import CauseKind, Coming, SuperAlarm
from simulations import faults, loop
from simulations.loop import Outcome
from simulations.pipelines import WINDOW_SECONDS, Pipeline
from simulations.training_runs import TrainingWorld

SEEDS = 200
QUICK_SEEDS = 6
BESIDE_PART = 5
"""To so many worlds comes one whose faults stand beside deployments that broke nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrains:
    """Counted retrainings, with the hours of GPU of those that were for nothing."""

    right: int
    wrong: int
    due: int
    wasted_gpu_hours: float

    @property
    def precision(self) -> float:
        """Share of retrainings that were right."""
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of faults that training cures which were cured."""
        return self.right / max(1, self.due)


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the number of seeds, and the first."""
    group.add_argument("--seeds", type=int, default=0, help="worlds; 0: 200, or 6 with --quick")
    group.add_argument("--first-seed", type=int, default=0)


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Play the worlds and score them."""
    count = int(context.options.get("seeds") or 0) or (QUICK_SEEDS if context.quick else SEEDS)
    first = int(context.options.get("first_seed") or 0)
    outcomes = loop.play(range(first, first + count))
    ours = total([retrains(outcome) for outcome in outcomes])
    every = total([on_every_drift(outcome) for outcome in outcomes])
    asked = ours.right + ours.wrong
    yield frame.at_least(
        f"retraining precision, {asked} retrainings in {count} worlds",
        ours.precision,
        0.95,
        anchor=f"on every drift {every.precision:.2f}",
    )
    yield frame.at_least(
        f"retraining recall, {ours.due} faults that training cures",
        ours.recall,
        0.90,
        anchor=f"on every drift {every.recall:.2f}",
    )
    yield frame.at_most(
        "wasted GPU hours, against retraining on every drift",
        ours.wasted_gpu_hours / max(1e-9, every.wasted_gpu_hours),
        0.5,
        anchor=f"{ours.wasted_gpu_hours:.0f} h against {every.wasted_gpu_hours:.0f} h",
    )
    yield from _mending.figures(outcomes)
    further = range(first, first + max(1, count // BESIDE_PART))
    yield from _mending.beside(loop.play(further, faults.beside))
    trainings = [TrainingWorld(seed).run() for seed in range(first, first + count)]
    yield from _mending.of_trainings(trainings)
    yield from kinds(outcomes)
    early = sum(before(outcome) for outcome in outcomes)
    yield frame.informs(
        "super-alarms before any fault",
        early,
        anchor=f"{count * faults.NORMAL_WINDOWS} windows of four pipelines",
    )


def kinds(outcomes: Sequence[Outcome]) -> Iterator[frame.Figure]:
    """Yield the share of faults whose kind was named right, in all and by fault."""
    judged: list[tuple[str, CauseKind | None, float]] = []
    for outcome in outcomes:
        for one in outcome.pipelines:
            if one.fault.name in faults.KINDS:
                came = came_of(outcome, one)
                cause = None if came is None else came.likely
                kind = None if cause is None else cause.kind
                judged.append((one.fault.name, kind, 0.0 if cause is None else cause.belief))
    right = [kind is faults.KINDS[name] for name, kind, _ in judged]
    yield frame.at_least(
        f"root kind right, {len(judged)} faults",
        statistics.fmean(right) if right else 0.0,
        0.85,
        anchor="chance .17",
    )
    yield frame.informs(
        "mean belief in the first cause",
        statistics.fmean(belief for *_, belief in judged) if judged else 0.0,
        anchor="calibrated if near the share that is right",
    )
    for name in faults.KINDS:
        here = [kind for fault, kind, _ in judged if fault == name]
        if here:
            seen = [kind for kind in here if kind is not None]
            wrong = [kind.value for kind in seen if kind is not faults.KINDS[name]]
            told = ", ".join(f"{word} {wrong.count(word)}" for word in sorted(set(wrong)))
            yield frame.informs(
                f"right kind of {len(here)}: {name}",
                sum(kind is faults.KINDS[name] for kind in here) / len(here),
                anchor=f"not seen {len(here) - len(seen)}{'; ' if told else ''}{told}",
            )


def window_of(at: float) -> float:
    """Return the window of a time."""
    return (at - loop.START) / WINDOW_SECONDS


def before(outcome: Outcome) -> int:
    """Return how often a super-alarm came before any fault."""
    came = [one for group in outcome.groups for one in comings(group)]
    return sum(window_of(one.opened_at) < faults.NORMAL_WINDOWS for one in came)


def comings(group: SuperAlarm) -> tuple[SuperAlarm | Coming, ...]:
    """Return every time that a super-alarm came, oldest first."""
    return (*group.earlier, group)


def came_of(outcome: Outcome, one: Pipeline) -> SuperAlarm | Coming | None:
    """Return the super-alarm that a fault raised first, as it was that time, or None."""
    found: list[tuple[float, str, SuperAlarm | Coming]] = []
    for group in outcome.groups:
        for came in comings(group):
            for alarm in came.alarms:
                is_its = one.name in {alarm.labels.get("pipeline"), *group.pipelines} or (
                    alarm.subject == f"cluster:{one.cluster}"
                )
                if is_its and window_of(alarm.at) >= one.fault.begins:
                    found.append((alarm.at, group.super_alarm_id, came))
    return min(found, key=lambda item: item[:2])[2] if found else None


def retrains(outcome: Outcome) -> Retrains:
    """Count the retrainings that the engine asked for."""
    right = wrong = 0
    wasted = 0.0
    by_name = {one.name: one for one in outcome.pipelines}
    cured: set[str] = set()
    for action in sorted(outcome.retrains, key=lambda action: action.wanted_at):
        one = by_name[str(action.pipeline)]
        is_due = window_of(action.wanted_at) >= one.fault.begins and one.name not in cured
        if is_due and loop.helps(one, action):
            right += 1
            cured.add(one.name)
        else:
            wrong += 1
            wasted += one.gpu_hours
    return Retrains(right=right, wrong=wrong, due=due(outcome), wasted_gpu_hours=wasted)


def on_every_drift(outcome: Outcome) -> Retrains:
    """Count retrainings on each alarm of quality or features while none is under way."""
    right = wrong = 0
    wasted = 0.0
    for one in outcome.pipelines:
        until = float("-inf")
        is_cured = False
        cure = [a.wanted_at for a in outcome.retrains if a.pipeline == one.name]
        for alarm in outcome.alarms:
            drifts = alarm.signal == "quality" or alarm.signal.startswith("feature_")
            window = window_of(alarm.at)
            if alarm.labels.get("pipeline") != one.name or not drifts or window < until:
                continue
            if is_cured and cure and alarm.at <= cure[0]:
                # This policy would have cured it by then: such alarms are not its own.
                continue
            until = window + loop.TRAINING_WINDOWS
            if one.fault.name in faults.CURED and window >= one.fault.begins and not is_cured:
                is_cured = True
                right += 1
            else:
                wrong += 1
                wasted += one.gpu_hours
    return Retrains(right=right, wrong=wrong, due=due(outcome), wasted_gpu_hours=wasted)


def due(outcome: Outcome) -> int:
    """Return how many faults of a world training cures."""
    return sum(one.fault.name in faults.CURED for one in outcome.pipelines)


def total(every: Sequence[Retrains]) -> Retrains:
    """Return the sums."""
    return Retrains(
        right=sum(one.right for one in every),
        wrong=sum(one.wrong for one in every),
        due=sum(one.due for one in every),
        wasted_gpu_hours=sum(one.wasted_gpu_hours for one in every),
    )
