"""Scores of what is mended without a new model: roll-backs, re-plans, stops and retries.

A roll-back is right when an image with a fault served and one without serves after it; windows of
a fault are those in which such an image served, against those until people set it back.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from benchmarks import frame
from engine.model.alarms import ActionKind
from simulations import faults
from simulations.loop import START, Outcome
from simulations.pipelines import WINDOW_SECONDS
from simulations.training_runs import BATCHES, LASTING, TrainingOutcome

_HOUR_SECONDS = 3_600.0


def figures(outcomes: Sequence[Outcome]) -> Iterator[frame.Figure]:
    """Yield what roll-backs came to."""
    done = [(number, each) for number, one in enumerate(outcomes) for each in one.roll_backs]
    right = {(number, each.pipeline) for number, each in done if each.is_right}
    broken = [
        (number, pipeline)
        for number, one in enumerate(outcomes)
        for pipeline in one.pipelines
        if pipeline.is_deployed
    ]
    yield frame.at_least(
        f"roll-backs that were right, of {len(done)}",
        sum(each.is_right for _, each in done) / max(1, len(done)),
        0.9,
        anchor=f"{len(outcomes)} worlds",
    )
    yield frame.at_least(
        f"faults of deployments that were rolled back, of {len(broken)}",
        statistics.fmean((number, one.name) in right for number, one in broken) if broken else 0.0,
        0.9,
    )
    alone = [float(one.fault.ends - one.fault.begins) for _, one in broken]
    ours = [float(one.windows_broken) for _, one in broken]
    yield frame.at_most(
        "hours of such a fault, against doing nothing",
        sum(ours) / max(1.0, sum(alone)),
        0.5,
        anchor=f"{_hours(ours):.1f} h against {_hours(alone):.1f} h each",
    )
    yield from followed(outcomes)
    yield from _moves(outcomes)


def _moves(outcomes: Sequence[Outcome]) -> Iterator[frame.Figure]:
    """Yield what plans around infrastructure came to: right while that very cluster is lost."""
    lost = {
        (number, f"cluster:{pipeline.cluster}"): pipeline.fault
        for number, one in enumerate(outcomes)
        for pipeline in one.pipelines
        if pipeline.fault.name == "lost cluster"
    }
    moved: list[tuple[int, str]] = []
    right: set[tuple[int, str]] = set()
    for number, one in enumerate(outcomes):
        for action in one.actions:
            if action.kind is ActionKind.REPLAN:
                moved.append((number, action.subject))
                fault = lost.get(moved[-1])
                if fault is not None and fault.part(window_of(action.wanted_at)) > 0:
                    right.add(moved[-1])
    yield frame.at_least(
        f"plans around infrastructure that were right, of {len(moved)}",
        len(right) / max(1, len(moved)),
        0.9,
    )
    yield frame.at_least(
        f"lost clusters that were planned around, of {len(lost)}",
        len(right) / max(1, len(lost)),
        0.9,
    )


def beside(outcomes: Sequence[Outcome]) -> Iterator[frame.Figure]:
    """Yield scores of worlds whose faults stand beside deployments that broke nothing."""
    done = [(number, each) for number, one in enumerate(outcomes) for each in one.roll_backs]
    undone = {(number, each.pipeline) for number, each in done if each.is_right}
    every = [(number, one) for number, each in enumerate(outcomes) for one in each.pipelines]
    broken = [(number, one.name) for number, one in every if one.is_deployed]
    moved = [one for _, one in every if one.fault.name in faults.CURED]
    yield frame.at_least(
        f"faults of deployments with another on top that were rolled back, of {len(broken)}",
        sum(key in undone for key in broken) / max(1, len(broken)),
        0.9,
        anchor=f"{len(outcomes)} further worlds",
    )
    yield frame.at_least(
        f"concepts that moved beside a deployment and were learned, of {len(moved)}",
        sum(one.is_cured for one in moved) / max(1, len(moved)),
        0.9,
    )
    yield from followed(outcomes)


def followed(outcomes: Sequence[Outcome]) -> Iterator[frame.Figure]:
    """Yield how many roll-backs that should have been trainings were followed by one that cured."""
    wrong = [
        (one, each, pipeline)
        for one in outcomes
        for each in one.roll_backs
        for pipeline in one.pipelines
        if pipeline.name == each.pipeline and pipeline.fault.name in faults.CURED
    ]
    right = [
        pipeline.is_cured
        and any(
            action.pipeline == each.pipeline and action.wanted_at > each.at
            for action in one.retrains
        )
        for one, each, pipeline in wrong
    ]
    if right:
        yield frame.at_least(
            f"roll-backs that should have been trainings and that one followed, of {len(wrong)}",
            sum(right) / len(right),
            0.9,
        )


def of_trainings(outcomes: Sequence[TrainingOutcome]) -> Iterator[frame.Figure]:
    """Yield what stops and retries came to.

    A stop is right when precision was lost for good, a retry when its run succeeded then.
    """
    every = [(number, each) for number, one in enumerate(outcomes) for each in one.trainers]
    fault = {(number, each.name): each.fault for number, each in every}
    stops, retries = (
        [(number, str(a.pipeline)) for number, one in enumerate(outcomes) for a in one.done(kind)]
        for kind in (ActionKind.STOP, ActionKind.RETRY)
    )
    right_stops = [key for key in stops if fault[key] in LASTING]
    right_retries = [key for key in retries if key[1] in outcomes[key[0]].succeeded]
    falls = [(number, each) for number, each in every if each.fault in LASTING]
    failures = [key for key, name in fault.items() if name == "wrong rate"]
    yield frame.at_least(
        f"stops that were right, of {len(stops)}",
        len(right_stops) / max(1, len(stops)),
        0.9,
        anchor=f"{len(outcomes)} times {len(fault) // max(1, len(outcomes))} trainings",
    )
    yield frame.at_least(
        f"trainings that lost precision for good and were stopped, of {len(falls)}",
        len(set(right_stops)) / max(1, len(falls)),
        0.9,
    )
    vain = sum(each.vain for _, each in falls)
    alone = sum(BATCHES - each.falls_at for _, each in falls)
    yield frame.at_most(
        "batches trained in vain, against doing nothing",
        vain / max(1, alone),
        0.5,
        anchor=f"{vain} against {alone}",
    )
    yield frame.at_least(
        f"retries that were right, of {len(retries)}",
        len(right_retries) / max(1, len(retries)),
        0.9,
    )
    yield frame.at_least(
        f"failed runs with a remedy that were mended, of {len(failures)}",
        len(set(right_retries) & set(failures)) / max(1, len(failures)),
        0.9,
    )


def _hours(windows: Sequence[float]) -> float:
    return statistics.fmean(windows) * WINDOW_SECONDS / _HOUR_SECONDS if windows else 0.0


def window_of(at: float) -> int:
    """Return the window of a time."""
    return int((at - START) / WINDOW_SECONDS)
