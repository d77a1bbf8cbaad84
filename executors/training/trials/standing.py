"""What is known of every trial of a study, put together from its journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from executors.training.trials.halving import Standing
from executors.training.trials.trial import Value


@dataclass(slots=True, kw_only=True)
class Record:
    """One trial.

    values: of every epoch, by metric. epochs_run: also those that were lost with a kill.
    cpu_seconds: of all its processes, killed ones included. wall_at: seconds of the study's work
        when an epoch ended. losses: visits that ended since their place was lost; kills: others.
    epochs_told: of the visit that runs, or ran last.
    """

    number: int
    parameters: Mapping[str, Value]
    values: dict[int, dict[str, float]] = field(default_factory=dict)
    wall_at: dict[int, float] = field(default_factory=dict)
    goal: int = 0
    running: bool = False
    reason: str = ""
    out: bool = False
    attempts: int = 0
    kills: int = 0
    losses: int = 0
    epochs_told: set[int] = field(default_factory=set)
    epochs_run: int = 0
    cpu_seconds: float = 0.0

    def standing(self) -> Standing:
        """Return what the scheduler needs."""
        return Standing(
            number=self.number,
            losses={epoch: values["loss"] for epoch, values in self.values.items()},
            goal=self.goal,
            running=self.running,
            out=self.out,
        )

    @property
    def loss(self) -> float | None:
        """The lowest loss, or None before the first epoch."""
        return min((v["loss"] for v in self.values.values()), default=None)


@dataclass(slots=True)
class Records:
    """All trials of a study. `apply` is the only thing that changes them.

    wall_seconds: that the study worked, over all its sittings.
    interrupted: trials that ran when the journal ended, for a host that can take them over.
    """

    trials: dict[int, Record] = field(default_factory=dict)
    wall_seconds: float = 0.0
    sittings: int = 0
    interrupted: tuple[int, ...] = ()

    def replay(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take everything a journal holds; what ran when it ended runs no more."""
        for event in events:
            self.apply(event)
        self.interrupted = tuple(r.number for r in self.trials.values() if r.running)
        for record in self.trials.values():
            record.running = False

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        self.wall_seconds = max(self.wall_seconds, float(event.get("wall", 0.0)))
        kind = event["event"]
        if kind == "sitting":
            self.sittings += 1
            return
        if kind == "proposed":
            number = int(event["trial"])
            self.trials[number] = Record(number=number, parameters=event["parameters"])
            return
        record = self.trials.get(event.get("trial", -1))
        if record is not None:
            _apply(record, event)

    @property
    def epochs_run(self) -> int:
        """Epochs of all trials, those lost with a kill included."""
        return sum(record.epochs_run for record in self.trials.values())

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all trials."""
        return sum(record.cpu_seconds for record in self.trials.values())

    def best(self) -> Record | None:
        """Return the trial with the lowest loss, or None before the first."""
        there = [record for record in self.trials.values() if not record.out and record.values]
        return min(there, key=lambda r: (r.loss or 0.0, r.number), default=None)

    def standings(self) -> list[Standing]:
        """Return where every trial stands."""
        return [record.standing() for record in self.trials.values()]


def _apply(record: Record, event: Mapping[str, Any]) -> None:
    kind = event["event"]
    if kind == "asked":
        record.goal = int(event["goal"])
        record.attempts = int(event["attempt"])
        record.running = True
        record.epochs_told = set()
    elif event.get("attempt") != record.attempts:
        return  # a late word of a process that was given up
    elif kind == "epoch":
        epoch = int(event["epoch"])
        record.epochs_run += 1
        if not event.get("lost"):  # with its checkpoint it is to be run again
            record.values[epoch] = dict(event["values"])
            record.wall_at[epoch] = float(event.get("wall", 0.0))
        record.epochs_told.add(epoch)
    elif kind == "failed":
        record.reason = str(event["reason"])
    elif kind == "ended":
        record.running = False
        record.cpu_seconds += float(event.get("cpu_seconds", 0.0))
        lost = int(event["code"]) < 0
        record.losses += lost and bool(event.get("blameless"))
        record.kills += lost and not event.get("blameless")
        record.out = bool(event.get("out"))
        record.reason = str(event.get("reason") or record.reason)
