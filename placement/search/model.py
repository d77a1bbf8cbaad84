"""The placement problem as a CP-SAT model.

One boolean for each option of each job, one start for each job, an optional interval for each
option, and a cumulative constraint for each resource of a bucket that could run short. Times are
milliseconds in a continuous sense: no grid of slots, because runs of minutes would be rounded up
to the slot and days of slots would make millions of variables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ortools.sat.python import cp_model

from engine.model.fleet import Cluster
from engine.model.specs import Join
from placement.problem import lateness, transfers
from placement.problem.instance import COUNTED, Amounts, Edge, Instance, Job, Option, Span
from placement.search import hints, model_bonds
from placement.search.draft import Draft
from placement.search.orders import Goal, Outcome, Scope, Task, Verdict
from placement.search.telling import Teller

LARGEST = 2**62
"""CP-SAT counts in 64 bits, with room for the sums it makes on the way."""

Expression = Any
"""A linear expression, variable or interval of CP-SAT, whose types it does not publish."""


def solve(instance: Instance, task: Task, scope: Scope) -> Outcome:
    """Solve with one worker within a deterministic limit: the same input gives the same plan."""
    model = _Model(instance, scope, all_placed=task.all_placed)
    weight = sum(instance.jobs[index].weight for index in scope.jobs)
    if task.goal is Goal.BEST and model.dear * max(weight, 1) > LARGEST:
        raise OverflowError(f"weights of {weight} at {model.dear} micro-dollars pass 64 bits")
    model.aim(task)
    if task.hint is not None:
        model.hint(task.hint)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = task.seed % 2**31
    solver.parameters.max_deterministic_time = max(task.work_limit, 0.01)
    # Probing costs more than it finds: options are tied by little but capacity.
    solver.parameters.cp_model_probing_level = 0
    solver.parameters.symmetry_level = 0
    teller = None if task.told is None else Teller(model.read, task.told, model.dear)
    status = solver.solve(model.cp, teller)
    if status == cp_model.MODEL_INVALID:
        raise RuntimeError(f"it refuses the model: {model.cp.validate().strip()}")
    verdict = _VERDICTS.get(status, Verdict.UNKNOWN)
    found = verdict in {Verdict.OPTIMAL, Verdict.FEASIBLE}
    return Outcome(
        verdict=verdict,
        draft=model.read(solver.boolean_value, solver.value) if found else None,
        bound=max(round(solver.best_objective_bound), 0) if found else 0,
        work=float(solver.response_proto.deterministic_time),
        dear=model.dear,
    )


_VERDICTS = {
    cp_model.OPTIMAL: Verdict.OPTIMAL,
    cp_model.FEASIBLE: Verdict.FEASIBLE,
    cp_model.INFEASIBLE: Verdict.INFEASIBLE,
}


@dataclass(slots=True)
class _Column:
    """Everything that draws on one bucket: intervals, and their needs by resource."""

    intervals: list[Any] = field(default_factory=list)
    needs: list[Sequence[Expression]] = field(default_factory=list)
    most: list[Amounts] = field(default_factory=list)


class _Model:
    """The variables of one instance; each method adds one kind of constraint."""

    def __init__(self, instance: Instance, scope: Scope, *, all_placed: bool) -> None:
        self.cp = cp_model.CpModel()
        self._instance = instance
        self._jobs = [instance.jobs[index] for index in scope.jobs]
        self._taken = scope.taken
        self._budget = scope.budget
        self.dear = self._dear()
        self._takes: dict[tuple[int, int], Expression] = {}
        self._starts: dict[int, Expression] = {}
        self._columns = [_Column() for _ in instance.buckets]
        self._hints: list[tuple[Expression, Callable[[Draft], int]]] = []
        self._short = self._buckets_that_may_run_short()
        for job in self._jobs:
            self._add_job(job, all_placed=all_placed)
        for job in self._jobs:
            self._add_order(job)
        model_bonds.add(self.cp, self._jobs, self._takes, scope.taken)
        for seat in self._seats():
            self._add_seat(seat)
        self._transfers = [(edge, self._add_transfer(edge)) for edge in self._edges()]
        self._money = self._all_money()
        self._late = _total(self._add_lateness(n) for n in sorted({j.line for j in self._jobs}))
        self._add_whole()
        self._add_capacity()
        self._add_budgets()

    def aim(self, task: Task) -> None:
        """Set what is minimised."""
        jobs = self._instance.jobs
        unplaced = sum(job.weight * (1 - self._placed(job)) for job in self._jobs)
        money = self._money + self._late
        if task.weight_at_most is not None:
            self.cp.add(unplaced <= task.weight_at_most)
        if task.goal is Goal.BEST:
            self.cp.minimize(self.dear * unplaced + money)
        elif task.goal is Goal.MONEY:
            self.cp.minimize(money)
        elif task.goal is Goal.SPENT:
            self.cp.minimize(self._spent(task.line))
        else:
            end = self.cp.new_int_var(0, self._instance.end_ms, "end")
            for index in self._instance.lines[task.line].jobs:
                if not jobs[index].serve:
                    self.cp.add(end >= self._end(jobs[index]))
            self.cp.minimize(end)

    def hint(self, draft: Draft) -> None:
        """Hand over a full plan to start from."""
        for job, option in self._all():
            taken = draft.options.get(job.index)
            same = taken is not None and taken.pool_index == option.pool_index
            self.cp.add_hint(self._takes[job.index, option.pool_index], same)
        for index, start in self._starts.items():
            self.cp.add_hint(start, draft.starts.get(index, self._instance.jobs[index].release_ms))
        for variable, value in self._hints:
            self.cp.add_hint(variable, value(draft))

    def read(
        self, is_true: Callable[[Expression], bool], value: Callable[[Expression], int]
    ) -> Draft:
        """Return the plan the solver found, by what it says of its variables."""
        options = {
            job.index: option
            for job, option in self._all()
            if is_true(self._takes[job.index, option.pool_index])
        }
        return Draft(
            options=options,
            starts={index: int(value(self._starts[index])) for index in options},
        )

    def _all(self) -> list[tuple[Job, Option]]:
        return [(job, option) for job in self._jobs for option in job.options]

    def _dear(self) -> int:
        """Return more micro-dollars than any choice of options could cost."""
        clusters = {cluster.name: cluster for cluster, _ in self._instance.pools}.values()
        price = max((transfers.price_per_gib(a, b) for a in clusters for b in clusters), default=0)
        moves = sum(round(e.volume_gib * e.probability * price) + 1 for e in self._edges())
        late = sum(
            lateness.price(self._instance, line, self._instance.end_ms)
            for line in {job.line for job in self._jobs}
        )
        own = sum(max((o.objective for o in j.options), default=0) for j in self._jobs)
        return 1 + moves + late + own

    def _edges(self) -> list[Edge]:
        free = {job.index for job in self._jobs}
        return [edge for edge in self._instance.edges if edge.target in free]

    def _placed(self, job: Job) -> Expression:
        return sum(self._takes[job.index, option.pool_index] for option in job.options)

    def _end(self, job: Job) -> Expression:
        return self._starts[job.index] + sum(
            option.duration_ms * self._takes[job.index, option.pool_index] for option in job.options
        )

    def _buckets_that_may_run_short(self) -> set[tuple[int, int]]:
        """Return (bucket, resource) where all that could come there does not fit at once."""
        if self._taken is None:
            return set()
        wanted = [[0] * len(COUNTED) for _ in self._instance.buckets]
        for _, option in self._all():
            for bucket in option.buckets:
                for resource, amount in enumerate(option.peak):
                    wanted[bucket][resource] += amount
        short = set()
        for index, of in enumerate(self._instance.buckets):
            steps = self._taken.timeline(index).steps()
            for resource, most in enumerate(of.capacity):
                taken = max(used[resource] for _, used in steps)
                if wanted[index][resource] and taken + wanted[index][resource] > most:
                    short.add((index, resource))
        return short

    def _draws(self, bucket: int) -> bool:
        return any((bucket, resource) in self._short for resource in range(len(COUNTED)))

    def _add_job(self, job: Job, *, all_placed: bool) -> None:
        """Add a job: at most one option, one start, in time."""
        end = self._instance.end_ms
        self._starts[job.index] = self.cp.new_int_var(job.release_ms, max(end, job.release_ms), "")
        for option in job.options:
            self._takes[job.index, option.pool_index] = self.cp.new_bool_var("")
        takes = [self._takes[job.index, option.pool_index] for option in job.options]
        if all_placed:
            self.cp.add_exactly_one(takes)
        else:
            self.cp.add_at_most_one(takes)
        start = self._starts[job.index]
        for option, takes_it in zip(job.options, takes, strict=True):
            self.cp.add(start <= job.latest_ms - option.duration_ms).only_enforce_if(takes_it)
        if job.seat < 0 and any(self._draws(b) for o in job.options for b in o.buckets):
            self._add_intervals(job)

    def _add_intervals(self, job: Job) -> None:
        """Add what a job takes of each bucket it may draw on."""
        start = self._starts[job.index]
        cuts: dict[int, Expression] = {}
        for option in job.options:
            if not any(self._draws(bucket) for bucket in option.buckets):
                continue
            takes = self._takes[job.index, option.pool_index]
            for span in option.spans:
                if job.serve:
                    first = self._cut(cuts, job.index, span.start_ms)
                    after = self._cut(cuts, job.index, span.end_ms)
                    interval = self._stretch(job.index, first, after, span, takes)
                else:
                    interval = self.cp.new_optional_fixed_size_interval_var(
                        start + span.start_ms, span.end_ms - span.start_ms, takes, ""
                    )
                for bucket in option.buckets:
                    self._draw(bucket, interval, span.amounts, span.amounts)

    def _stretch(
        self, job: int, first: Expression, after: Expression, span: Span, takes: Expression
    ) -> Expression:
        """Return what is left of a stretch of the calendar after a service started."""
        size = self.cp.new_int_var(0, span.end_ms - span.start_ms, "")
        self._hints.append((size, partial(hints.left, span, job)))
        return self.cp.new_optional_interval_var(first, size, after, takes, "")

    def _cut(self, cuts: dict[int, Expression], job: int, time: int) -> Expression:
        """Return the later of a start and an hour of the calendar."""
        start = self._starts[job]
        if time <= self._instance.jobs[job].release_ms:
            return start
        if time >= self._instance.end_ms:
            return self._instance.end_ms
        if time not in cuts:
            cuts[time] = self.cp.new_int_var(time, self._instance.end_ms, "")
            self.cp.add_max_equality(cuts[time], [start, time])
            self._hints.append((cuts[time], lambda draft: max(draft.starts.get(job, 0), time)))
        return cuts[time]

    def _draw(
        self, bucket: int, interval: Expression, needs: Sequence[Expression], most: Amounts
    ) -> None:
        column = self._columns[bucket]
        column.intervals.append(interval)
        column.needs.append(needs)
        column.most.append(most)

    def _add_order(self, job: Job) -> None:
        """Let a job start after the jobs it waits for, and only where those have a place."""
        placed = self._placed(job)
        waits = []
        for index in job.upstream:
            upstream = self._instance.jobs[index]
            self.cp.add(self._starts[job.index] >= self._end(upstream))
            waits.append(self._placed(upstream))
            if job.spec.join is not Join.ANY:
                self.cp.add(placed <= waits[-1])
        if waits and job.spec.join is Join.ANY:
            self.cp.add(placed <= sum(waits))

    def _seats(self) -> list[list[Job]]:
        seats: dict[tuple[int, int], list[Job]] = {}
        for job in self._jobs:
            if job.seat >= 0:
                seats.setdefault((job.line, job.seat), []).append(job)
        return list(seats.values())

    def _add_seat(self, members: Sequence[Job]) -> None:
        """Let jobs that never run together hold the dearest of them, over all of their time."""
        by_bucket: dict[int, list[tuple[Job, Option]]] = {}
        for job in members:
            for option in job.options:
                for bucket in option.buckets:
                    if self._draws(bucket):
                        by_bucket.setdefault(bucket, []).append((job, option))
        for bucket, ways in by_bucket.items():
            self._add_seat_in(bucket, ways)

    def _add_seat_in(self, bucket: int, ways: Sequence[tuple[Job, Option]]) -> None:
        end = self._instance.end_ms
        most = tuple(max(values) for values in zip(*(o.peak for _, o in ways), strict=True))
        present = self.cp.new_bool_var("")
        first, after = self.cp.new_int_var(0, end, ""), self.cp.new_int_var(0, end, "")
        size = self.cp.new_int_var(0, end, "")
        needs = [self.cp.new_int_var(0, amount, "") for amount in most]
        for job, option in ways:
            takes = self._takes[job.index, option.pool_index]
            start = self._starts[job.index]
            until = end if job.serve else start + option.duration_ms
            self.cp.add_implication(takes, present)
            self.cp.add(first <= start).only_enforce_if(takes)
            self.cp.add(after >= until).only_enforce_if(takes)
            for need, amount in zip(needs, option.peak, strict=True):
                self.cp.add(need >= amount).only_enforce_if(takes)
        interval = self.cp.new_optional_interval_var(first, size, after, present, "")
        self._draw(bucket, interval, needs, most)
        variables = (present, first, after, size, *needs)
        for position, variable in enumerate(variables):
            self._hints.append((variable, partial(hints.seat_value, ways, position)))

    def _add_transfer(self, edge: Edge) -> Expression:
        """Return what moving an edge's data costs, by the cluster it leaves and the one it enters.

        The flow between clusters is a transport polytope, so that its relaxation is tight.
        """
        jobs = self._instance.jobs
        if edge.origin is not None:
            return _total(
                transfers.cost(edge.volume_gib, edge.probability, edge.origin, option.cluster)
                * self._takes[edge.target, option.pool_index]
                for option in jobs[edge.target].options
            )
        leaves, enters = self._by_cluster(jobs[edge.source]), self._by_cluster(jobs[edge.target])
        flows = {(a, b): self.cp.new_bool_var("") for a in leaves for b in enters}
        # With jobs that may stay unplaced the flow is what both ends have, no more.
        for a in leaves:
            self.cp.add(sum(flows[a, b] for b in enters) <= leaves[a])
        for b in enters:
            self.cp.add(sum(flows[a, b] for a in leaves) <= enters[b])
        both = self._both(jobs[edge.source], jobs[edge.target])
        self.cp.add(_total(flows.values()) == both)
        for pair, flow in flows.items():
            self._hints.append((flow, partial(hints.flow, edge, pair)))
        clusters: dict[str, Cluster] = {c.name: c for c, _ in self._instance.pools}
        return sum(
            transfers.cost(edge.volume_gib, edge.probability, clusters[a], clusters[b]) * flow
            for (a, b), flow in flows.items()
        )

    def _both(self, source: Job, target: Job) -> Expression:
        """Return whether both ends of an edge have a place."""
        if target.spec.join is not Join.ANY:
            return self._placed(target)
        both = self.cp.new_bool_var("")
        first, second = self._placed(source), self._placed(target)
        self.cp.add(both <= first)
        self.cp.add(both <= second)
        self.cp.add(both >= first + second - 1)
        self._hints.append(
            (both, lambda draft: int({source.index, target.index} <= draft.options.keys()))
        )
        return both

    def _by_cluster(self, job: Job) -> Mapping[str, Expression]:
        by: dict[str, Expression] = {}
        for option in job.options:
            name = option.cluster.name
            by[name] = by.get(name, 0) + self._takes[job.index, option.pool_index]
        return by

    def _add_capacity(self) -> None:
        for index, column in enumerate(self._columns):
            for resource in range(len(COUNTED)):
                if (index, resource) in self._short:
                    self._add_cumulative(index, resource, column)

    def _add_cumulative(self, index: int, resource: int, column: _Column) -> None:
        bucket = self._instance.buckets[index]
        capacity = bucket.capacity[resource]
        intervals: list[Any] = []
        needs: list[Expression] = []
        for interval, need, most in zip(column.intervals, column.needs, column.most, strict=True):
            if most[resource] > 0:
                intervals.append(interval)
                needs.append(need[resource])
        assert self._taken is not None  # noqa: S101 - no bucket is short otherwise
        steps = self._taken.timeline(index).steps()
        ends = [*(time for time, _ in steps[1:]), self._instance.end_ms]
        for (time, used), end in zip(steps, ends, strict=True):
            if used[resource] > 0 and end > time:
                intervals.append(self.cp.new_fixed_size_interval_var(time, end - time, ""))
                # What is held beyond capacity already is not this plan's to solve.
                needs.append(min(used[resource], capacity))
        self.cp.add_cumulative(intervals, needs, capacity)

    def _spent(self, line: int) -> Expression:
        of = self._instance.lines[line]
        own = set(of.jobs)
        total: Expression = of.spent
        for job, option in self._all():
            if job.index in own and job.serve == of.budget_is_serving:
                total = total + option.cost * self._takes[job.index, option.pool_index]
        if of.budget_is_serving:
            return total
        return total + sum(cost for e, cost in self._transfers if e.target in own)

    def _all_money(self) -> Expression:
        money = _total(o.objective * self._takes[j.index, o.pool_index] for j, o in self._all())
        return money + _total(cost for _, cost in self._transfers)

    def _add_lateness(self, line: int) -> Expression:
        """Return what ending after the deadline costs one pipeline."""
        of, end = self._instance.lines[line], self._instance.end_ms
        if not of.late_price or of.deadline_ms is None:
            return 0
        most = max(end - of.deadline_ms, 0)
        late = self.cp.new_int_var(0, most, "")
        cost = self.cp.new_int_var(0, lateness.price(self._instance, line, most), "")
        for index in of.jobs:
            job = self._instance.jobs[index]
            for option in () if job.serve else job.options:
                takes = self._takes[index, option.pool_index]
                ends = self._starts[index] + option.duration_ms
                self.cp.add(late >= ends - of.deadline_ms).only_enforce_if(takes)
        # Without their common divisor both sides stay within 64 bits.
        common = math.gcd(lateness.HOUR_MS, of.late_price)
        self.cp.add(cost * (lateness.HOUR_MS // common) >= late * (of.late_price // common))
        self._hints.append((late, partial(hints.late, self._instance, line)))
        self._hints.append((cost, partial(hints.late_cost, self._instance, line)))
        return cost

    def _add_whole(self) -> None:
        """Place pipelines with all their jobs or not at all, where that is asked."""
        if not self._instance.whole:
            return
        for job in self._jobs:
            first = self._instance.lines[job.line].jobs[0]
            if job.index != first:
                self.cp.add(self._placed(job) == self._placed(self._instance.jobs[first]))

    def _add_budgets(self) -> None:
        if self._budget is not None:
            self.cp.add(self._money <= self._budget)
        for index in sorted({job.line for job in self._jobs}):
            budget = self._instance.lines[index].budget
            if budget is not None:
                self.cp.add(self._spent(index) <= budget)


def _total(terms: Iterable[Expression]) -> Expression:
    return sum(terms)
