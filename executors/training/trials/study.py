"""A study: proposes trials, has a host run them, stops the worse ones early, never loses one.

Everything that happens is in the journal before anything follows from it. A study whose process
was killed goes on where it was when the same study is run again in its folder; a trial whose
process was killed goes on from its checkpoint.
"""

from __future__ import annotations

import fcntl
import json
import signal
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from engine.model.errors import DamagedError, FinalError, RefusedError
from executors.training.trials import halving, samplers, spaces
from executors.training.trials.hosts import Host, ProcessHost
from executors.training.trials.journal import Journal, read
from executors.training.trials.standing import Record, Records

_HOST_STARTS_MAX = 5
_LOOK_SECONDS = 1.0
_LOSSES_MAX = 10
"""How often a trial is begun again that its place lost, which is not the trial's fault."""
JOURNAL = "journal.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a study is.

    objective: `MODULE:FUNCTION` or `FILE.py:FUNCTION`. space: as texts, see `spaces`.
    epochs: of a trial that is never stopped. eta: the best of so many go on; None stops nobody.
    retries: how often a trial whose process was killed is tried again.
    epoch_seconds_max: a trial that says nothing for so long is killed.
    file_bytes_max: the largest file that a trial may write.
    """

    objective: str
    space: tuple[str, ...]
    trials: int = 27
    epochs: int = 9
    eta: int | None = 3
    sampler: str = samplers.RANDOM
    seed: int = 0
    retries: int = 2
    epoch_seconds_max: float = 3600.0
    file_bytes_max: int = 4 << 30


class Study:
    """A study in its folder. Use as a context manager: one process at a time may hold it.

    clock: returns seconds, of any beginning; only differences count.

    Raises:
        RefusedError: when another process runs this study.
        DamagedError: when the folder holds another study, or a damaged journal.
    """

    def __init__(self, folder: Path, plan: Plan, *, clock: Callable[[], float]) -> None:
        self.folder = folder.absolute()
        self.plan = plan
        self.records = Records()
        self._clock = clock
        self._space = spaces.parse(plan.space)
        self._sampler = samplers.sampler(plan.sampler, self._space, plan.seed)
        self._ladder = halving.rungs(plan.epochs, plan.eta)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            message = f"another process runs the study in {str(self.folder)!r}"
            raise RefusedError(message, fix="wait for it, or name another folder") from error
        try:
            events = read(self.folder / JOURNAL)
            _check_same(self.folder, plan, events)
            self.records.replay(events)
            self._journal = Journal(self.folder / JOURNAL)
        except BaseException:
            self._lock.close()
            raise
        self._before = self.records.wall_seconds
        self._began = clock()
        self._watch: Callable[[Mapping[str, Any]], None] = lambda _: None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the folder."""
        self._journal.close()
        self._lock.close()

    def run(
        self,
        workers: int = 1,
        *,
        watch: Callable[[Mapping[str, Any]], None] = lambda _: None,
        hosting: Callable[[], Host] | None = None,
    ) -> Records:
        """Run until nothing is left to do.

        watch: is told every event. hosting: makes what runs the trials; without it they are
        processes of this machine.

        Raises:
            FinalError: when the objective cannot be loaded.
            RetryableError: when the place of the trials does not answer; run it again.
        """
        self._watch = watch
        hosting = hosting or (lambda: ProcessHost(self.plan.objective, self.folder))
        self._note({"event": "sitting", "plan": asdict(self.plan), "workers": workers})
        for _ in range(_HOST_STARTS_MAX):
            with hosting() as host:
                if self._work(host, workers):
                    return self.records
        message = f"the process that starts trials died {_HOST_STARTS_MAX} times"
        raise FinalError(message, fix=f"{self.folder / 'host.log'} says why; free memory, repeat")

    def _work(self, host: Host, workers: int) -> bool:
        """Give work and take word until all is done; False when the host died."""
        heard = self._adopted(host)
        ready = False
        while True:
            while ready and len(heard) < workers and (record := self._next()) is not None:
                heard[record.number] = self._clock()
                host.send(self._order(record))
            if ready and not heard:
                return True
            events = host.take(_LOOK_SECONDS)
            if events is None:
                self._give_up(heard, ready=ready, reason="the process that starts trials died")
                return False
            for event in events:
                ready = ready or event["event"] == "ready"
                self._hear(event, heard)
            for number, last in heard.items():
                if host.hears_epochs and self._clock() - last > self.plan.epoch_seconds_max:
                    host.send({"kill": number})

    def _adopted(self, host: Host) -> dict[int, float]:
        """Let the host take over what went on while no study looked; return since when."""
        records = self.records
        left = [records.trials[number] for number in records.interrupted]
        taken = host.adopt([self._order(record) for record in left])
        for number in taken:
            records.trials[number].running = True
        records.interrupted = ()
        return dict.fromkeys(taken, self._clock())

    def _next(self) -> Record | None:
        """Return the trial that runs next, asked for in the journal, or None."""
        job = halving.next_job(
            self.records.standings(), self._ladder, eta=self.plan.eta, trials=self.plan.trials
        )
        if job is None:
            return None
        if job.number not in self.records.trials:
            tried = [
                samplers.Tried(parameters=r.parameters, loss=r.loss)
                for r in self.records.trials.values()
            ]
            parameters = self._sampler.propose(job.number, tried)
            self._note({"event": "proposed", "trial": job.number, "parameters": parameters})
        attempt = self.records.trials[job.number].attempts + 1
        self._note({"event": "asked", "trial": job.number, "goal": job.goal, "attempt": attempt})
        return self.records.trials[job.number]

    def _order(self, record: Record) -> dict[str, Any]:
        folder = self.folder / "trials" / str(record.number)
        folder.mkdir(parents=True, exist_ok=True)
        return {
            "trial": record.number,
            "attempt": record.attempts,
            "parameters": dict(record.parameters),
            "seed": zlib.crc32(f"{self.plan.seed}/{record.number}".encode()),
            "goal": record.goal,
            "folder": str(folder),
            "file_bytes_max": self.plan.file_bytes_max,
            "epoch_seconds_max": self.plan.epoch_seconds_max,
        }

    def _hear(self, event: dict[str, Any], heard: dict[int, float]) -> None:
        """Take word of a trial."""
        number = event.get("trial", -1)
        record = self.records.trials.get(number)
        if record is None or event.get("attempt") != record.attempts:
            return
        silent_seconds = self._clock() - heard.get(number, self._clock())
        heard[number] = self._clock()
        if event["event"] == "ended":
            del heard[number]
            event = self._judged(event, record, silent_seconds)
        if event["event"] == "epoch" and event["epoch"] in record.epochs_told:
            return  # of a visit that was taken over in the middle
        self._note(event)

    def _judged(self, event: dict[str, Any], record: Record, silent: float) -> dict[str, Any]:
        """Say whether a trial that ended is out, and why."""
        code = int(event["code"])
        if code == 0 and record.goal in record.values:
            return event
        if code == 0:
            reason = f"it returned before epoch {record.goal}; loop over `trial.epochs()`"
            return {**event, "out": True, "reason": reason}
        if code > 0:
            return {**event, "out": True, "reason": record.reason or f"exit code {code}"}
        if silent > self.plan.epoch_seconds_max and "reason" not in event:
            reason = f"no epoch ended within {self.plan.epoch_seconds_max:g} s"
            return {**event, "out": True, "reason": reason}
        reason = event.get("reason") or f"killed by {signal.Signals(-code).name}"
        blameless = bool(event.get("blameless"))
        spent = record.losses + 1 > _LOSSES_MAX if blameless else self._has_tried(record)
        return {**event, "out": bool(event.get("out")) or spent, "reason": reason}

    def _has_tried(self, record: Record) -> bool:
        """Return whether one more kill is one too many."""
        return record.kills + 1 > self.plan.retries

    def _give_up(self, heard: Mapping[int, float], *, ready: bool, reason: str) -> None:
        """Note that everything that ran is gone with its host.

        Raises:
            FinalError: when the host never came up: the objective cannot be loaded.
        """
        if not ready:
            log = (self.folder / "host.log").read_text(encoding="utf-8", errors="replace")
            last = log.strip().splitlines()[-1:] or ["it said nothing"]
            raise FinalError(last[0], fix=f"{self.folder / 'host.log'} holds all of it")
        for number in heard:
            attempt = self.records.trials[number].attempts
            event = {"event": "ended", "trial": number, "attempt": attempt, "code": -9}
            self._note({**event, "reason": reason})

    def _note(self, event: Mapping[str, Any]) -> None:
        """Write an event down, then let it count."""
        stamped = {**event, "wall": round(self._before + self._clock() - self._began, 3)}
        self._journal.append(stamped)
        self.records.apply(stamped)
        self._watch(stamped)


def _check_same(folder: Path, plan: Plan, events: list[dict[str, Any]]) -> None:
    """Refuse to go on with another study than the one in the folder."""
    begun = next((event["plan"] for event in events if event["event"] == "sitting"), None)
    wanted = json.loads(json.dumps(asdict(plan)))
    free = {"retries", "epoch_seconds_max", "file_bytes_max"}
    other = [k for k in wanted if begun and k not in free and begun.get(k) != wanted[k]]
    if begun and other:
        said = ", ".join(f"{key} {begun.get(key)!r}, not {wanted[key]!r}" for key in other)
        message = f"the study in {str(folder)!r} has {said}"
        raise DamagedError(message, fix="ask for the same, or name another folder")
