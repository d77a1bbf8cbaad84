"""One plan replayed from its documents: where each task may go when only this task moves.

A move is exact: the task and those that wait for it leave, and each comes back at its first
possible start; all others keep place and time.
"""

import dataclasses
import fractions
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.placement.checking import affinities, branching, nodes, rules
from benchmarks.placement.checking.loads import Load, Stretch
from benchmarks.placement.checking.rules import Violation, Way
from engine.model.fleet import Cluster, Pool
from engine.model.plans import Limit, PlacementProblem, task_key
from engine.model.specs import BudgetPeriod, Join, PipelineSpec, TaskKind, TaskSpec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
UNLIMITED = 10**15
MONTH_HOURS = 30 * 24
LONGEST_CALENDAR_MS = 14 * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a plan is made under beside its request.

    ends_ms, serving_ends_ms: until when tasks and services are looked at. levels: by pipeline;
    shares: lambda by pool. slacks_ms: by pipeline, how long after a deadline that must be kept its
    tasks may end at their levels.
    """

    ends_ms: int
    serving_ends_ms: int
    levels: Mapping[str, float]
    shares: Mapping[int, tuple[float, ...]]
    slacks_ms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where a placed task stands: its pool, and its start in milliseconds after `as_of`.

    nodes: which nodes of the pool, where it has more than one.
    """

    pool: int
    start_ms: int
    nodes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A move of one task: what the plan then costs, and where the pipeline's tasks stand.

    refused: what stands against it, the worst first; seats: None when it cannot be.
    """

    money: int
    refused: tuple[Violation, ...]
    seats: Mapping[str, Seat] | None


@dataclass(frozen=True, slots=True)
class Beside:
    """What others take of a bucket, and the tasks there that share what a task takes."""

    load: Load
    shares: Mapping[str, Seat]


class World:
    """A problem under a frame, and where every task of a plan of it stands."""

    def __init__(self, problem: PlacementProblem, frame: Frame, seats: Mapping[str, Seat]) -> None:
        self.problem = problem
        self.frame = frame
        self.seats = seats
        self.pools: list[tuple[Cluster, Pool]] = [
            (c, p) for c in problem.request.fleet.clusters for p in c.pools
        ]
        self.tasks: dict[str, tuple[PipelineSpec, TaskSpec]] = {
            task_key(p.name, t.name): (p, t) for p in problem.request.pipelines for t in p.tasks
        }
        self._branches = {p.name: branching.of(p) for p in problem.request.pipelines}
        self.way = functools.cache(self._way)

    def settled(self) -> "World":
        """Returns the same plan with nodes for all: those that begin first take theirs first."""
        order = list(self.tasks)
        seats: dict[str, Seat] = {}
        for key in sorted(self.seats, key=lambda k: (self.seats[k].start_ms, order.index(k))):
            seat = self.seats[key]
            if seat.nodes:
                seats[key] = seat
            else:
                seats = nodes.stand(self, key, seat, seats)
        return World(self.problem, self.frame, seats)

    def changed(self, problem: PlacementProblem) -> "World":
        """Returns the same plan in a problem that differs a little."""
        return World(problem, self.frame, self.seats)

    def _way(self, key: str, pool: int) -> Way:
        pipeline, task = self.tasks[key]
        terms = rules.Terms(
            level=self.frame.levels.get(pipeline.name, pipeline.sla.keep),
            shares=self.frame.shares.get(pool, (1.0,) * len(rules.COUNTED)),
            hours=self.problem.request.horizon_hours,
            probability=self._branches[pipeline.name].probability(task.name),
            moved_from=self.problem.request.moved_from.get(key, ""),
        )
        where = (pool, *self.pools[pool])
        return rules.way(pipeline, task, self.problem.profiles[key], where, terms)

    def serves(self, key: str) -> bool:
        """Whether a task runs until it is replaced."""
        return self.problem.profiles[key].duration_seconds is None

    def deadline_ms(self, pipeline: PipelineSpec) -> int | None:
        """Returns a deadline in milliseconds after `as_of`; the checks use durations only."""
        deadline, as_of = pipeline.sla.deadline, self.problem.request.as_of
        if deadline is None or deadline.within_seconds is None:
            return None
        return math.floor((as_of + deadline.within_seconds - as_of) * 1000)

    def latest_ms(self, key: str) -> int:
        """Returns when a task must have ended; a serve task: started."""
        if self.serves(key):
            return self.frame.serving_ends_ms - self.problem.request.horizon_hours * HOUR_MS
        pipeline = self.tasks[key][0]
        deadline = self.deadline_ms(pipeline)
        is_free = deadline is None or pipeline.sla.late_micro_dollars_per_hour is not None
        if deadline is None or is_free:
            return self.frame.ends_ms
        return deadline + self.frame.slacks_ms.get(pipeline.name, 0)

    def upstream(self, key: str) -> list[str]:
        """Returns the keys of the tasks that one waits for."""
        pipeline, task = self.tasks[key]
        return [task_key(pipeline.name, name) for name in task.after]

    def followers(self, key: str) -> list[str]:
        """Returns the placed tasks that wait for one, directly or not, by their starts."""
        found = {key}
        grown = True
        while grown:
            more = {k for k in self.tasks if set(self.upstream(k)) & found} - found
            found |= more
            grown = bool(more)
        order = list(self.tasks)
        placed = [k for k in found if k != key and k in self.seats]
        return sorted(placed, key=lambda k: (self.seats[k].start_ms, order.index(k)))

    # ------------------------------------------------------------------ room

    def stretches(self, key: str, seat: Seat) -> list[Stretch]:
        """Returns what a task takes where and when it stands."""
        way = self.way(key, seat.pool)
        start = seat.start_ms
        if self.serves(key):
            return self._calendar(way, start)
        end = way.duration_ms
        found = []
        for number, amounts in enumerate(way.slots):
            since = number * way.slot_ms
            until = end if number == len(way.slots) - 1 else min(since + way.slot_ms, end)
            if since < until:
                found.append((start + since, start + until, amounts))
        return found

    def _calendar(self, way: Way, start: int) -> list[Stretch]:
        """Returns what a service takes from its start on, by hour of the day in UTC."""
        end = self.frame.serving_ends_ms
        if len(way.slots) == 1:
            return [(start, end, way.slots[0])]
        midnight = round((self.problem.request.as_of % 86_400) * 1000)
        found = []
        time = start
        while time < end:
            hour, into = divmod(midnight + time, HOUR_MS)
            until = min(time + HOUR_MS - into, end)
            found.append((time, until, way.slots[hour % 24 % len(way.slots)]))
            time = until
        return found

    def shared(self, key: str) -> frozenset[str]:
        """Returns the tasks with which one shares what it holds, since no run has two of them."""
        pipeline, task = self.tasks[key]
        names = self._branches[pipeline.name].shared(task.name)
        return frozenset(task_key(pipeline.name, name) for name in names)

    def joint(self, keys: Sequence[str], seats: Mapping[str, Seat]) -> list[Stretch]:
        """Returns what tasks that share a seat hold together: the dearest, all of the time."""
        every = [s for key in keys for s in self.stretches(key, seats[key])]
        amounts = tuple(max(values) for values in zip(*(s[2] for s in every), strict=True))
        return [(min(s[0] for s in every), max(s[1] for s in every), amounts)]

    def bucket(self, key: str, pool: int) -> list[tuple[str, str]]:
        """Returns what a task draws on there: the pool, and its owner's quota of the cluster."""
        cluster, of = self.pools[pool]
        owner = self.tasks[key][0].owner
        found = [("pool", f"{cluster.name}/{of.name}")]
        return [*found, (owner, cluster.name)] if cluster.quota.get(owner) else found

    def load(self, bucket: tuple[str, str], seats: Mapping[str, Seat]) -> Load:
        """Returns what is taken of a pool or quota by some tasks, and by reservations."""
        here = [k for k, seat in seats.items() if bucket in self.bucket(k, seat.pool)]
        found: list[Stretch] = []
        for group in {self.shared(k) & {*here} or frozenset({k}) for k in here}:
            if len(group) > 1 or self.shared(next(iter(group))):
                found += self.joint(sorted(group), seats)
            else:
                found += self.stretches(next(iter(group)), seats[next(iter(group))])
        kind, name = bucket
        if kind == "pool":
            cluster, pool = next((c, p) for c, p in self.pools if f"{c.name}/{p.name}" == name)
            node = pool.shape.resources.times(pool.node_count)
            capacity = [math.floor(node.of(r) * 1000 + 1e-6) for r in rules.COUNTED]
            found += self.reserved(cluster.name, pool.name)
        else:
            cluster = next(c for c, _ in self.pools if c.name == name)
            quota = cluster.quota[kind]
            capacity = [
                math.floor(quota[r] * 1000 + 1e-6) if r in quota else UNLIMITED
                for r in rules.COUNTED
            ]
        return Load.of(found, capacity)

    def reserved(self, cluster: str, pool: str) -> Iterator[Stretch]:
        """Yields what others hold of a pool."""
        request = self.problem.request
        for item in request.reservations:
            if (item.cluster, item.pool) == (cluster, pool) and item.holder not in self.tasks:
                start = math.floor((item.from_seconds - request.as_of) * 1000)
                end = self.frame.ends_ms
                if item.to_seconds is not None:
                    end = min(math.ceil((item.to_seconds - request.as_of) * 1000), end)
                amounts = tuple(math.ceil(item.held.of(r) * 1000 - 1e-6) for r in rules.COUNTED)
                yield max(start, 0), end, amounts

    def beside(self, key: str, pool: int, seats: Mapping[str, Seat]) -> list[Beside]:
        """Returns what others take of each bucket that a task would draw on."""
        found = []
        for bucket in self.bucket(key, pool):
            shares = {
                k: seats[k]
                for k in self.shared(key)
                if k != key and k in seats and bucket in self.bucket(k, seats[k].pool)
            }
            others = {k: s for k, s in seats.items() if k not in shares and k != key}
            found.append(Beside(self.load(bucket, others), shares))
        return found

    def asks(self, key: str, seat: Seat, beside: Sequence[Beside]) -> list[list[Stretch]]:
        """Returns by bucket what a task would take; of a shared seat, what all would take."""
        if not self.shared(key):
            return [self.stretches(key, seat)] * len(beside)
        wholes = [{**found.shares, key: seat} for found in beside]
        return [self.joint(sorted(whole), whole) for whole in wholes]

    def earliest(self, key: str, pool: int, ready: int, seats: Mapping[str, Seat]) -> int | None:
        """Returns the first start at which a task fits and is in time, by trying all that matter.

        A start that is no first one can only be where others take less as a slot of it begins.
        """
        way = self.way(key, pool)
        latest = self.latest_ms(key) - way.duration_ms
        beside = self.beside(key, pool, seats)
        machines = nodes.beside(self, key, pool, seats)
        if self.serves(key):
            # It takes the rest of the calendar: from the last time on at which it does not fit.
            seat = Seat(pool=pool, start_ms=ready)
            whole = self.asks(key, seat, beside)
            start = max(
                ready,
                machines.last_miss(seat),
                *(found.load.last_miss(w) for found, w in zip(beside, whole, strict=True)),
            )
            return start if start <= latest else None
        offsets = {0, *(n * way.slot_ms for n in range(len(way.slots)))}
        loads = [*(found.load for found in beside), *machines.loads]
        starts = {int(t) - offset for load in loads for t in load.times for offset in offsets}
        for start in sorted(s for s in {ready, *starts} if ready <= s <= latest):
            seat = Seat(pool=pool, start_ms=start)
            wanted = self.asks(key, seat, beside)
            fits = all(b.load.fits(w) for b, w in zip(beside, wanted, strict=True))
            if fits and machines.fits(seat):
                return start
        return None

    # ----------------------------------------------------------------- money

    def money(self, seats: Mapping[str, Seat]) -> int:
        """Returns what a plan costs, moves of data included."""
        own = sum(self.way(key, seat.pool).money for key, seat in seats.items())
        pipelines = self.problem.request.pipelines
        return own + sum(self._moved(p, seats) + self.late_money(p, seats) for p in pipelines)

    def late_money(self, pipeline: PipelineSpec, seats: Mapping[str, Seat]) -> int:
        """Returns what ending after the deadline costs, where that is allowed."""
        price, deadline = pipeline.sla.late_micro_dollars_per_hour, self.deadline_ms(pipeline)
        if price is None or deadline is None:
            return 0
        own = [k for k in seats if self.tasks[k][0] is pipeline and not self.serves(k)]
        late = max((self.end(key, seats) - deadline for key in own), default=0)
        return math.ceil(fractions.Fraction(max(late, 0) * price, HOUR_MS))

    def spent(self, pipeline: PipelineSpec, seats: Mapping[str, Seat]) -> int:
        """Returns what counts against a budget."""
        monthly = pipeline.limits.budget_period is BudgetPeriod.MONTH
        own = sum(
            self.way(key, seat.pool).cost
            for key, seat in seats.items()
            if self.tasks[key][0] is pipeline and self.serves(key) == monthly
        )
        return own if monthly else own + self._moved(pipeline, seats)

    def budget(self, pipeline: PipelineSpec) -> int | None:
        """Returns a budget; one by the month is counted by the hour."""
        budget = pipeline.limits.budget_micro_dollars
        if budget is None or pipeline.limits.budget_period is BudgetPeriod.RUN:
            return budget
        return math.floor(budget / MONTH_HOURS)

    def _moved(self, pipeline: PipelineSpec, seats: Mapping[str, Seat]) -> int:
        handed: dict[str, float] = {}
        total = 0
        for task in pipeline.tasks:
            before = max((handed.get(name, 0.0) for name in task.after), default=0.0)
            own = before if task.volume_gib is None else task.volume_gib
            hands_on = task.kind in {TaskKind.ETL, TaskKind.FEATURES}
            handed[task.name] = own if hands_on else 0.0
            target = seats.get(task_key(pipeline.name, task.name))
            for name in task.after:
                source = seats.get(task_key(pipeline.name, name))
                if source is None or target is None or handed[name] <= 0:
                    continue
                leaves, enters = self.pools[source.pool][0], self.pools[target.pool][0]
                if leaves.region != enters.region:
                    prices = leaves.transfer_micro_dollars_per_gib
                    price = prices.get(enters.region, prices.get(enters.continent, 0))
                    chance = self._branches[pipeline.name].probability(task.name)
                    total += round(handed[name] * chance * price)
        return total

    # ----------------------------------------------------------------- moves

    def may_run(self, key: str, placed: Mapping[str, Seat]) -> bool:
        """Whether what a task waits for has a place."""
        waits = [upstream in placed for upstream in self.upstream(key)]
        any_will_do = self.tasks[key][1].join is Join.ANY
        return not waits or (any(waits) if any_will_do else all(waits))

    def ready(self, key: str, seats: Mapping[str, Seat]) -> int:
        """Returns when the last of the tasks that one waits for has ended."""
        return max((self.end(k, seats) for k in self.upstream(key) if k in seats), default=0)

    def end(self, key: str, seats: Mapping[str, Seat]) -> int:
        """Returns when a placed task ends."""
        return seats[key].start_ms + self.way(key, seats[key].pool).duration_ms

    def moved(self, key: str, pool: int) -> Moved:
        """Returns what a move of one task to a pool brings, or all that stands against it."""
        way = self.way(key, pool)
        apart = (*affinities.against(self, key, pool, self.seats),)
        if way.is_static or apart:
            return Moved(money=0, refused=(*apart, *way.violated), seats=None)
        followers = self.followers(key)
        placed: Mapping[str, Seat] = self.seats
        for gone in (key, *followers):
            placed = nodes.leave(self, gone, placed)
        pools = {key: pool, **{k: self.seats[k].pool for k in followers}}
        pipeline = self.tasks[key][0]
        trial = {**self.seats, key: Seat(pool=pool, start_ms=0)}
        refused = [*way.violated]
        budget, spent = self.budget(pipeline), self.spent(pipeline, trial)
        if budget is not None and spent > budget:
            unit = "hour" if pipeline.limits.budget_period is BudgetPeriod.MONTH else "run"
            refused.append(
                Violation(
                    limit=Limit.BUDGET, needs=spent / 1e6, has=budget / 1e6, unit=f"USD per {unit}"
                )
            )
        if not self.may_run(key, placed):
            missing = [self.tasks[k][1].name for k in self.upstream(key) if k not in placed]
            needs = f"a place for {', '.join(missing)}"
            nothing = Violation(limit=Limit.EARLIEST_START, needs=needs, has="none in this plan")
            return Moved(money=0, refused=(nothing,), seats=None)
        late = [*self._late(key, pools, placed)]
        seats = None
        if not late:
            seats, short = self._seated(pools, placed)
            late += short
        refused += late
        worst_first = sorted(refused, key=lambda v: -v.shortage)
        return Moved(
            money=self.money(trial if seats is None else seats),
            refused=tuple(worst_first),
            seats=None if refused else seats,
        )

    def _late(
        self, key: str, pools: Mapping[str, int], placed: Mapping[str, Seat]
    ) -> Iterator[Violation]:
        """Yields lateness on empty pools."""
        seats = dict(placed)
        for k, pool in pools.items():
            seats[k] = Seat(pool=pool, start_ms=self.ready(k, seats))
        late = [k for k in pools if self.end(k, seats) > self.latest_ms(k)]
        batch = [k for k in late if not self.serves(k)]
        pipeline = self.tasks[key][0]
        deadline, slack = self.deadline_ms(pipeline), self.frame.slacks_ms.get(pipeline.name, 0)
        if batch and deadline is not None and max(map(self.latest_ms, batch)) == deadline + slack:
            last = max(self.end(k, seats) for k in batch) - slack
            yield Violation(limit=Limit.DEADLINE, needs=last / 1000, has=deadline / 1000, unit="s")
        elif late:
            worst = max(late, key=lambda k: self.end(k, seats) - self.latest_ms(k))
            needs, has = self.end(worst, seats) / 1000, self.latest_ms(worst) / 1000
            yield Violation(limit=Limit.EARLIEST_START, needs=needs, has=has, unit="s")

    def _seated(
        self, pools: Mapping[str, int], placed: Mapping[str, Seat]
    ) -> tuple[dict[str, Seat] | None, list[Violation]]:
        """Returns where all come to stand; else every shortage of the first that is stuck."""
        seats = dict(placed)
        waited: list[Violation] = []
        for number, (key, pool) in enumerate(pools.items()):
            ready = self.ready(key, seats)
            start = self.earliest(key, pool, ready, seats)
            name = "" if number == 0 else f" for {self.tasks[key][1].name}"
            short = self._short(key, Seat(pool=pool, start_ms=ready), seats, name)
            if start is None:
                in_time = ready + self.way(key, pool).duration_ms <= self.latest_ms(key)
                return None, short if in_time or not waited else waited
            if start > ready and not waited:
                waited = short
            seats = nodes.stand(self, key, Seat(pool=pool, start_ms=start), seats)
        return seats, []

    def _short(self, key: str, seat: Seat, seats: Mapping[str, Seat], name: str) -> list[Violation]:
        beside = self.beside(key, seat.pool, seats)
        found = [
            Violation(
                limit=Limit.SLOT_CAPACITY,
                needs=need / 1000,
                has=free / 1000,
                unit=f"{rules.COUNTED[resource].unit}{name}",
            )
            for bucket, stretches in zip(beside, self.asks(key, seat, beside), strict=True)
            for resource, need, free in bucket.load.shortages(stretches)
        ]
        # Where there is room in sum, it is single nodes that lack it.
        return found or [*nodes.beside(self, key, seat.pool, seats).shortage(seat, name)]

    def best(self, key: str) -> set[int]:
        """Returns the pools where a task stands best when only it moves; today's first."""
        moves = {pool: self.moved(key, pool) for pool in range(len(self.pools))}
        possible = {pool: m.money for pool, m in moves.items() if m.seats is not None}
        least = min(possible.values(), default=0)
        return {pool for pool, money in possible.items() if money == least}


def with_memory(problem: PlacementProblem, key: str, memory_gib: float) -> PlacementProblem:
    """Returns the problem in which the author of one task insists on so much memory."""

    def change(pipeline: PipelineSpec) -> PipelineSpec:
        tasks = tuple(
            dataclasses.replace(t, wishes=dataclasses.replace(t.wishes, memory_gib=memory_gib))
            if task_key(pipeline.name, t.name) == key
            else t
            for t in pipeline.tasks
        )
        return dataclasses.replace(pipeline, tasks=tasks)

    pipelines = tuple(map(change, problem.request.pipelines))
    request = dataclasses.replace(problem.request, pipelines=pipelines)
    return dataclasses.replace(problem, request=request)
