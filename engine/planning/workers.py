"""How many workers train together: each number that a task may have is planned, the best is taken.

More workers end earlier and cost more, for they are never as many times faster as they are many.
Whether that pays follows from everything else in a plan (deadline, prices, room on nodes), so the
placer answers it: a plan is made for each number, the others as they are, task by task, until no
task changes any more. Pure but for the placer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from engine.model.errors import InfeasibleError
from engine.model.identifiers import MicroDollars, PipelineName
from engine.model.plans import (
    Placement,
    PlanRequest,
    WorkersChoice,
    WorkersOption,
    task_key,
)
from engine.model.profiles import Profile
from engine.model.specs import TaskSpec, Workers
from engine.model.trainings import scaling_of, with_workers

PLANNED_MOST = 8
"""Numbers of one task that are planned; of a longer range its ends and powers of two between."""
_PASSES_MOST = 3
Counts = Mapping[str, int]
"""Number of workers of each task that has some, by `PIPELINE/TASK`."""
Place = Callable[[Mapping[str, Profile]], Placement]
"""Places all tasks; raises `InfeasibleError` where wishes clash."""


def numbers(workers: Workers) -> tuple[int, ...]:
    """Return the numbers of workers that are planned, rising.

    >>> numbers(Workers(least=3, most=100))
    (3, 4, 8, 16, 32, 64, 100)
    """
    if workers.most - workers.least < PLANNED_MOST:
        return tuple(range(workers.least, workers.most + 1))
    powers = (1 << power for power in range(workers.most.bit_length()))
    between = (count for count in powers if workers.least < count < workers.most)
    return (workers.least, *between, workers.most)


@dataclass(frozen=True, slots=True)
class _Made:
    """What came of planning one row of numbers: a placement, or why there is none."""

    placement: Placement | None
    clash: InfeasibleError | None = None


@dataclass(slots=True)
class Chooser:
    """Plans numbers of workers, each row of them once.

    alone: the profile of every task; of those that train with workers that of a single one.
    """

    request: PlanRequest
    alone: Mapping[str, Profile]
    place: Place
    _made: dict[tuple[int, ...], _Made] = field(default_factory=dict)

    def tasks(self) -> dict[str, tuple[PipelineName, TaskSpec]]:
        """Return the tasks that train with workers, by key."""
        return {
            task_key(spec.name, task.name): (spec.name, task)
            for spec in self.request.pipelines
            for task in spec.tasks
            if task.workers is not None
        }

    def ranges(self) -> dict[str, tuple[int, ...]]:
        """Return the numbers to choose from by task; one only of those that run or are over."""
        running = {task_key(a.pipeline, a.task): a.workers for a in self.request.fixed}
        found: dict[str, tuple[int, ...]] = {}
        for key, (pipeline, task) in self.tasks().items():
            assert task.workers is not None  # noqa: S101 - only such tasks are among them
            several = numbers(task.workers)
            if running.get(key):
                several = (running[key],)
            elif task.name in self.request.done.get(pipeline, ()):
                several = several[:1]
            found[key] = several
        return found

    def profiles(self, counts: Counts) -> dict[str, Profile]:
        """Return the profiles of all tasks with such numbers of workers."""
        made = dict(self.alone)
        for key, (_, task) in self.tasks().items():
            scaling = scaling_of(task, self.alone[key])
            made[key] = with_workers(self.alone[key], scaling, counts[key])
        return made

    def best(self) -> tuple[dict[str, int], Placement, tuple[WorkersChoice, ...]]:
        """Return the numbers that are taken, the placement with them, and what else was planned.

        Raises:
            InfeasibleError: where no numbers keep all wishes; that of the fewest workers.
        """
        ranges = self.ranges()
        fewest = {key: counts[0] for key, counts in ranges.items()}
        fastest = {key: counts[-1] for key, counts in ranges.items()}
        counts = min((fewest, fastest), key=self._rank)
        open_keys = [key for key, of_task in ranges.items() if len(of_task) > 1]
        for _ in range(_PASSES_MOST):
            before = dict(counts)
            for key in open_keys:
                rows = [{**counts, key: count} for count in ranges[key]]
                counts = min(rows, key=self._rank)
            if counts == before:
                break
        made = self._planned(counts)
        if made.placement is None:
            clash = self._planned(fewest).clash
            assert clash is not None  # noqa: S101 - nothing ranks behind a row that has a placement
            raise clash
        choices = tuple(self._choice(key, ranges[key], counts) for key in open_keys)
        return counts, made.placement, choices

    def _planned(self, counts: Counts) -> _Made:
        row = tuple(counts.values())
        if row not in self._made:
            try:
                self._made[row] = _Made(self.place(self.profiles(counts)))
            except InfeasibleError as error:
                self._made[row] = _Made(None, error)
        return self._made[row]

    def _rank(self, counts: Counts) -> tuple[bool, float, int, int]:
        """Return what is least for the best numbers: what is left out, then money, then workers."""
        placement = self._planned(counts).placement
        workers = sum(counts.values())
        if placement is None:
            return True, 0.0, 0, workers
        weights = {spec.name: spec.sla.weight for spec in self.request.pipelines}
        left_out = sum(weights[each.pipeline] for each in placement.unplaced)
        return False, left_out, placement.objective_micro_dollars, workers

    def _choice(self, key: str, counts: tuple[int, ...], taken: Counts) -> WorkersChoice:
        pipeline, task = self.tasks()[key]
        options = tuple(self._option(key, {**taken, key: count}) for count in counts)
        return WorkersChoice(
            pipeline=pipeline,
            task=task.name,
            workers=taken[key],
            options=options,
            why=_why(options, taken[key]),
        )

    def _option(self, key: str, counts: Counts) -> WorkersOption:
        pipeline, task = self.tasks()[key]
        scaling = scaling_of(task, self.alone[key])
        made = self._planned(counts)
        option = WorkersOption(
            workers=counts[key], speed_up=round(scaling.speed_up(counts[key]), 3)
        )
        if made.placement is None:
            return replace(option, against="" if made.clash is None else made.clash.message)
        found = _assignment_seconds(made.placement, pipeline, task.name)
        missing = [each.task for each in made.placement.unplaced if each.pipeline == pipeline]
        promise = next((p for p in made.placement.promises if p.pipeline == pipeline), None)
        return replace(
            option,
            seconds_p50=found[0],
            cost_micro_dollars=found[1],
            total_micro_dollars=made.placement.objective_micro_dollars,
            keep_forecast=None if promise is None else promise.keep_forecast,
            late_seconds=0.0 if promise is None else promise.late_seconds,
            against=f"{', '.join(missing)} has no place" if missing else "",
        )


def counted(placement: Placement, counts: Counts) -> Placement:
    """Return a placement that says how many workers each training has."""
    assignments = tuple(
        replace(each, workers=counts.get(task_key(each.pipeline, each.task), each.workers))
        for each in placement.assignments
    )
    return replace(placement, assignments=assignments)


def _assignment_seconds(
    placement: Placement, pipeline: str, task: str
) -> tuple[float | None, MicroDollars | None]:
    """Return how long a task takes at the median where it stands, and what it costs there."""
    for each in placement.assignments:
        if (each.pipeline, each.task) == (pipeline, task) and each.end_seconds_p50 is not None:
            return each.end_seconds_p50 - each.start_seconds, each.cost_micro_dollars
    return None, None


def _why(options: tuple[WorkersOption, ...], taken: int) -> str:
    """Return why a number is taken, in words."""
    fewer = [each for each in options if each.workers < taken]
    more = [each for each in options if each.workers > taken]
    if fewer and all(each.against for each in fewer):
        return _with(fewer[-1])
    if not fewer and more and all(each.against for each in more):
        return _with(more[0])
    return "the least cost of the whole plan" if fewer else "more would cost more"


def _with(option: WorkersOption) -> str:
    several = "worker" if option.workers == 1 else "workers"
    return f"with {option.workers} {several} {option.against}"
