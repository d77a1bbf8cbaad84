"""Whatever pipeline or fleet there is can be written as a document and read back the same."""

from __future__ import annotations

import dataclasses
import json
from typing import TypeVar

import hypothesis
import jsonschema
import pytest
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from engine import documents
from engine.documents import sources
from engine.documents.codecs import money, quantities
from engine.model.errors import InvalidInputError
from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import (
    ClusterName,
    MicroDollars,
    PipelineName,
    PoolName,
    TaskName,
)
from engine.model.resources import Resource
from engine.model.specs import (
    BudgetPeriod,
    Deadline,
    Gates,
    Join,
    Limits,
    PipelineSpec,
    RetrainPolicy,
    RetrainTrigger,
    Serving,
    Sla,
    TaskKind,
    TaskSpec,
    Wishes,
)

T = TypeVar("T")

names = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4})?", fullmatch=True)
words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
shares = st.floats(0.001, 0.999)
gibs = st.floats(0.01, 60_000)
money_amounts = st.integers(0, 10**12).map(MicroDollars)
scalars = st.one_of(st.integers(-(10**9), 10**9), st.booleans(), words, st.floats(-1e9, 1e9))


def maybe(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | strategy


deadlines = st.one_of(
    st.builds(Deadline, at_seconds=st.integers(0, 4 * 10**9).map(float)),
    st.builds(Deadline, within_seconds=st.floats(1, 10**7)),
    st.builds(
        Deadline,
        daily_at=st.times().map(lambda time: f"{time:%H:%M}"),
        zone=st.sampled_from(["UTC", "Europe/Paris", "Asia/Tokyo"]),
    ),
)
wishes = st.builds(
    Wishes,
    cpu_cores=maybe(st.floats(0.01, 10_000)),
    memory_gib=maybe(gibs),
    disk_gib=maybe(gibs),
    network_mbps=maybe(st.floats(0.001, 10**7)),
    gpu_model=maybe(st.sampled_from(["A100", "T4"])),
    gpu_count=maybe(st.integers(0, 16)),
    gpu_memory_gib=maybe(st.floats(1, 1000)),
)
servings = st.builds(
    Serving,
    requests_per_second_peak=st.floats(0.001, 10**6),
    latency_ms_p99=maybe(st.floats(0.1, 600_000)),
    availability=maybe(shares),
    load_by_hour=st.just(()) | st.lists(st.floats(0, 1), min_size=24, max_size=24).map(tuple),
)
gates = st.builds(
    Gates,
    quality_at_least=maybe(shares),
    quality_drop_at_most=maybe(shares),
    loss_must_fall=st.booleans(),
    forbid_nan=st.booleans(),
    outputs=st.lists(words, unique=True, max_size=3).map(tuple),
)


@st.composite
def tasks(draw: st.DrawFn, name: str, before: list[str]) -> TaskSpec:
    kinds = [kind for kind in TaskKind if kind is not TaskKind.SERVE or name.startswith("z")]
    kind = draw(st.sampled_from(kinds))
    after = draw(st.lists(st.sampled_from(before), unique=True)) if before else []
    train = kind is TaskKind.TRAIN
    families = st.lists(st.sampled_from(["knn", "svm"]), unique=True)
    return TaskSpec(
        name=TaskName(name),
        kind=kind,
        after=tuple(TaskName(each) for each in after),
        join=draw(st.sampled_from(Join)),
        command=tuple(draw(st.lists(words, max_size=2))),
        image=draw(maybe(words)),
        reads=draw(maybe(words)),
        writes=draw(maybe(words)),
        volume_gib=draw(maybe(st.floats(1e-6, 10**8))),
        rows=draw(maybe(st.integers(1, 10**12))),
        target=draw(maybe(words)),
        schema=draw(st.dictionaries(words, words, max_size=2)),
        model=tuple(draw(families)) if train else (),
        trials=draw(maybe(st.integers(1, 100))) if train else None,
        parameters=draw(st.dictionaries(words, scalars, max_size=3)),
        wishes=draw(wishes),
        serving=draw(servings) if kind is TaskKind.SERVE else None,
        gates=draw(maybe(gates)) if kind is TaskKind.EVALUATE else None,
        retries=draw(st.integers(0, 9)),
    )


@st.composite
def policies(draw: st.DrawFn) -> RetrainPolicy:
    triggers = tuple(draw(st.lists(st.sampled_from(RetrainTrigger), unique=True)))
    return RetrainPolicy(
        triggers=triggers,
        quality_below=draw(shares) if RetrainTrigger.QUALITY in triggers else None,
        every_seconds=draw(st.floats(60, 10**7)) if RetrainTrigger.SCHEDULE in triggers else None,
        times_per_day=draw(st.integers(0, 100)),
        budget_per_day_micro_dollars=draw(maybe(money_amounts)),
        cool_down_seconds=draw(st.floats(0, 10**6)),
    )


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    amount = draw(maybe(money_amounts))
    period = draw(st.sampled_from(BudgetPeriod)) if amount is not None else BudgetPeriod.RUN
    return Limits(
        budget_micro_dollars=amount,
        budget_period=period,
        regions=tuple(draw(st.lists(words, unique=True, max_size=2))),
        providers=tuple(draw(st.lists(st.sampled_from(Provider), unique=True, max_size=2))),
    )


@st.composite
def pipelines(draw: st.DrawFn) -> PipelineSpec:
    listed = draw(st.lists(names, unique=True, min_size=1, max_size=3))
    ordered = [f"a{name}" for name in listed] + draw(st.sampled_from([[], ["zserve"]]))
    return PipelineSpec(
        name=PipelineName(draw(names)),
        tasks=tuple(draw(tasks(name, ordered[:index])) for index, name in enumerate(ordered)),
        owner=draw(words),
        folder=draw(st.sampled_from(["", "/data"])),
        sla=Sla(
            deadline=draw(maybe(deadlines)),
            keep=draw(shares),
            weight=draw(st.floats(0.001, 10**6)),
        ),
        limits=draw(limits()),
        retrain=draw(maybe(policies())),
        seed=draw(st.integers(0, 2**31 - 1)),
    )


@st.composite
def pools(draw: st.DrawFn, name: str) -> Pool:
    gpus = draw(st.integers(0, 8))
    return Pool(
        name=PoolName(name),
        shape=NodeShape(
            machine=draw(words),
            cpu_cores=draw(st.floats(0.1, 200)),
            memory_gib=draw(gibs),
            disk_gib=draw(gibs),
            network_mbps=draw(st.floats(1, 10**6)),
            gpu_model="A100" if gpus else "",
            gpu_count=gpus,
            gpu_memory_gib=40.0 if gpus else 0.0,
        ),
        node_count=draw(st.integers(0, 1000)),
        price_micro_dollars_per_hour=draw(money_amounts),
        spot_micro_dollars_per_hour=draw(maybe(money_amounts)),
        speed=draw(st.floats(0.01, 100)),
        taints=tuple(draw(st.lists(words, unique=True, max_size=2))),
    )


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    def cluster(name: str) -> Cluster:
        listed = draw(st.lists(names, unique=True, min_size=1, max_size=2))
        owned = st.dictionaries(st.sampled_from([Resource.CPU, Resource.GPU]), st.floats(0.1, 99))
        return Cluster(
            name=ClusterName(name),
            provider=draw(st.sampled_from(Provider)),
            region=draw(words),
            continent=draw(words),
            pools=tuple(draw(pools(each)) for each in listed),
            executor=draw(words),
            availability=draw(shares),
            latency_ms=draw(st.floats(0, 60_000)),
            reachable=draw(st.booleans()),
            grace_seconds=draw(st.floats(0, 3600)),
            transfer_micro_dollars_per_gib=draw(st.dictionaries(words, money_amounts, max_size=2)),
            quota=draw(st.dictionaries(words, owned, max_size=2)),
        )

    listed = draw(st.lists(names, unique=True, min_size=1, max_size=2))
    return Fleet(clusters=tuple(cluster(name) for name in listed))


def as_yaml(mapping: object) -> str:
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(mapping, stream)
    return str(stream.getvalue())


@hypothesis.given(pipelines())
@hypothesis.settings(max_examples=50)
def test_a_pipeline_is_written_as_it_is_read(spec: PipelineSpec) -> None:
    assert documents.pipeline_from(documents.pipeline_mapping(spec), name="x") == spec


@hypothesis.given(pipelines())
@hypothesis.settings(max_examples=20)
def test_json_and_yaml_carry_the_same_pipeline(spec: PipelineSpec) -> None:
    mapping = documents.pipeline_mapping(spec)
    assert documents.pipeline_from(json.loads(json.dumps(mapping)), name="x") == spec
    sorted_tasks = tuple(sorted(spec.tasks, key=lambda task: task.name))
    read = documents.read_pipeline(as_yaml(mapping), name="x", as_of=-1.0)
    assert dataclasses.replace(read, tasks=tuple(sorted(read.tasks, key=lambda t: t.name))) == (
        dataclasses.replace(spec, tasks=sorted_tasks)
    )


@hypothesis.given(pipelines())
@hypothesis.settings(max_examples=20)
def test_what_is_written_is_valid_by_the_schema(spec: PipelineSpec) -> None:
    jsonschema.validate(documents.pipeline_mapping(spec), documents.pipeline_schema())


@hypothesis.given(fleets())
@hypothesis.settings(max_examples=25)
def test_a_fleet_is_written_as_it_is_read(fleet: Fleet) -> None:
    mapping = documents.fleet_mapping(fleet)
    assert documents.fleet_from(mapping, name="x") == fleet
    jsonschema.validate(mapping, documents.fleet_schema())


@pytest.mark.parametrize("codec", [quantities.MEMORY, quantities.WITHIN, quantities.NETWORK])
@hypothesis.given(value=st.floats(1, 1000))
def test_a_quantity_is_written_exactly(codec: quantities.Quantity, value: float) -> None:
    assert codec.read(sources.Node("x", str(codec.write(value)))) == value


@hypothesis.given(money_amounts)
def test_money_is_written_to_the_millionth(amount: MicroDollars) -> None:
    assert money.PER_HOUR.read(sources.Node("x", str(money.PER_HOUR.write(amount)))) == amount


@hypothesis.given(st.text(max_size=200))
def test_no_text_is_read_with_anything_but_named_faults(text: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        documents.read_pipeline(text, name="x", as_of=0.0)
    assert all(fault.code in documents.CODES for fault in raised.value.faults)
