"""Small requests whose wishes rarely hold together, for brute force."""

import dataclasses

from benchmarks.placement.checking import more_limits
from benchmarks.placement.checking.requests import REGIONS, Requests
from engine.model.fleet import Cluster, Fleet, Provider
from engine.model.identifiers import PipelineName, TaskName, dollars
from engine.model.plans import Mode, PlacementProblem, PlanRequest, task_key
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource
from engine.model.specs import BudgetPeriod, Deadline, Limits, PipelineSpec, Sla, TaskKind, TaskSpec

TOO_MUCH = 0.06
"""Share of the tasks that ask for more memory than any machine has."""


class TightRequests(Requests):
    """One or two pipelines of one to three tasks on two or three clusters, wished for tightly."""

    def request(self) -> PlacementProblem:
        """Returns a request in which every SLA has to be kept."""
        chance = self._chance
        fleet = Fleet(clusters=tuple(self.cluster(n) for n in range(chance.randint(2, 3))))
        size = chance.choice((1, 1, 2))
        pipelines = tuple(self.pipeline(f"p{number}") for number in range(size))
        profiles = {task_key(p.name, t.name): self.profile(t) for p in pipelines for t in p.tasks}
        as_of = 1_790_000_000.0
        request = PlanRequest(
            pipelines=pipelines,
            fleet=fleet,
            as_of=as_of,
            mode=Mode.LEAST_COST,
            reservations=tuple(self.reservations(fleet, as_of)),
            work_limit=self._work_limit,
        )
        problem = PlacementProblem(request=request, profiles=profiles)
        return more_limits.limited(problem, self._more)

    def cluster(self, number: int) -> Cluster:
        """Returns a cluster of one or two plain pools."""
        chance = self._chance
        pools = [
            dataclasses.replace(
                self.pool(kind), taints=(), node_count=chance.randint(1, 2), speed=speed
            )
            for kind, speed in zip(
                chance.sample(("small", "large", "memory"), chance.randint(1, 2)),
                (1.0, 2.0),
                strict=False,
            )
        ]
        plain = super().cluster(number)
        return dataclasses.replace(
            plain,
            pools=tuple(
                dataclasses.replace(
                    p, shape=dataclasses.replace(p.shape, cpu_cores=max(p.shape.cpu_cores, 2.0))
                )
                for p in pools
            ),
            quota={},
        )

    def pipeline(self, name: str) -> PipelineSpec:
        """Returns a pipeline with tight wishes of some kinds."""
        chance = self._chance
        tasks = [TaskSpec(name=TaskName("t0"), kind=TaskKind.ETL, volume_gib=20.0)]
        if chance.random() < 0.4:
            tasks.append(TaskSpec(name=TaskName("t1"), kind=TaskKind.TRAIN, after=(tasks[0].name,)))
        if chance.random() < 0.4:
            tasks.append(self.service(tasks[-1].name))
        period = chance.choice((BudgetPeriod.RUN, BudgetPeriod.RUN, BudgetPeriod.MONTH))
        usual = 0.3 if period is BudgetPeriod.RUN else 40.0
        tight = chance.random() < 0.6
        deadline = Deadline(within_seconds=round(chance.uniform(0.1, 3.0) * 3600))
        providers = tuple(p.value for p in chance.sample(list(Provider), 2))
        return PipelineSpec(
            name=PipelineName(name),
            tasks=tuple(tasks),
            sla=Sla(
                deadline=deadline if chance.random() < 0.8 else None,
                keep=chance.choice((0.5, 0.9, 0.95)),
            ),
            limits=Limits(
                budget_micro_dollars=dollars(round(usual * chance.uniform(0.1, 2), 2))
                if tight
                else None,
                budget_period=period,
                regions=chance.choice(((), (chance.choice(REGIONS),), ("eu",))),
                providers=chance.choice(((), (), providers)),
            ),
        )

    def profile(self, task: TaskSpec) -> Profile:
        """Returns needs that do not change while a task runs."""
        chance = self._chance
        serves = task.kind is TaskKind.SERVE
        memory = 4_000.0 if chance.random() < TOO_MUCH else chance.choice((1.0, 4.0, 12.0))
        return Profile(
            task=task.name,
            kind=task.kind,
            duration_seconds=None if serves else self.quantiles(chance.uniform(300, 5_000)),
            use={
                Resource.CPU: (Quantiles.constant(chance.choice((1.0, 2.0, 6.0))),),
                Resource.MEMORY: (Quantiles.constant(memory),),
            },
            service_ms_p99=chance.choice((None, 5.0, 30.0)) if serves else None,
        )
