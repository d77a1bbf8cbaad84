"""Starts the workers of this machine by torchrun, for a recipe or for a script of the user's own.

torch itself is not imported here. On Kubernetes each pod of an Indexed Job starts its workers with
its own number and the address of the first pod (`member`).
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.model.errors import NotFoundError

_GRACE_SECONDS = 10.0
TOO_LONG = 124
"""Exit code of a training that was ended because it took too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How workers are started.

    workers: on this machine. restarts: how often all workers are started again after one died.
    threads: of each worker; 0 for an even share of the cores.
    nodes, address: machines that train together, and `HOST:PORT` of one at which all meet; a
    single machine finds its own port. node: number of this one, 0 for that of the address; None
    where they agree on numbers when they meet.
    """

    workers: int = 1
    restarts: int = 3
    threads: int = 1
    nodes: int = 1
    address: str = ""
    node: int | None = None

    @property
    def is_direct(self) -> bool:
        """Whether torchrun has nothing to do: the only worker here needs no other one to start.

        It would import torch once more on each node, for some seconds and 200 MiB.
        """
        needs_none = self.node is not None and not self.restarts
        return self.workers == 1 and (self.nodes == 1 or needs_none)


def command(start: Start, program: Sequence[str]) -> list[str]:
    """Return the command line for a module (`-m NAME`) or a script with arguments."""
    if start.is_direct:
        return [sys.executable, *program]
    found = [
        *(sys.executable, "-m", "torch.distributed.run"),
        f"--nproc-per-node={start.workers}",
        f"--max-restarts={start.restarts}",
    ]
    if start.nodes == 1:
        found.append("--standalone")
    else:
        found += [f"--nnodes={start.nodes}", f"--rdzv-endpoint={start.address}"]
        if start.node is None:
            found.append("--rdzv-backend=c10d")
        else:
            found += ["--rdzv-backend=static", f"--node-rank={start.node}"]
    return [*found, *program]


def variables(start: Start) -> dict[str, str]:
    """Return what torchrun would tell the only worker of a node among others."""
    if not start.is_direct or start.nodes == 1:
        return {}
    host, _, port = start.address.rpartition(":")
    return {
        "MASTER_ADDR": host.strip("[]"),
        "MASTER_PORT": port,
        **dict.fromkeys(("RANK", "GROUP_RANK", "ROLE_RANK"), str(start.node)),
        **dict.fromkeys(("WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE"), str(start.nodes)),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
    }


def recipe_program(recipe: str, folder: Path, options: Sequence[str] = ()) -> list[str]:
    """Return what is run to train a recipe in a folder."""
    return ["-m", "executors.training.parallel.worker", recipe, str(folder), *options]


def run(start: Start, program: Sequence[str], folder: Path, *, seconds_max: float) -> int:
    """Run to the end; return the exit code. Output goes to `log.txt` in the folder.

    A script writes its metrics to `$BERTH_OUTPUTS/outputs.json` as it would in a task, outside one
    into the folder.

    A training that takes longer than `seconds_max` is ended; it goes on from its checkpoint when it
    is run again.

    Raises:
        NotFoundError: when torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        message = "torch is not installed, which parallel training needs"
        raise NotFoundError(message, fix="pip install 'berth[torch]'")
    folder.mkdir(parents=True, exist_ok=True)
    threads = start.threads or max(1, (os.cpu_count() or 1) // start.workers)
    environment = {"BERTH_OUTPUTS": str(folder.absolute()), **os.environ}
    environment |= {"OMP_NUM_THREADS": str(threads), **variables(start)}
    for left in reversed(range(start.restarts + 1)):
        with (folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                command(start, program), stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        code = _wait(process, seconds_max)
        # A worker that is killed is started again, as torchrun does with several.
        if code >= 0 or not left:
            return code
    return 1


def _wait(process: subprocess.Popen[bytes], seconds_max: float) -> int:
    """Return the exit code; end what never ends, or what nobody wants to wait for."""
    try:
        return process.wait(seconds_max)
    except subprocess.TimeoutExpired:
        return _end(process)
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[bytes]) -> int:
    """Ask a process to end, torchrun with its workers, and then make it; return 124."""
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return TOO_LONG
