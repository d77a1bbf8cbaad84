"""Data-parallel training on GPUs: the curve of processors, NCCL, half precision, memory found.

Needs a GPU. A convolutional network is trained in float64 on processors, on one GPU, and by two
workers that exchange gradients by NCCL; the largest difference between loss curves is reported,
also for a worker that is killed. With one GPU the two workers share it, each as a node of its own:
NCCL takes two of one machine for a mistake, so each is told another name of its machine. Then a
wider one in float32 and in half precision, and one whose batch does not fit the GPU's memory.
"""

import importlib
import json
import os
import socket
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import frame
from benchmarks.training import parallel
from executors.training.parallel import launch, metrics

WORKERS = 2
WIDE: Mapping[str, Any] = {
    "width": 256,
    "rows": 8_192,
    "batch": 1_024,
    "micro": 1_024,
    "epochs": 16,
    "rate": 0.02,
}
LARGE: Mapping[str, Any] = {
    "width": 256,
    "rows": 60_000,
    "batch": 60_000,
    "epochs": 3,
    "rate": 0.02,
}
HIDDEN = "CUDA_VISIBLE_DEVICES"


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the differences of curves, and what half precision gains."""
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise frame.BenchmarkError("this machine has no GPU that torch can see")
    print(
        f"{torch.cuda.device_count()} of {torch.cuda.get_device_name(0)}, torch {torch.__version__}"
    )
    yield from curves(context.scratch)
    yield from half(context.scratch)
    large = trained(context.scratch / "large", LARGE)
    falls = parallel.losses(large)
    room = torch.cuda.get_device_properties(0).total_memory / 2**30
    said = f"loss {falls[0]:.3f} to {falls[-1]:.3f}, {room:.0f} GiB of memory"
    steps = "steps of 60,000 samples, passes as large as memory holds"
    yield frame.at_least(steps, len(large), LARGE["epochs"], anchor=said)


def curves(scratch: Path) -> Iterator[frame.Figure]:
    """Yields the differences of loss curves from that of one GPU."""
    curve = parallel.CURVE
    gpu = parallel.losses(trained(scratch / "gpu", curve))
    os.environ[HIDDEN] = ""
    processors = parallel.losses(trained(scratch / "processors", curve))
    del os.environ[HIDDEN]
    bar = 1e-5
    yield frame.informs("steps of a curve", len(gpu), anchor=f"loss {gpu[0]:.3f} to {gpu[-1]:.3f}")
    apart = parallel.apart(gpu, processors)
    yield frame.at_most("a GPU against processors, largest difference", apart, bar)
    killed = parallel.losses(parallel.train(scratch / "killed", curve, workers=1, kill=True))
    yield frame.at_most("a worker killed by kill -9, the same", parallel.apart(gpu, killed), bar)
    two = parallel.losses(by_nccl(scratch / "nccl", curve))
    yield frame.at_most("two workers by NCCL, the same", parallel.apart(gpu, two), bar)


def half(scratch: Path) -> Iterator[frame.Figure]:
    """Yields what half precision gains, and what it costs."""
    single = trained(scratch / "single", WIDE)
    mixed = trained(scratch / "mixed", {**WIDE, "half": True})
    last = WIDE["rows"] // WIDE["batch"]
    ends = [statistics.fmean(parallel.losses(each)[-last:]) for each in (single, mixed)]
    said = f"{ends[0]:.4f} in float32, {ends[1]:.4f} in half precision"
    name = "half precision: loss of the last epoch, above float32's by"
    yield frame.at_most(name, ends[1] - ends[0], 0.05, anchor=said)
    skipped = sum("gradient_norm" not in line for line in mixed)
    yield frame.informs("half precision: steps that only found the scale", skipped)
    seconds = [parallel.step_seconds(each) for each in (single, mixed)]
    said = f"{1e3 * seconds[0]:.1f} and {1e3 * seconds[1]:.1f} ms a step"
    yield frame.at_least("half precision: speed-up", seconds[0] / seconds[1], 1.2, anchor=said)


def trained(folder: Path, wanted: Mapping[str, object]) -> list[dict[str, float]]:
    """Returns the metrics of a training by one worker."""
    return parallel.train(folder, wanted, workers=1)


def by_nccl(folder: Path, wanted: Mapping[str, object]) -> list[dict[str, float]]:
    """Returns the metrics of a training by two nodes of one worker each."""
    os.environ[parallel.VARIABLE] = json.dumps(wanted)
    program = launch.recipe_program(parallel.RECIPE, folder)
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    logs = [folder / f"log-{node}.txt" for node in range(WORKERS)]
    workers = []
    for node, log in enumerate(logs):
        start = launch.Start(nodes=WORKERS, node=node, address=address, restarts=0)
        told = {"NCCL_HOSTID": f"node-{node}", "NCCL_DEBUG": "INFO", "NCCL_SOCKET_IFNAME": "lo"}
        environment = {**os.environ, **launch.variables(start), **told}
        with log.open("wb") as file:
            command = launch.command(start, program)
            workers.append(
                subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
            )
    codes = [worker.wait(parallel.LIMIT_SECONDS) for worker in workers]
    text = logs[0].read_text(encoding="utf-8", errors="replace")
    if any(codes) or "NCCL INFO" not in text:
        lines = text.splitlines()[-15:]
        raise frame.BenchmarkError("\n".join([f"workers ended with {codes}", *lines]))
    return metrics.read(folder / metrics.NAME)
