"""Seeded requests of many shapes: pipelines, fleets and profiles as nobody would write them."""

import dataclasses
import random
from collections.abc import Mapping

from benchmarks.placement.checking import more_limits
from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import (
    ClusterName,
    PipelineName,
    PoolName,
    TaskName,
    dollars,
)
from engine.model.plans import Mode, PlacementProblem, PlanRequest, Reservation, task_key
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource, Resources
from engine.model.specs import (
    BudgetPeriod,
    Deadline,
    Join,
    Limits,
    PipelineSpec,
    Serving,
    Sla,
    TaskKind,
    TaskSpec,
    Wishes,
)

AS_OF = 1_790_000_000.0
REGIONS = ("eu-north-1", "eu-west-1", "us-east-1")
OWNERS = ("growth", "risk")
GPUS = (("a100", 80.0), ("a10", 24.0), ("t4", 16.0))


class Requests:
    """Draws requests from one seed; each call draws another one."""

    def __init__(self, seed: int, *, work_limit: float) -> None:
        self._chance = random.Random(seed)
        self._more = random.Random(seed + 1)
        self._work_limit = work_limit

    def request(self) -> PlacementProblem:
        """Returns one to four pipelines of one to five tasks on two to five clusters."""
        chance = self._chance
        fleet = Fleet(clusters=tuple(self.cluster(n) for n in range(chance.randint(2, 5))))
        profiles: dict[str, Profile] = {}
        pipelines = []
        for number in range(chance.choice((1, 1, 2, 2, 3, 4))):
            spec = self.pipeline(f"p{number}")
            pipelines.append(spec)
            profiles |= {task_key(spec.name, t.name): self.profile(t) for t in spec.tasks}
        request = PlanRequest(
            pipelines=tuple(pipelines),
            fleet=fleet,
            as_of=AS_OF + chance.randrange(86_400),
            mode=Mode.MOST_SLA,
            seed=chance.randrange(1000),
            horizon_hours=chance.choice((24, 24, 48)),
            work_limit=self._work_limit,
        )
        held = tuple(self.reservations(fleet, request.as_of))
        problem = PlacementProblem(
            request=dataclasses.replace(request, reservations=held), profiles=profiles
        )
        return more_limits.limited(problem, self._more)

    def cluster(self, number: int) -> Cluster:
        """Returns a cluster of one to three pools, some of them odd."""
        chance = self._chance
        region = chance.choice(REGIONS)
        kinds = chance.sample(("small", "large", "memory", "gpu"), chance.randint(1, 3))
        prices = {
            r: dollars(chance.choice((0.0, 0.01, 0.05, 0.09))) for r in REGIONS if r != region
        }
        quota: dict[str, Mapping[Resource, float]] = {}
        if chance.random() < 0.25:
            limited = chance.choice((Resource.CPU, Resource.MEMORY))
            quota[chance.choice(OWNERS)] = {limited: chance.choice((2.0, 6.0, 24.0))}
        return Cluster(
            name=ClusterName(f"c{number}"),
            provider=chance.choice(list(Provider)),
            region=region,
            continent=region.partition("-")[0],
            pools=tuple(self.pool(kind) for kind in kinds),
            availability=chance.choice((0.99, 0.999, 0.9995)),
            latency_ms=chance.choice((2.0, 10.0, 45.0)),
            reachable=chance.random() < 0.94,
            transfer_micro_dollars_per_gib=prices,
            quota=quota,
        )

    def pool(self, kind: str) -> Pool:
        """Returns a pool; about one in twenty has no node, or a shape that nobody knows."""
        chance = self._chance
        cores = float(chance.choice({"small": (2, 4), "large": (16, 32)}.get(kind, (8, 16))))
        gpu, gpu_memory = chance.choice(GPUS) if kind == "gpu" else ("", 0.0)
        price = cores * chance.uniform(0.03, 0.08) + (chance.uniform(0.5, 3) if gpu else 0.0)
        odd = chance.random()
        return Pool(
            name=PoolName(kind),
            shape=NodeShape(
                machine=f"{kind}-{cores:g}",
                cpu_cores=0.0 if odd < 0.02 else cores,
                memory_gib=cores * chance.choice((1.0, 2.0, 4.0, 8.0)),
                disk_gib=chance.choice((50.0, 200.0, 1000.0)),
                network_mbps=chance.choice((500.0, 2_000.0, 10_000.0)),
                gpu_model=gpu,
                gpu_count=chance.choice((1, 2, 4)) if gpu else 0,
                gpu_memory_gib=gpu_memory,
            ),
            node_count=0 if odd > 0.97 else chance.randint(1, 4),
            price_micro_dollars_per_hour=dollars(round(price, 4)),
            speed=chance.choice((0.5, 0.8, 1.0, 1.0, 1.3, 2.0)),
            taints=(chance.choice(("gpu", "risk", "train", "nobody")),)
            if chance.random() < 0.12
            else (),
        )

    def pipeline(self, name: str) -> PipelineSpec:
        """Returns a chain, a tree, or a fork of which one branch runs; some end in a service."""
        chance = self._chance
        tasks = [self.task(0, ())]
        for number in range(1, chance.randint(1, 4)):
            before = [t.name for t in tasks]
            after = chance.sample(before, min(len(before), chance.choice((0, 1, 1, 1, 2))))
            tasks.append(self.task(number, tuple(sorted(after))))
        served = tasks[-1].name
        if chance.random() < 0.2:
            tasks += self.fork(tasks[-1].name)
            served = served if tasks[-1].when else tasks[-1].name
        if chance.random() < 0.4:
            tasks.append(self.service(served))
        budget = None
        period = chance.choice(list(BudgetPeriod))
        if chance.random() < 0.4:
            usual = 1.0 if period is BudgetPeriod.RUN else 400.0
            budget = dollars(round(usual * chance.uniform(0.2, 3.0), 2))
        deadline = None
        if chance.random() < 0.85:
            deadline = Deadline(within_seconds=round(chance.uniform(1.0, 20.0) * 3600, 1))
        providers = chance.sample([p.value for p in Provider], 3)
        return PipelineSpec(
            name=PipelineName(name),
            owner=chance.choice(OWNERS),
            tasks=tuple(tasks),
            sla=Sla(
                deadline=deadline,
                keep=chance.choice((0.5, 0.9, 0.95, 0.99)),
                weight=chance.choice((1.0, 1.0, 2.0)),
            ),
            limits=Limits(
                budget_micro_dollars=budget,
                budget_period=period,
                regions=chance.choice(((), (), (), ("eu",), ("us-east-1", "eu-west-1"))),
                providers=tuple(providers) if chance.random() < 0.15 else (),
            ),
        )

    def task(self, number: int, after: tuple[TaskName, ...]) -> TaskSpec:
        """Returns a task that ends."""
        chance = self._chance
        kinds = (TaskKind.ETL, TaskKind.FEATURES, TaskKind.TRAIN, TaskKind.EVALUATE)
        kind = kinds[min(number, 3)] if chance.random() < 0.8 else chance.choice(kinds)
        wishes = Wishes()
        if chance.random() < 0.15:
            wishes = Wishes(memory_gib=chance.choice((1.0, 6.0, 20.0)), cpu_cores=2.0)
        return TaskSpec(
            name=TaskName(f"t{number}"),
            kind=kind,
            after=after,
            wishes=wishes,
            volume_gib=chance.choice((None, 5.0, 60.0)) if kind is TaskKind.ETL else None,
        )

    def fork(self, after: TaskName) -> list[TaskSpec]:
        """Returns two tasks of which one runs, and sometimes one that takes what either made."""
        branches = [
            TaskSpec(
                name=TaskName(name),
                kind=TaskKind.TRAIN,
                after=(after,),
                when=f'{after}.best == "{name}"',
            )
            for name in ("left", "right")
        ]
        names = tuple(t.name for t in branches)
        last = TaskSpec(name=TaskName("either"), kind=TaskKind.PACKAGE, after=names, join=Join.ANY)
        return [*branches, last] if self._chance.random() < 0.5 else branches

    def service(self, after: TaskName) -> TaskSpec:
        """Returns a serve task with some of the promises that a service can make."""
        chance = self._chance
        serving = Serving(
            requests_per_second_peak=50.0,
            latency_ms_p99=chance.choice((None, 20.0, 50.0, 80.0)),
            availability=chance.choice((None, 0.98, 0.995, 0.9992)),
        )
        return TaskSpec(
            name=TaskName("serve"), kind=TaskKind.SERVE, after=(after,), serving=serving
        )

    def profile(self, task: TaskSpec) -> Profile:
        """Returns a forecast: needs by slot, some of them known, some of them wide."""
        chance = self._chance
        serves = task.kind is TaskKind.SERVE
        slots = chance.choice((1, 24)) if serves else chance.choice((1, 1, 2, 5))
        use = {
            Resource.CPU: tuple(
                self.quantiles(chance.choice((0.5, 1, 3, 7))) for _ in range(slots)
            ),
            Resource.MEMORY: tuple(
                self.quantiles(chance.choice((0.5, 3, 8, 24)))
                for _ in range(chance.choice((1, slots)))
            ),
        }
        if chance.random() < 0.4:
            use[Resource.DISK] = (self.quantiles(chance.choice((10, 80, 300))),)
            use[Resource.NETWORK] = (self.quantiles(chance.choice((50, 400, 1500))),)
        models: tuple[str, ...] = ()
        if task.kind is TaskKind.TRAIN and chance.random() < 0.3:
            use[Resource.GPU] = (Quantiles.constant(float(chance.choice((1, 2)))),)
            use[Resource.GPU_MEMORY] = (self.quantiles(chance.choice((8, 18, 40))),)
            models = chance.choice(((), ("A100",), ("a10", "t4")))
        return Profile(
            task=task.name,
            kind=task.kind,
            duration_seconds=None if serves else self.quantiles(chance.uniform(60, 9_000)),
            use=use,
            slot_seconds=chance.choice((300.0, 900.0)),
            gpu_models=models,
            replicas=chance.choice((1, 2, 4)) if serves else chance.choice((1, 1, 1, 2)),
            service_ms_p99=chance.choice((None, 5.0, 30.0)) if serves else None,
        )

    def quantiles(self, median: float) -> Quantiles:
        """Returns quantiles around a median, a third of them without any spread."""
        spread = self._chance.choice((0.0, 0.2, 0.8))
        p80, p90, p95, p99 = (median * (1 + spread * s) for s in (0.4, 0.7, 1.0, 1.6))
        return Quantiles(p50=median, p80=p80, p90=p90, p95=p95, p99=p99)

    def reservations(self, fleet: Fleet, as_of: float) -> list[Reservation]:
        """Returns what other teams hold, for a while or for good."""
        chance = self._chance
        found = []
        pools = [(c, p) for c in fleet.clusters for p in c.pools if p.node_count]
        for number in range(chance.choice((0, 0, 1, 2)) if pools else 0):
            cluster, pool = chance.choice(pools)
            share = chance.choice((0.3, 0.7, 1.0)) * pool.node_count
            since = as_of + chance.choice((-600.0, 0.0, 5_000.0))
            found.append(
                Reservation(
                    cluster=cluster.name,
                    pool=pool.name,
                    holder=f"others-{number}",
                    held=Resources(
                        cpu_cores=pool.shape.cpu_cores * share,
                        memory_gib=pool.shape.memory_gib * share,
                    ),
                    from_seconds=since,
                    to_seconds=chance.choice((None, since + 7_200.0, since + 40_000.0)),
                )
            )
        return found
