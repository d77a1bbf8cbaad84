"""Trainings outside pipelines, and how two trainings differ, as every face says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from executors.training.tracking import experiments
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.trainings import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A training outside pipelines whose record cannot be read: what is wrong, and what to do."""

    name: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The newest trainings outside pipelines, and all that are damaged."""

    trainings: tuple[Recorded, ...]
    damaged: tuple[Damaged, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One metric of a task, or what else two runs do not have in common; "-" where one lacks it.

    what: part of the record and name in it, such as `data.heart.csv`.
    """

    task: str
    what: str
    first: str
    second: str


def differences(first: Sequence[Experiment], second: Sequence[Experiment]) -> list[Difference]:
    """Return all metrics of two runs' trainings, and what else differs between them."""
    flat = [{one.task: one.flat() for one in found} for found in (first, second)]
    return [
        Difference(task=task, what=what, first=mine, second=other)
        for task, what, mine, other in experiments.differences(flat[0], flat[1])
    ]


def apart(found: Sequence[Difference]) -> int:
    """Return how many of them are in data, code, parameters and environment."""
    results = ("metrics.", "artifacts.")
    return sum(one.first != one.second and not one.what.startswith(results) for one in found)
