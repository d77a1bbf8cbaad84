"""Remedies of failed runs: memory failures remedied, money saved, hopeless ones left alone.

Every file `forecasting/sizey/trace_*.csv*` is a workflow; each of its processes with at least 34
completed runs is replayed in the order `sample(frac=1, random_state=seed)`, the first 30 % as
history. The stated first rule holds the 75th percentile of what the process's runs needed so far;
a run that needs more runs out of memory, is lost as a whole, and the product says what follows: its
rules (`engine.dispatching.diagnosing`, `remedying`), then its chooser (`forecasting.remedies`),
which learns online from runs and retries as they end. Cost is memory times hours of every try.
Blind doubling doubles until it is enough; an oracle holds the need in the second try. Injected, one
in ten runs each: user errors, hopeless tasks and failures of the cluster, with words of programs;
and, so that giving up always would show, ends that pass and slow ones that more time helps.
"""

import argparse
import dataclasses
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import frame
from benchmarks.forecasting import sizing
from benchmarks.models import _remedy_cases
from benchmarks.models._remedy_cases import Case, Injected
from engine.dispatching import diagnosing, remedying, retrying
from engine.model.dispatches import Attempt, AttemptState, Reason, Usage
from engine.model.failures import Failure, Place
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    MicroDollars,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.profiles import RunRecord
from engine.model.remedies import FailureCause, Remedy, Retry
from engine.model.resources import Resources
from engine.model.specs import TaskKind, TaskSpec
from forecasting import LearnedRemedies

FIRST_SEED = 1996
SEEDS = 3
QUICK_SEEDS = 1
FIRST_PERCENTILE = 75.0
INJECTED_SHARE = 0.1
RETRIES = 2
MACHINE_FACTOR = 4.0
"""Largest machine: so many times the largest need of the workflow."""
MOST_TRIES = 60
PIPELINE = "workflow"
CLUSTER, POOL = "c", "p"


@dataclass(slots=True)
class Tally:
    """Counts and costs in GiB hours."""

    failed: int = 0
    remedied: int = 0
    first: float = 0.0
    ours: float = 0.0
    doubling: float = 0.0
    oracle: float = 0.0
    tries: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def saving(self) -> float:
        """Returns the share of the oracle's saving over doubling."""
        return (self.doubling - self.ours) / max(self.doubling - self.oracle, 1e-12)


@dataclass(slots=True)
class Injections:
    """What became of injected failures: by kind how many, of which so many were tried again."""

    count: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    tries: Counter[str] = field(default_factory=Counter)
    ours: float = 0.0
    doubling: float = 0.0


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options of this benchmark."""
    group.add_argument("--seeds", type=int, default=None, help="so many, from 1996 on")
    group.add_argument("--first", type=float, default=FIRST_PERCENTILE, help="percentile held")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    count = context.options.get("seeds") or (QUICK_SEEDS if context.quick else SEEDS)
    percentile = context.options.get("first") or FIRST_PERCENTILE
    total, injected = Tally(), Injections()
    # One store for all workflows, as in an engine; each seed starts with an empty one.
    known: dict[int, list[Retry]] = {}
    for path in context.files("forecasting/sizey/trace_*.csv*"):
        tally = Tally()
        for seed in range(FIRST_SEED, FIRST_SEED + count):
            replay = Replay(path, seed, percentile, (tally, injected))
            replay.run(known.setdefault(seed, []))
        yield from of_workflow(path.name.split(".")[0].removeprefix("trace_"), tally)
        _add(total, tally)
    yield from of_all(total, injected)


def of_workflow(name: str, tally: Tally) -> Iterator[frame.Figure]:
    """Yields the figures of one workflow."""
    said = f"{tally.failed} ran out of memory; oracle {_less(tally.oracle, tally):.0%} less"
    yield frame.informs(f"{name}: share of the oracle's saving", tally.saving(), anchor=said)


def of_all(total: Tally, injected: Injections) -> Iterator[frame.Figure]:
    """Yields the figures of all workflows together."""
    remedied = 100.0 * total.remedied / max(total.failed, 1)
    yield frame.at_least("memory failures remedied", remedied, 95.0, unit="%", anchor="Netflix 56")
    yield frame.at_least(
        "share of the oracle's saving over blind doubling",
        total.saving(),
        0.8,
        anchor=f"the oracle costs {_less(total.oracle, total):.0%} less than doubling, first tries "
        f"included; ours {_less(total.ours, total):.0%}",
    )
    for name in ("user error", "hopeless"):
        share = 100.0 * injected.again[name] / max(injected.count[name], 1)
        said = f"{injected.count[name]} injected; doubling repeats each {RETRIES} times"
        yield frame.at_most(f"{name}: tried again", share, 0.0, unit="%", anchor=said)
    count = injected.count["hopeless"]
    mean = injected.tries["hopeless"] / max(count, 1)
    yield frame.informs("hopeless: tries, mean", mean, anchor=f"doubling {1 + RETRIES}")
    flaky = 100.0 * injected.again["flaky"] / max(injected.count["flaky"], 1)
    yield frame.informs("failures of unknown words that pass: tried again", flaky, unit="%")
    slow = 100.0 * injected.again["slow"] / max(injected.count["slow"], 1)
    yield frame.informs("slow ones that work until their time is over: given more", slow, unit="%")
    wrongly = injected.count["infrastructure"] - injected.again["infrastructure"]
    yield frame.at_most("failures of the cluster that used up retries", wrongly, 0)
    saved = 1.0 - (total.first + total.ours + injected.ours) / (
        total.first + total.doubling + injected.doubling
    )
    yield frame.informs(
        "cost of all failures saved against blind doubling",
        100.0 * saved,
        unit="%",
        anchor="Netflix about 50",
    )
    yield frame.informs("tries after the first, mean", statistics.mean(total.tries or [0]))
    each = 1_000.0 * total.seconds / max(len(total.tries), 1)
    yield frame.informs("decision", each, unit="CPU ms")


def _less(cost: float, tally: Tally) -> float:
    return 1.0 - (cost + tally.first) / max(tally.doubling + tally.first, 1e-12)


def _add(total: Tally, one: Tally) -> None:
    for name in ("failed", "remedied", "first", "ours", "doubling", "oracle", "seconds"):
        setattr(total, name, getattr(total, name) + getattr(one, name))
    total.tries += one.tries


class Replay:
    """One workflow in one order: runs end one after another, and teach."""

    def __init__(
        self, path: Path, seed: int, percentile: float, counted: tuple[Tally, Injections]
    ) -> None:
        self._histories = list(_remedy_cases.histories(path, seed))
        self._percentile = percentile
        self._dice = random.Random(seed)
        self._tally, self._injected = counted
        self._chooser = LearnedRemedies()
        self._retries: list[Retry] = []
        largest = max(float(task.memory.max()) for _, task in self._histories)
        self._machine = MACHINE_FACTOR * largest * _remedy_cases.GIB_OF_GB
        self._now = 0.0

    def run(self, retries: list[Retry]) -> None:
        """Replays every process; `retries` are those of all workflows before, and grow."""
        self._retries = retries
        for name, task in self._histories:
            runs = [self._record(name, task, place) for place in range(len(task.memory))]
            for case in _remedy_cases.cases(name, task, self._percentile):
                self._one(case, tuple(runs[: case.place]))

    def _record(self, name: str, task: sizing.Task, place: int) -> RunRecord:
        self._now += 1.0
        gib = _remedy_cases.GIB_OF_GB
        return RunRecord(
            pipeline=PipelineName(PIPELINE),
            task=TaskName(name),
            kind=TaskKind.ETL,
            attributes={"volume_gib": float(task.sizes[place]) * gib},
            ended_at=self._now,
            duration_seconds=float(task.hours[place]) * 3_600.0,
            cpu_cores_mean=1.0,
            memory_gib_peak=max(float(task.memory[place]) * gib, 1e-6),
        )

    def _one(self, case: Case, runs: tuple[RunRecord, ...]) -> None:
        dice = self._dice.random()
        if dice < INJECTED_SHARE:
            self._inject(case, runs, "user error", self._dice.choice(_remedy_cases.USER_ERRORS))
        elif dice < 2 * INJECTED_SHARE:
            self._inject(case, runs, "hopeless", self._dice.choice(_remedy_cases.HOPELESS))
        elif dice < 3 * INJECTED_SHARE:
            self._infrastructure(case, runs)
        elif dice < 4 * INJECTED_SHARE:
            self._flaky(case, runs)
        elif dice < 5 * INJECTED_SHARE:
            self._slow(case, runs)
        if case.first_gib < case.need_gib:
            self._memory(case, runs)

    def _memory(self, case: Case, runs: tuple[RunRecord, ...]) -> None:
        """Replays a run that needs more than its first try holds."""
        tally = self._tally
        tally.failed += 1
        tally.first += case.first_gib * case.hours
        tally.oracle += case.need_gib * case.hours
        tally.doubling += doubled(case.first_gib, case.need_gib) * case.hours
        attempts: list[Attempt] = []
        held = case.first_gib
        while len(attempts) < MOST_TRIES:
            failed = held < case.need_gib
            attempts.append(
                ended(case, len(attempts) + 1, held, Reason.OUT_OF_MEMORY if failed else None)
            )
            if not failed:
                self._learn(attempts)
                tally.remedied += 1
                break
            remedy = self._decide(case, attempts, (), runs)
            if not remedy.retries or remedy.configuration is None:
                # Somebody does by hand what doubling would have done from there.
                tally.ours += doubled(held, case.need_gib) * case.hours
                break
            held = remedy.configuration.memory_gib or held
            tally.ours += held * case.hours
        tally.tries.append(len(attempts) - 1)

    def _inject(self, case: Case, runs: tuple[RunRecord, ...], name: str, how: Injected) -> None:
        """Replays a run that fails in its own way, however often it is tried."""
        self._injected.count[name] += 1
        held = self._machine if how.name == "more than any machine" else case.first_gib
        attempts: list[Attempt] = []
        while len(attempts) < MOST_TRIES:
            attempts.append(
                ended(
                    case,
                    len(attempts) + 1,
                    held,
                    how.reason,
                    how.exit_code,
                    cpu_share=how.cpu_share,
                )
            )
            self._injected.ours += held * case.hours * (len(attempts) > 1)
            lines = _remedy_cases.spoken(how, self._dice)
            if not self._decide(case, attempts, lines, runs).retries:
                break
        self._injected.again[name] += len(attempts) > 1
        self._injected.tries[name] += len(attempts)
        blind = sum(min(held * 2.0**n, self._machine) for n in range(1, RETRIES + 1))
        self._injected.doubling += blind * case.hours

    def _infrastructure(self, case: Case, runs: tuple[RunRecord, ...]) -> None:
        """Fails by the cluster once more than there are retries, which must all be left then."""
        self._injected.count["infrastructure"] += 1
        attempts: list[Attempt] = []
        for _ in range(RETRIES + 1):
            how = self._dice.choice(_remedy_cases.INFRASTRUCTURE)
            attempts.append(
                ended(case, len(attempts) + 1, case.first_gib, how.reason, how.exit_code)
            )
            if not self._decide(
                case, attempts, _remedy_cases.spoken(how, self._dice), runs
            ).retries:
                return
        spec = TaskSpec(name=TaskName(case.task), kind=TaskKind.ETL, retries=RETRIES)
        used = retrying.failures(spec, attempts, self._now)
        self._injected.again["infrastructure"] += used == 0

    def _flaky(self, case: Case, runs: tuple[RunRecord, ...]) -> None:
        """Fails of something that no rule knows, and succeeds when it is tried again."""
        self._injected.count["flaky"] += 1
        attempts = [ended(case, 1, case.first_gib, Reason.EXIT_CODE, 9)]
        lines = (f"lost the lock of shard {self._dice.randrange(1, 1_000)}",)
        if self._decide(case, attempts, lines, runs).retries:
            self._injected.again["flaky"] += 1
            attempts.append(ended(case, 2, case.first_gib, None))
            self._learn(attempts)

    def _slow(self, case: Case, runs: tuple[RunRecord, ...]) -> None:
        """Works until its time is over, as what is larger than usual does; more time helps it."""
        self._injected.count["slow"] += 1
        attempts = [ended(case, 1, case.first_gib, Reason.TIMED_OUT, -15)]
        remedy = self._decide(case, attempts, (), runs)
        if remedy.retries and remedy.configuration is not None:
            self._injected.again["slow"] += remedy.configuration.time_factor > 1.0
            attempts.append(ended(case, 2, case.first_gib, None))
            self._learn(attempts)

    def _decide(
        self,
        case: Case,
        attempts: list[Attempt],
        lines: tuple[str, ...],
        runs: tuple[RunRecord, ...],
    ) -> Remedy:
        """Returns what the product says follows, and notes it with the attempt, as it does."""
        began = time.process_time()
        spec = TaskSpec(name=TaskName(case.task), kind=TaskKind.ETL, retries=RETRIES)
        diagnosis = diagnosing.diagnose(attempts, lines, memory_gib_most=self._machine)
        remedy = remedying.by_rule(spec, attempts, diagnosis, self._now)
        if remedy is None:
            ran_out = diagnosis.cause is FailureCause.OUT_OF_MEMORY
            remedy = self._chooser.choose(
                Failure(
                    pipeline=PIPELINE,
                    task=spec,
                    diagnosis=diagnosis,
                    attempts=tuple(attempts),
                    planned=Resources(cpu_cores=1.0, memory_gib=case.first_gib),
                    places=(self._place(),),
                    attributes={"volume_gib": case.volume_gib},
                    seconds=case.hours * 3_600.0,
                    retries_left=1 + RETRIES - retrying.failures(spec, attempts, self._now),
                    runs=runs if ran_out else (),
                    retries=tuple(self._retries),
                )
            )
        self._tally.seconds += time.process_time() - began
        last = attempts[-1]
        attempts[-1] = noted(last, remedy)
        self._learn(attempts)
        return remedy

    def _learn(self, attempts: list[Attempt]) -> None:
        retry = remedying.retry_of(attempts, TaskKind.ETL)
        if retry is not None:
            self._retries.append(retry)

    def _place(self) -> Place:
        return Place(
            cluster=CLUSTER,
            pool=POOL,
            room=Resources(cpu_cores=64.0, memory_gib=self._machine, disk_gib=1_000.0),
            price_micro_dollars_per_hour=MicroDollars(3_000_000),
        )


def doubled(held: float, need: float) -> float:
    """Returns what blind doubling holds after a try of so much, all tries together."""
    total = 0.0
    for _ in range(MOST_TRIES):
        if held >= need:
            break
        held *= 2.0
        total += held
    return total


def noted(attempt: Attempt, remedy: Remedy) -> Attempt:
    """Returns an attempt with its remedy, as the store keeps it."""
    return dataclasses.replace(attempt, remedy=remedy)


def ended(
    case: Case,
    number: int,
    held: float,
    reason: Reason | None,
    exit_code: int | None = None,
    *,
    cpu_share: float = 1.0,
) -> Attempt:
    """Returns an attempt that ended: well without a reason.

    The traces round to hours, and so the shortest runs to nothing; none takes less than a second.
    """
    seconds = max(case.hours * 3_600.0, 1.0)
    return Attempt(
        attempt_id=AttemptId(f"r-1.{case.task}.{number}"),
        run_id=RunId("r-1"),
        pipeline=PipelineName(PIPELINE),
        task=TaskName(case.task),
        number=number,
        executor="replay",
        cluster=ClusterName(CLUSTER),
        pool=PoolName(POOL),
        held=Resources(cpu_cores=1.0, memory_gib=held),
        state=AttemptState.SUCCEEDED if reason is None else AttemptState.FAILED,
        intended_at=0.0,
        ended_at=seconds,
        fence=1,
        reason=reason or Reason.COMPLETED,
        exit_code=exit_code,
        usage=Usage(duration_seconds=seconds, cpu_seconds=cpu_share * seconds, memory_gib_peak=0.0),
    )
