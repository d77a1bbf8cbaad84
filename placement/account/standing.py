"""What stands where in a plan, indexed once, so that one task is looked at without the others.

`placement.search.moves` looks at a whole plan for each job it moves, which costs as much as the
plan is large. Here the plan is put on a board once; a job and those that wait for it are taken off
a copy that shares every bucket it does not change. Pipelines meet in capacity and in the money of
a whole plan only, so that all else about a move is found among the jobs of one pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from placement.account.boards import ViewedBoard
from placement.problem.instance import Instance, Job, Option
from placement.search import draft as drafts
from placement.search.draft import Draft
from placement.search.moves import Bench, delta


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One job of a plan with all that a move of it can touch.

    plan: the draft of the job's pipeline; elsewhere: what all other pipelines cost.
    bench: the whole board without the job and those that wait for it; board: the bench's.
    known: starts found on that board, by job and when it is ready, of those that wait: on most
    pools the job ends at one of a few times, and then they begin as before. met: of those that
    wait, whether a later one may meet them, wherever the job itself stands.
    """

    instance: Instance
    plan: Draft
    elsewhere: int
    job: Job
    bench: Bench
    board: ViewedBoard
    known: dict[tuple[int, int], int | None] = field(default_factory=dict, compare=False)
    met: dict[int, bool] = field(default_factory=dict, compare=False)

    def money(self, option: Option) -> int:
        """Return what the whole plan costs when the job takes an option, in micro-dollars."""
        options = {**self.plan.options, self.job.index: option}
        return self.elsewhere + drafts.line_value(self.instance, options, self.job.line)[1]

    def partner(self, job: int) -> Option | None:
        """Return where a job stands that this one is bound to; None where it has no place."""
        return self.plan.options.get(job) or self.board.stands(job)

    def is_too_dear(self, option: Option) -> bool:
        """Whether a move there makes a plan dearer that costs all it may."""
        budget = self.instance.budget
        if budget is None or self.money(option) <= budget:
            return False
        return delta(self.instance, self.plan, self.job, option) > 0

    def is_torn(self, options: Mapping[int, Option]) -> bool:
        """Whether a pipeline that is placed whole would be placed in part."""
        jobs = self.instance.lines[self.job.line].jobs
        return self.instance.whole and any(index not in options for index in jobs)

    def moved(self, option: Option) -> Draft | None:
        """Return the pipeline's plan in which the job takes an option; None when that cannot be.

        As `placement.search.moves.moved`, but a job is put on the board only where one that is
        timed after it may meet it.
        """
        job, instance = self.job, self.instance
        tried = {**self.plan.options, job.index: option}
        if drafts.over_budget(instance, tried, job.line):
            return None
        if self.is_too_dear(option) or self.is_torn(tried):
            return None
        chain = [(job.index, option), *((i, self.plan.options[i]) for i in self.bench.followers)]
        options, starts = dict(self.bench.rest.options), dict(self.bench.rest.starts)
        board, is_shared = self.board, True
        for number, (index, taken) in enumerate(chain):
            of = instance.jobs[index]
            if not drafts.may_run(of, options):
                return None
            ready = drafts.ready_ms(of, Draft(options=options, starts=starts))
            start = self.earliest(board, of, taken, ready)
            if start is None:
                return None
            options[index], starts[index] = taken, start
            if self.may_be_met(chain, number):
                board, is_shared = (board.copy() if is_shared else board), False
                board.put(of, taken, start)
        return Draft(options=options, starts=starts)

    def earliest(self, board: ViewedBoard, of: Job, taken: Option, ready_ms: int) -> int | None:
        """Return the first start of a job in time on a board, looked up where it is known."""
        if board is not self.board or of.index == self.job.index:
            return board.earliest(of, taken, ready_ms, of.latest_ms)
        key = (of.index, ready_ms)
        if key not in self.known:
            self.known[key] = board.earliest(of, taken, ready_ms, of.latest_ms)
        return self.known[key]

    def may_be_met(self, chain: Sequence[tuple[int, Option]], number: int) -> bool:
        """Whether a job of a chain that is timed in its order draws on what a later one draws on.

        One that waits for another starts after its end, and so never meets it; but what is held for
        a service or a shared seat may last longer.
        """
        index = chain[number][0]
        if index == self.job.index:
            return self._meets(chain, number)
        if index not in self.met:
            self.met[index] = self._meets(chain, number)
        return self.met[index]

    def _meets(self, chain: Sequence[tuple[int, Option]], number: int) -> bool:
        index, option = chain[number]
        job = self.instance.jobs[index]
        bound = {bond.other for bond in job.bonds}
        if bound and any(later in bound for later, _ in chain[number + 1 :]):
            return True
        return any(
            (job.serve or job.seat >= 0 or later not in job.descendants)
            and {*option.buckets} & {*other.buckets}
            for later, other in chain[number + 1 :]
        )


class Standing:
    """The index over one plan. Holds no state that changes after it was made."""

    def __init__(self, instance: Instance, plan: Draft) -> None:
        self._instance = instance
        self._plan = plan
        self._money = drafts.objective(instance, plan.options)
        self._board = ViewedBoard(instance)
        # As `drafts.board_of` does: those that begin first take their nodes first.
        for index in sorted(plan.options, key=lambda i: (plan.starts[i], i)):
            job, nodes = instance.jobs[index], plan.nodes.get(index, ())
            self._board.put(job, plan.options[index], plan.starts[index], nodes)
        self._board.look()

    def place(self, job: Job) -> Place:
        """Return one job ready for moves; what is done with it leaves the index as it is."""
        instance = self._instance
        jobs = instance.lines[job.line].jobs
        plan = _only(self._plan, [index for index in jobs if index in self._plan.options])
        followers = [index for index in job.descendants if index in plan.options]
        gone = [index for index in (job.index, *followers) if index in plan.options]
        board = self._board.copy()
        for index in gone:
            board.remove(instance.jobs[index], plan.options[index], plan.starts[index])
        board.look()
        bench = Bench(
            job=job,
            board=board,
            rest=_only(plan, [index for index in plan.options if index not in gone]),
            followers=tuple(sorted(followers, key=lambda index: (plan.starts[index], index))),
        )
        own = drafts.line_value(instance, plan.options, job.line)[1]
        return Place(
            instance=instance,
            plan=plan,
            elsewhere=self._money - own,
            job=job,
            bench=bench,
            board=board,
        )


def _only(plan: Draft, jobs: Sequence[int]) -> Draft:
    return Draft(
        options={index: plan.options[index] for index in jobs},
        starts={index: plan.starts[index] for index in jobs},
        nodes={index: plan.nodes[index] for index in jobs if index in plan.nodes},
    )
