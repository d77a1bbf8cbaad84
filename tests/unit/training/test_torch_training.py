"""Parallel training and compression. One file, since every process pays for importing torch."""

from __future__ import annotations

import itertools
import json
import math
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alarms import HypothesisTree
from alarms.detection.detector import StatisticalDetector
from engine.model import documents
from engine.model.alarms import Alarm, CauseKind
from engine.model.errors import DamagedError, RefusedError, RetryableError
from engine.model.signals import Signal
from engine.testing.watch_suites import group
from executors.training.parallel import launch, metrics, prediction
from tests.support.clusters import programs
from tests.support.later import Later

# Each process of a training imports torch, which takes a busy machine many seconds.
pytestmark = [pytest.mark.xdist_group("torch"), pytest.mark.timeout(1_200)]

torch: Any = Later("torch")
batches: Any = Later("executors.training.parallel.batches")
checkpoints: Any = Later("executors.training.parallel.checkpoints")
loop: Any = Later("executors.training.parallel.loop")
optimisers: Any = Later("executors.training.parallel.optimisers")
worker: Any = Later("executors.training.parallel.worker")
schedules: Any = Later("executors.training.parallel.schedules")
recipes: Any = Later("executors.training.parallel.recipe")
chains: Any = Later("executors.training.compression.chains")
compressing: Any = Later("executors.training.compression.compressing")
export: Any = Later("executors.training.compression.export")
low_rank: Any = Later("executors.training.compression.low_rank")
operations: Any = Later("executors.training.compression.operations")
pruning: Any = Later("executors.training.compression.pruning")

RECIPE = """
import torch
from executors.training.parallel.recipe import Recipe

def summed(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets, reduction="sum")

def recipe():
    torch.manual_seed(0)
    inputs = torch.randn(203, 6, dtype=torch.float64)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    return Recipe(
        model=model.double(), inputs=inputs, targets=inputs.argmax(1) % 3, loss=summed, epochs=2,
        global_batch=50, micro_batch=16, learning_rate=0.2, warm_up_steps=3,
    )

def wrong():
    return "no recipe"
"""


STEEP = """
import torch
from executors.training.parallel.recipe import Recipe

def recipe():
    torch.manual_seed(0)
    inputs = torch.randn(250, 6, dtype=torch.float64)
    targets = inputs.sum(1, keepdim=True) + 0.5 * torch.randn(250, 1, dtype=torch.float64)
    return Recipe(
        model=torch.nn.Linear(6, 1).double(), inputs=inputs, targets=targets,
        loss=torch.nn.MSELoss(reduction="sum"), epochs=16, momentum=0.0,
        global_batch=50, learning_rate=LEARNING_RATE, warm_up_steps=80,
    )
"""


def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learning_rate: float) -> list[Alarm]:
    """Train by a worker in a task; return what the watch says of it."""
    told = tmp_path / "signals.jsonl"
    known = {"SIGNALS": str(told), "PIPELINE": "net", "TASK": "train", "ATTEMPT": "/a/r-1.train.1"}
    for name, value in known.items():
        monkeypatch.setenv(f"BERTH_{name}", value)
    (tmp_path / "net.py").write_text(STEEP.replace("LEARNING_RATE", str(learning_rate)))
    assert worker.main([f"{tmp_path / 'net.py'}:recipe", str(tmp_path / "out")]) == 0
    signals = [documents.decode(Signal, line) for line in told.read_text().splitlines()]
    assert {"training_loss", "gradient_norm"} <= {signal.name for signal in signals}
    return list(StatisticalDetector().observe(signals))


def test_a_training_that_diverges_alarms_by_its_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    alarms = watched(tmp_path, monkeypatch, learning_rate=2.0)
    (first, *_) = [alarm for alarm in alarms if alarm.signal == "gradient_norm"]
    assert first.subject == "model:net/train"
    assert first.value > first.expected_high
    cause = HypothesisTree().causes(group(*alarms), (), ())[0]
    assert (cause.kind, cause.subject) == (CauseKind.CONFIGURATION, "model:net/train")


def test_a_training_that_learns_raises_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    assert watched(tmp_path, monkeypatch, learning_rate=0.05) == []


def test_the_norm_of_the_gradient_is_that_of_all_samples_of_a_step(tmp_path: Path) -> None:
    made = recipe(warm_up_steps=0, epochs=1, learning_rate=0.0)
    trained(tmp_path / "one", made)
    lines = metrics.read(tmp_path / "one" / metrics.NAME)
    chosen = torch.randperm(203, generator=torch.Generator().manual_seed(made.seed * 1_000_003))
    mean = made.loss(made.model(made.inputs[chosen[:50]]), made.targets[chosen[:50]]) / 50
    gradients = torch.autograd.grad(mean, list(made.model.parameters()))
    assert lines[0]["gradient_norm"] == pytest.approx(
        math.sqrt(sum(float((each**2).sum()) for each in gradients))
    )


def test_a_norm_that_is_no_number_is_left_out(tmp_path: Path) -> None:
    def steep(outputs: Any, _: Any) -> Any:
        return (outputs - outputs.detach()).abs().sqrt().sum()

    trained(tmp_path, recipe(loss=steep, epochs=1, global_batch=203))
    (line,) = metrics.read(tmp_path / metrics.NAME)
    assert line.keys() == {"step", "loss", "rate", "seconds"}


@pytest.mark.parametrize(
    ("having", "said"),
    [([], ""), ([0, 1, 2], ""), ([0, 2], "2 of 3 workers have a GPU of their own")],
)
def test_workers_use_gpus_only_when_each_has_its_own(
    capsys: pytest.CaptureFixture[str], having: list[int], said: str
) -> None:
    store = torch.distributed.HashStore()
    with ThreadPoolExecutor(3) as workers:
        asked = [
            workers.submit(worker._all_have, store, rank, 3, gpu=rank in having)
            for rank in range(3)
        ]
        assert {each.result() for each in asked} == {len(having) == 3}
    assert said in capsys.readouterr().err


def recipe(**fields: object) -> Any:
    space: dict[str, Any] = {}
    exec(RECIPE, space)
    made = space["recipe"]()
    values = {name: getattr(made, name) for name in made.__slots__}
    return recipes.Recipe(**{**values, **fields})


def trained(folder: Path, made: Any, **limits: Any) -> list[float]:
    folder.mkdir(exist_ok=True)
    ends = loop.Limits(**{"checkpoint_steps": 3, **limits})
    loop.train(made, folder, loop.World(), ends, clock=time.perf_counter)
    return [line["loss"] for line in metrics.read(folder / metrics.NAME)]


@pytest.mark.slow
def test_two_workers_take_the_steps_of_one(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(RECIPE)
    program = launch.recipe_program(f"{tmp_path / 'net.py'}:recipe", tmp_path / "two")
    code = launch.run(launch.Start(workers=2), program, tmp_path / "two", seconds_max=1_000)
    assert code == 0, (tmp_path / "two" / "log.txt").read_text()
    two = [line["loss"] for line in metrics.read(tmp_path / "two" / metrics.NAME)]
    one = trained(tmp_path / "one", recipe())
    assert len(one) == 10
    assert np.abs(np.subtract(one, two)).max() < 1e-12
    state = checkpoints.load(tmp_path / "two")
    assert (state["step"], state["workers"]) == (10, 2)


def test_what_is_no_recipe_is_refused_by_the_worker(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(RECIPE)
    program = launch.recipe_program(f"{tmp_path / 'net.py'}:wrong", tmp_path / "w")
    assert launch.run(launch.Start(), program, tmp_path / "w", seconds_max=1_000) == 65
    assert "returned str, expected a Recipe" in (tmp_path / "w" / "log.txt").read_text()


def test_a_training_that_never_ends_is_ended(tmp_path: Path) -> None:
    (tmp_path / "forever.py").write_text("import time\ntime.sleep(600)\n")
    program = [str(tmp_path / "forever.py")]
    assert launch.run(launch.Start(), program, tmp_path, seconds_max=0.5) == launch.TOO_LONG


def test_a_script_that_is_killed_is_started_again(tmp_path: Path) -> None:
    text = "import os, pathlib\np = pathlib.Path('again')\nif p.exists(): raise SystemExit(7)\n"
    (tmp_path / "once.py").write_text(
        text.replace("'again'", repr(str(tmp_path / "again")))
        + ("p.touch()\nos.kill(os.getpid(), 9)\n")
    )
    program = [str(tmp_path / "once.py")]
    assert launch.run(launch.Start(), program, tmp_path, seconds_max=1_000) == 7


def test_several_workers_are_started_by_torchrun() -> None:
    words = launch.command(launch.Start(workers=2, nodes=3, address="first:29500"), ["net.py", "x"])
    assert "--nproc-per-node=2" in words
    assert "--rdzv-endpoint=first:29500" in words
    assert words[-2:] == ["net.py", "x"]


def test_the_only_worker_of_a_node_that_knows_its_number_needs_no_torchrun() -> None:
    start = launch.Start(nodes=3, node=2, address="[::1]:29500", restarts=0)
    assert launch.command(start, ["net.py", "x"]) == [sys.executable, "net.py", "x"]
    told = launch.variables(start)
    assert (told["MASTER_ADDR"], told["MASTER_PORT"]) == ("::1", "29500")
    assert (told["RANK"], told["WORLD_SIZE"], told["LOCAL_RANK"]) == ("2", "3", "0")
    for other in (replace(start, restarts=1), replace(start, workers=2), replace(start, node=None)):
        assert "torch.distributed.run" in launch.command(other, ["net.py"])
        assert launch.variables(other) == {}


@pytest.mark.slow
def test_nodes_that_know_their_number_take_the_steps_of_one(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(RECIPE)
    address = f"127.0.0.1:{programs.free_port()}"
    program = launch.recipe_program(f"{tmp_path / 'net.py'}:recipe", tmp_path / "two")

    def node(number: int) -> int:
        start = launch.Start(nodes=2, address=address, node=number)
        return launch.run(start, program, tmp_path / f"node-{number}", seconds_max=1_000)

    (tmp_path / "two").mkdir()
    with ThreadPoolExecutor(2) as threads:
        codes = list(threads.map(node, (0, 1)))
    assert codes == [0, 0], (tmp_path / "node-0" / "log.txt").read_text()
    two = [line["loss"] for line in metrics.read(tmp_path / "two" / metrics.NAME)]
    assert np.abs(np.subtract(trained(tmp_path / "one", recipe()), two)).max() < 1e-12


def test_passes_of_any_size_take_the_same_step(tmp_path: Path) -> None:
    curves = [trained(tmp_path / str(n), recipe(micro_batch=n)) for n in (1, 50)]
    assert np.abs(np.subtract(curves[0], curves[1])).max() < 1e-12


def test_a_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", recipe())
    trained(tmp_path / "parts", recipe(), seconds_max=-1.0)
    assert len(metrics.read(tmp_path / "parts" / metrics.NAME)) == 1
    with (tmp_path / "parts" / metrics.NAME).open("a") as file:
        file.write('{"step": 2, "loss": 0.0}\n{"step": 3, "lo')
    assert trained(tmp_path / "parts", recipe()) == whole


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / checkpoints.NAME).write_bytes(b"rubbish")
    with pytest.raises(DamagedError, match="damaged"):
        checkpoints.load(tmp_path)


def test_a_disk_that_is_full_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, {"step": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # a write beyond it fails
    try:
        with pytest.raises(RetryableError, match="cannot keep a checkpoint"):
            checkpoints.save(tmp_path, {"step": 2, "model": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints.load(tmp_path) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == [checkpoints.NAME]


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(loop.DivergedError, match="the loss of step"):
        trained(tmp_path, recipe(learning_rate=1e200))


def test_half_precision_learns_too(tmp_path: Path) -> None:
    made = recipe(half=True)
    single = recipe(half=True, model=made.model.float(), inputs=made.inputs.float())
    losses = trained(tmp_path, single)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "radam", "lars", "lamb"])
def test_every_optimiser_lowers_a_bowl(name: str) -> None:
    weights = torch.nn.Parameter(torch.full((3, 2), 2.0))
    bias = torch.nn.Parameter(torch.full((3,), 2.0))
    rate = 20.0 if name == "lars" else 0.05
    found = optimisers.optimiser(name, [weights, bias], rate=rate, momentum=0.5, decay=0.01)
    before = float((weights**2).sum().detach())
    for _ in range(40):
        found.zero_grad()
        ((weights**2).sum() + (bias**2).sum() / 100).backward()
        found.step()
    assert float((weights**2).sum().detach()) < before / 2


def test_lamb_moves_each_layer_by_its_size() -> None:
    small, large = (torch.nn.Parameter(torch.full((2, 2), size)) for size in (0.01, 100.0))
    found = optimisers.optimiser("lamb", [small, large], rate=0.1, momentum=0, decay=0)
    small.grad = large.grad = torch.ones(2, 2)
    found.step()
    assert small.detach().numpy() == pytest.approx(0.009)
    assert large.detach().numpy() == pytest.approx(90.0)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(RefusedError, match="no optimiser 'oracle'"):
        optimisers.optimiser("oracle", [], rate=1, momentum=0, decay=0)
    with pytest.raises(RefusedError, match="no scaling 'log'"):
        schedules.scaled(1.0, batch=2, base_batch=1, scaling="log")


def test_memory_of_a_pass_grows_with_its_samples() -> None:
    made = recipe()
    need = batches.measure(made.model, made.inputs, made.targets, made.loss)
    weights = sum(p.numel() * 8 for p in made.model.parameters())
    assert 4 * weights <= need.fixed_bytes < 4 * weights + 1_000
    assert 6 * 8 <= need.sample_bytes < 1_000
    assert batches.micro_batch(need, memory_bytes=1 << 20, most=64) == 64
    assert batches.micro_batch(need, memory_bytes=need.fixed_bytes + 10_000, most=64) in {16, 32}
    with pytest.raises(RefusedError, match="one sample needs"):
        batches.micro_batch(need, memory_bytes=100, most=64)
    assert batches.room_bytes("cpu") == 1 << 30


def test_more_workers_pay_only_where_they_are_faster(tmp_path: Path) -> None:
    seconds = {"alone_seconds": 1.0, "together_seconds": 0.5}
    (tmp_path / prediction.NAME).write_text(
        json.dumps({"workers": 2, "exchange_seconds": 0.1, **seconds})
    )
    assert prediction.read(tmp_path).speed_up == pytest.approx(1 / 0.6)
    assert prediction.read(tmp_path).pays
    slow = prediction.Probe(workers=2, exchange_seconds=0.5, **seconds)
    assert not slow.pays


def network() -> Any:
    nn = torch.nn
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Dropout(0.1), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU()),
        *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)),
    )
    return made.eval()


ROWS = np.random.default_rng(0).standard_normal((64, 1, 12, 12)).astype(np.float32)


def answers(model: Any) -> Any:
    return export.eager(model)(ROWS)


def test_removing_channels_that_are_nought_changes_no_answer() -> None:
    model = network()
    with torch.no_grad():
        for layer, norm in ((model[0][0], model[0][1]), (model[3], None), (model[7], None)):
            half = layer.weight.shape[0] // 2
            for part in (layer, norm):
                if part is not None:
                    part.weight[::2] = 0
                    part.bias[::2] = 0
            assert half
    small = pruning.pruned(model, 0.5)
    assert operations.parameters(small) < operations.parameters(model) / 2
    assert np.abs(answers(small) - answers(model)).max() < 1e-5


def test_pruning_leaves_the_last_layer_and_two_channels() -> None:
    small = pruning.pruned(network(), 0.99)
    assert [layer.weight.shape[0] for layer in small if isinstance(layer, chains.WEIGHTED)] == [
        *(2, 2, 2, 3)
    ]
    assert answers(small).shape == (64, 3)


def test_multiply_adds_are_counted_by_hand() -> None:
    sample = torch.from_numpy(ROWS[:1])
    by_hand = 12 * 12 * 6 * 9 + 2 * 2 * 8 * 6 * 9 + 8 * 16 + 16 * 3
    assert operations.multiply_adds(network(), sample) == by_hand


def test_a_layer_of_low_rank_becomes_two_with_the_same_answers() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 40)).eval()
    with torch.no_grad():
        left, right = torch.randn(40, 3), torch.randn(3, 144)
        model[1].weight.copy_(left @ right)
    thin = low_rank.factorised(model, 0.9999999)
    assert [tuple(layer.weight.shape) for layer in list(thin)[1:]] == [(3, 144), (40, 3)]
    assert np.abs(answers(thin) - answers(model)).max() < 1e-3
    full = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 2))
    assert len(list(low_rank.factorised(full, 0.99))) == 2


def test_onnx_answers_as_torch_does() -> None:
    model = network()
    data = export.to_onnx(model, torch.from_numpy(ROWS[:1]))
    assert np.abs(export.session(data)(ROWS) - answers(model)).max() < 1e-4


def test_a_network_that_is_no_row_of_known_layers_is_refused() -> None:
    with pytest.raises(RefusedError, match="the network has LSTM"):
        chains.layers(torch.nn.Sequential(torch.nn.LSTM(3, 3), torch.nn.Linear(3, 3)))
    with pytest.raises(RefusedError, match="no layer with weights"):
        chains.layers(torch.nn.ReLU())


@pytest.mark.parametrize("budget", [0.05, -1.0])
def test_only_what_stays_within_the_budget_is_kept(budget: float) -> None:
    model = network()
    labels = answers(model).argmax(axis=1)
    ticks = itertools.count()
    found = compressing.compress(
        compressing.Task(
            model=model,
            tune=lambda _: None,
            rows=ROWS,
            labels=labels,
            calibration=ROWS,
            budget=budget,
            shares=(0.01, 0.9),
        ),
        clock=lambda: math.sqrt(next(ticks)),
    )
    least = 1.0 - budget
    assert found.forms[0].quality == 1.0
    assert all(form.accepted == (form.quality >= least) for form in found.forms)
    assert (found.chosen == found.forms[0]) == (budget < 0)
    assert export.session(found.onnx)(ROWS).shape == (64, 3)
    assert "chosen" in found.table()


@pytest.mark.parametrize("name", ["lars", "lamb"])
def test_a_closure_gives_the_gradients_of_the_step_and_its_loss_before_it(name: str) -> None:
    weights = torch.nn.Parameter(torch.ones(2, 2))
    found = optimisers.optimiser(name, [weights], rate=0.1, momentum=0.9, decay=0.0)

    def closure() -> Any:
        found.zero_grad()
        loss = (weights**2).sum()
        loss.backward()
        return loss

    assert found.step(closure).item() == 4.0
    assert float(weights.detach().sum()) < 4.0
