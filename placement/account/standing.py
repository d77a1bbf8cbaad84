"""What stands where in a plan, indexed once, so that one task is looked at without the others.

`placement.search.moves` takes a plan apart for each job it moves, which costs as much as the plan
is large. Here the plan is put on a board once; a job and those that wait for it are lifted off a
copy that shares every timeline it does not change. Pipelines meet in capacity only, so that all
else about a move (starts, budget, data that move) is found among the jobs of one pipeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from placement.account.views import Blocked, View
from placement.problem.instance import Amounts, Edge, Instance, Job, Option, Span
from placement.search import draft as drafts
from placement.search.draft import Draft
from placement.search.moves import Bench
from placement.search.timeline import Board, Timeline, spans_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One job of a plan with all that a move of it can touch.

    instance: the instance with the edges of the job's pipeline only; plan: the draft of that
        pipeline; bench: the whole board without the job and those that wait for it.
    """

    instance: Instance
    plan: Draft
    job: Job
    bench: Bench
    board: SharedBoard
    """The bench's."""

    def moved(self, option: Option) -> Draft | None:
        """Return the pipeline's plan in which the job takes an option; None when that cannot be.

        As `placement.search.moves.moved`, but a job is put on the board only where one that is
        timed after it may meet it.
        """
        job, instance = self.job, self.instance
        if drafts.over_budget(instance, {**self.plan.options, job.index: option}, job.line):
            return None
        chain = [(job.index, option), *((i, self.plan.options[i]) for i in self.bench.followers)]
        options, starts = dict(self.bench.rest.options), dict(self.bench.rest.starts)
        board, is_shared = self.board, True
        for number, (index, taken) in enumerate(chain):
            of = instance.jobs[index]
            if not drafts.may_run(of, options):
                return None
            ready = drafts.ready_ms(of, Draft(options=options, starts=starts))
            start = board.earliest(of, taken, ready, of.latest_ms)
            if start is None:
                return None
            options[index], starts[index] = taken, start
            if self.may_be_met(chain, number):
                board, is_shared = (board.copy() if is_shared else board), False
                board.put(of, taken, start)
        return Draft(options=options, starts=starts)

    def may_be_met(self, chain: Sequence[tuple[int, Option]], number: int) -> bool:
        """Whether a job of a chain that is timed in its order draws on what a later one draws on.

        One that waits for another starts after its end, and so never meets it; but what is held for
        a service or a shared seat may last longer.
        """
        index, option = chain[number]
        job = self.instance.jobs[index]
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
        self._board = SharedBoard(instance)
        for index, option in plan.options.items():
            self._board.put(instance.jobs[index], option, plan.starts[index])
        self._board.look()
        self._edges: list[list[Edge]] = [[] for _ in instance.lines]
        for edge in instance.edges:
            self._edges[instance.jobs[edge.source].line].append(edge)

    def place(self, job: Job) -> Place:
        """Return one job ready for moves; what is done with it leaves the index as it is."""
        jobs = self._instance.lines[job.line].jobs
        plan = _only(self._plan, [index for index in jobs if index in self._plan.options])
        followers = [index for index in job.descendants if index in plan.options]
        gone = {job.index, *followers}
        board = self._board.copy()
        board.lift([self._instance.jobs[index] for index in plan.options], plan, gone)
        board.look()
        bench = Bench(
            job=job,
            board=board,
            rest=_only(plan, [index for index in plan.options if index not in gone]),
            followers=tuple(sorted(followers, key=lambda index: (plan.starts[index], index))),
        )
        local = replace(self._instance, edges=tuple(self._edges[job.line]))
        return Place(instance=local, plan=plan, job=job, bench=bench, board=board)


class SharedBoard(Board):
    """A board whose copies share each timeline, and its view, until one of them changes it.

    Of a timeline with a view the view is what counts: `_lifted` has what was given back there and
    still stands in the timeline, until somebody needs that.
    """

    __slots__ = ("_blocked", "_lifted", "_own", "_views")

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance)
        self._own = set(range(len(instance.buckets)))
        self._views: list[View | None] = [None for _ in instance.buckets]
        self._lifted: dict[int, tuple[Span, ...]] = {}
        self._blocked: dict[tuple[int, Amounts], Blocked] = {}

    def copy(self) -> SharedBoard:
        """Return a copy; both copy a timeline before they next change it."""
        twin = object.__new__(SharedBoard)
        twin._lines, twin._seats = self._lines.copy(), self._seats.copy()
        # What was found on views is good as long as they are: those that change are not used.
        twin._views, twin._blocked = self._views.copy(), self._blocked
        twin._lifted = self._lifted.copy()
        self._own, twin._own = set(), set()
        return twin

    def look(self) -> None:
        """Make the views of all that changed: worth it before many moves are tried."""
        self._blocked = {}
        for bucket, view in enumerate(self._views):
            if view is None:
                self._views[bucket] = View.of(self._lines[bucket])

    def timeline(self, bucket: int) -> Timeline:
        """Return what is taken of one bucket."""
        if bucket in self._lifted:
            view = self._views[bucket]
            self._changeable(bucket)
            self._views[bucket] = view
        return self._lines[bucket]

    def put(self, job: Job, option: Option, start_ms: int) -> None:
        """Take what a job needs from its start on."""
        for bucket in option.buckets:
            self._changeable(bucket)
        super().put(job, option, start_ms)

    def earliest(self, job: Job, option: Option, ready_ms: int, latest_ms: int) -> int | None:
        """Return the first start from `ready_ms` on at which the job fits and is not late."""
        if job.seat >= 0 or any(self._views[bucket] is None for bucket in option.buckets):
            for bucket in option.buckets:
                self.timeline(bucket)
            return super().earliest(job, option, ready_ms, latest_ms)
        if job.serve:
            start = max(ready_ms, self._last_clash(option))
            return start if start <= latest_ms else None
        start = ready_ms
        while start + option.duration_ms <= latest_ms:
            later = self._next(job, option, start)
            if later is None:
                return start
            start = later
        return None

    def _next(self, job: Job, option: Option, start: int) -> int | None:
        """Return None when a job fits at a start, else the next start worth a try."""
        for span in spans_at(job, option, start):
            for bucket in option.buckets:
                view = self._views[bucket]
                if view is not None and view.has_room(span):
                    continue
                stretches = self._stretches(bucket, span.amounts)
                end = stretches.next_gap(span.start_ms, span.end_ms)
                if end is not None:
                    return max(end - (span.start_ms - start), start + 1)
        return None

    def _last_clash(self, option: Option) -> int:
        """Return until when there are times at which a service has no room; -1 for none.

        It needs the calendar from its start on, so that it may start from then on.
        """
        last = -1
        for bucket in option.buckets:
            if len(self._stretches(bucket, option.peak).ends):
                for span in option.spans:
                    stretches = self._stretches(bucket, span.amounts)
                    last = max(last, stretches.end_of_last(span.start_ms, span.end_ms))
        return last

    def _stretches(self, bucket: int, amounts: Amounts) -> Blocked:
        key = (bucket, amounts)
        if key not in self._blocked:
            view = self._views[bucket] or View.of(self._lines[bucket])
            self._blocked[key] = view.blocked(amounts)
        return self._blocked[key]

    def lift(self, jobs: Sequence[Job], plan: Draft, gone: Iterable[int]) -> None:
        """Give back what some jobs of one pipeline take; `jobs` are all of it that are placed."""
        off = set(gone)
        lifted: dict[int, list[Span]] = {}
        for job in jobs:
            if job.index in off and job.seat < 0:
                option = plan.options[job.index]
                for bucket in option.buckets:
                    spans = spans_at(job, option, plan.starts[job.index])
                    lifted.setdefault(bucket, []).extend(spans)
        for bucket, spans in lifted.items():
            view = self._views[bucket] or View.of(self._lines[bucket])
            self._views[bucket] = view.without(spans)
            self._lifted[bucket] = (*self._lifted.get(bucket, ()), *spans)
        # A seat is held for the dearest of its jobs: it is given back whole, then taken anew.
        seats = {(job.line, job.seat) for job in jobs if job.index in off and job.seat >= 0}
        for key in [key for key in self._seats if key[1:] in seats]:
            self._changeable(key[0]).add(self._seats.pop(key), sign=-1)
        for job in jobs:
            if job.index not in off and (job.line, job.seat) in seats:
                self.put(job, plan.options[job.index], plan.starts[job.index])

    def demands(
        self, job: Job, option: Option, start_ms: int
    ) -> Iterator[tuple[Amounts, Amounts, Amounts]]:
        """Yield what a job would take at a start, the most that others take then, what there is.

        One item for each stretch of need on each bucket. Of a seat that is held already, what the
        seat would take, beside what all others take.
        """
        for bucket in option.buckets:
            line = self.timeline(bucket)
            held = self._seats.get((bucket, job.line, job.seat)) if job.seat >= 0 else None
            if held is not None:
                line = line.copy()
                line.add(held, sign=-1)
            view = View.of(line) if held is not None else self._views[bucket] or View.of(line)
            for span in self._wanted(job, option, bucket, start_ms):
                yield span.amounts, view.most(span.start_ms, span.end_ms), line.capacity

    def _changeable(self, bucket: int) -> Timeline:
        self._views[bucket] = None
        if bucket not in self._own:
            self._lines[bucket] = self._lines[bucket].copy()
            self._own.add(bucket)
        for span in self._lifted.pop(bucket, ()):
            self._lines[bucket].add(span, sign=-1)
        return self._lines[bucket]


def _only(plan: Draft, jobs: Sequence[int]) -> Draft:
    return Draft(
        options={index: plan.options[index] for index in jobs},
        starts={index: plan.starts[index] for index in jobs},
    )
