"""The benchmark of packing on a small folder of the same layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import frame
from benchmarks.placement import _openb as protocol
from benchmarks.placement import openb
from benchmarks.placement._packing_check import violations
from placement.packing.nodes import Binding
from tests.support import pods as make

OPTIONS = {
    "policy": "berth",
    "traces": "",
    "seeds": "7",
    "moves": "",
    "refuse": False,
    "window": 1,
    "unknown": False,
    "streams": 2,
    "length": 6,
}


@pytest.fixture
def context(tmp_path: Path) -> frame.Context:
    folder = tmp_path / protocol.FOLDER
    folder.mkdir(parents=True)
    nodes = [f"node-{n},32000,65536,{n % 2 * 3 + 1},T4" for n in range(6)]
    (folder / "openb_node_list_small.csv").write_text(
        "\n".join(["sn,cpu_milli,memory_mib,gpu,model", *nodes, "cpu,64000,65536,0,"])
    )
    pods = [f"pod-{n:02},{n % 3 * 1000},512,1,{300 + n % 4 * 200},T4|P100" for n in range(20)]
    (folder / "openb_pod_list_small.csv").write_text(
        "\n".join(["name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec", *pods])
    )
    return frame.Context(data=tmp_path, scratch=tmp_path, options=OPTIONS)


def test_a_trace_without_published_order_is_replayed_in_one_of_our_own(
    context: frame.Context,
) -> None:
    figures = {figure.name: figure for figure in openb.run(context)}
    assert figures["orders of our own, the published one missing"].value == 1
    assert figures["limits broken, by an independent check"].holds
    assert 80 < figures["small: allocated"].value <= 100


def test_an_order_of_our_own_asks_for_130_percent(context: frame.Context) -> None:
    nodes = protocol.read_nodes(context)
    trace = protocol.read_trace(context.file(protocol.POD_LISTS))
    drawn = [protocol.arrivals(context, trace, nodes, seed) for seed in (1, 1, 2)]
    asked = sum(trace.shapes[pod].total_gpu_milli for pod in drawn[0].pods)
    total = sum(node.gpus for node in nodes) * 1000
    assert 1.3 * total - 1000 < asked <= 1.3 * total
    assert drawn[0].pods.tolist() == drawn[1].pods.tolist() != drawn[2].pods.tolist()
    assert len(nodes) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy": "best"}, "no policy 'best'"),
        ({"seeds": "x"}, "no range"),
        ({"moves": "two"}, "no share"),
        ({"traces": "large"}, "known: small"),
    ],
)
def test_options_that_cannot_be_are_refused(
    context: frame.Context, change: dict[str, str], message: str
) -> None:
    wrong = frame.Context(data=context.data, scratch=context.scratch, options=OPTIONS | change)
    with pytest.raises(frame.BenchmarkError, match=message):
        list(openb.run(wrong))


def test_the_check_names_every_limit_that_is_broken() -> None:
    node = make.node("a", gpus=1, cpus=2)
    pods = {"x": make.shape(milli=600, cpus=2), "y": make.shape(milli=600, models=("V100",))}
    stands = Binding(node="a", devices=(0,))
    found = violations([node], pods, {"x": stands, "y": stands})
    assert [text.split(":")[-1].strip() for text in found[1:]] == [
        "CPU 3000 of 2000",
        "GPU 0 1200 of 1000",
    ]
    assert "V100" in found[0]
    lost = violations([node], pods, {"x": Binding(node="b", devices=()), "z": stands})
    assert len(lost) == 2
    assert len(violations([node], pods, {"x": Binding(node="a", devices=(1,))})) == 1
    assert len(violations([node], pods, {"x": Binding(node="a", devices=())})) == 1
