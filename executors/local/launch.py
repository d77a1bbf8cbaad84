"""From an order to what a shim and its command need: folder, environment, cores, limits."""

from __future__ import annotations

import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template

from engine.model import documents
from engine.model.dispatches import AttemptOrder
from engine.model.errors import RefusedError, UnreachableError
from engine.model.fleet import Cluster
from engine.model.specs import TaskKind
from executors.local import files, processes, together
from executors.tasks import records

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
_SIGNING = "BERTH_SIGNING_"
MODELS = "models"
"""The registry of models in the data folder."""


def folder_of(home: Path, attempt: str) -> Path:
    """Return the folder of an attempt.

    Raises:
        RefusedError: when the id is no plain file name.
    """
    if not attempt or "/" in attempt or "\0" in attempt or attempt.startswith("."):
        raise RefusedError(f"{attempt!r} cannot name a folder", fix="rename the task")
    return home / "attempts" / attempt


def command(
    order: AttemptOrder, variables: Mapping[str, str], python: str = sys.executable
) -> list[str]:
    """Return the command of an order, or the built-in one of its kind, run by `python`.

    `$BERTH_FOLDER` and the other variables of a task are replaced in its arguments, since no
    shell is involved that would do it.
    """
    if not order.command:
        return [python, "-m", "executors.tasks", order.kind.value]
    if order.nodes == 1:
        return [Template(word).safe_substitute(variables) for word in order.command]
    # What differs by node is replaced there.
    folder, module = variables["BERTH_ATTEMPT"], "executors.local.together"
    shared = {name: value for name, value in variables.items() if name != "BERTH_OUTPUTS"}
    words = [Template(word).safe_substitute(shared) for word in order.command]
    return [python, "-P", "-m", module, folder, "--", *words]


def variables(order: AttemptOrder, home: Path) -> dict[str, str]:
    """Return the variables that the process contract promises to a task."""
    folder = folder_of(home, order.attempt_id)
    alone = order.workers > 0 and order.nodes == 1
    return {
        **(together.variables(order.workers_of_nodes, 0, "") if alone else {}),
        "BERTH_HOME": str(home),
        "BERTH_ATTEMPT": str(folder),
        "BERTH_CLUSTER": order.cluster,
        "BERTH_RUN": order.run_id,
        "BERTH_PIPELINE": order.pipeline,
        "BERTH_TASK": order.task,
        "BERTH_INPUTS": str(folder / files.INPUTS),
        "BERTH_OUTPUTS": str(folder / files.OUTPUTS),
        "BERTH_PARAMETERS": str(folder / files.PARAMETERS),
        "BERTH_SIGNALS": str(folder / files.SIGNALS),
        "BERTH_ENDPOINT": str(folder / files.ENDPOINT),
        "BERTH_MODELS": str(home / MODELS),
        "BERTH_ARTIFACTS": str(home / "artifacts"),
        "BERTH_FOLDER": order.folder or str(home),
    }


def environment(
    order: AttemptOrder, home: Path, cores: int, gpus: Sequence[int] = ()
) -> dict[str, str]:
    """Return the whole environment of a task: this process's own, the contract's, thread counts.

    The interpreter's folder leads the path, so that `python` is the one Berth runs on. CUDA shows
    the task no GPUs but its own, which it counts as the machine's tools do.
    """
    here = str(Path(sys.executable).parent)
    path = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])
    # Only the task that packages, when its command is ours, may know how to sign.
    signs = order.kind is TaskKind.PACKAGE and not order.command
    own = {k: v for k, v in os.environ.items() if signs or not k.startswith(_SIGNING)}
    return {
        **own,
        **threads(cores // max(1, order.workers)),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": visible(gpus, os.environ),
        "PATH": path,
        **variables(order, home),
    }


def visible(gpus: Sequence[int], own: Mapping[str, str]) -> str:
    """Return what `CUDA_VISIBLE_DEVICES` says of GPUs, counted among those this process may see."""
    named = own.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return ",".join(map(str, gpus))
    known = [name for name in named.split(",") if name]
    return ",".join(known[gpu] for gpu in gpus if gpu < len(known))


def threads(cores: int) -> dict[str, str]:
    """Return the variables that keep numeric libraries to as many threads as cores."""
    return dict.fromkeys(_THREAD_VARIABLES, str(max(1, cores)))


def cores_wanted(order: AttemptOrder, machine: Sequence[int]) -> int:
    """Return how many cores an attempt gets: the smaller of plan and machine; 0 means all."""
    return min(math.ceil(order.limits.cpu_cores * order.nodes), len(machine))


def gpus_wanted(order: AttemptOrder, cluster: Cluster) -> tuple[int, int]:
    """Return how many GPUs an attempt gets, at most all, and how many its machine has.

    Raises:
        UnreachableError: when its pool left the fleet.
        RefusedError: when a node of it wants more GPUs than a machine of its pool has.
    """
    wanted = math.ceil(order.limits.gpu_count)
    if not wanted:
        return 0, 0
    try:
        there = cluster.pool(order.pool).shape.gpu_count
    except KeyError as error:
        message = f"{order.cluster!r} has no pool {order.pool!r} any more"
        raise UnreachableError(message, fix="place the task elsewhere") from error
    if wanted > there:
        message = f"{order.attempt_id!r} wants {wanted} GPUs, and {order.pool!r} has {there}"
        raise RefusedError(message, fix="correct its `gpu`, or the machine of the pool")
    return min(wanted * order.nodes, there), there


def least_used(machine: Sequence[int], count: int, taken: Iterable[int]) -> list[int]:
    """Return the `count` cores or GPUs with the fewest attempts on them, by number among equals."""
    load = Counter(taken)
    return sorted(sorted(machine, key=lambda each: (load[each], each))[:count])


def document(
    order: AttemptOrder,
    home: Path,
    *,
    cpus: list[int],
    gpus: Sequence[int] = (),
    down: Path,
    grace_seconds: float,
    python: str = sys.executable,
) -> files.Launch:
    """Return what the shim of an order is told."""
    return files.Launch(
        attempt_id=order.attempt_id,
        command=command(order, variables(order, home), python),
        folder=str(folder_of(home, order.attempt_id) / files.WORK),
        memory_bytes=int(order.limits.memory_gib * order.nodes * 2**30),
        cpus=cpus,
        gpus=list(gpus),
        time_limit_seconds=order.time_limit_seconds,
        grace_seconds=grace_seconds,
        down=str(down),
        started_log=str(home / "started.log"),
        inputs={str(task): str(digest) for task, digest in order.inputs.items()},
        commit=records.commit(Path(order.folder)) if order.folder else "",
    )


def prepare(folder: Path, order: AttemptOrder, launch: files.Launch) -> None:
    """Write an attempt's documents and empty folders; inputs are laid out by the executor."""
    for name in (files.INPUTS, files.OUTPUTS, files.WORK):
        (folder / name).mkdir(parents=True)
    files.write_durably(folder / files.ORDER, documents.encode(order).encode())
    files.write_durably(folder / files.PARAMETERS, files.dump(order.parameters))
    if order.nodes > 1:
        workers = json.dumps(order.workers_of_nodes).encode()
        files.write_durably(folder / together.WORKERS, workers)
    files.write_durably(folder / files.LAUNCH, files.dump({**launch}))


class Shims:
    """Shims that are processes of this machine (`executors.local.starting.Starter`).

    Those that this engine started are known by their process ids, those of an earlier one by
    their claims only.

    They are spawned by the system's own call, not by `subprocess`, whose objects want to be waited
    for: a shim outlives the engine that started it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._running: dict[str, list[int]] = {}
        self._counts: dict[str, int] = {}

    @property
    def python(self) -> str:
        """The interpreter that Berth runs on."""
        return sys.executable

    def owns(self, folder: Path) -> bool:
        """Whether an attempt's folder is not that of a container."""
        return not os.path.lexists(folder / files.CONTAINER)

    def prepare(self, folder: Path, order: AttemptOrder) -> None:
        """Add nothing: a process needs no more than its documents."""

    def spawn(self, order: AttemptOrder, folder: Path) -> None:
        """Start a shim; when there are two of an attempt, the claim lets only one run.

        Raises:
            OSError: when the machine cannot start a process or write the shim's log.
        """
        told = files.read_launch(folder)
        cores = len(told["cpus"]) if told else 0
        gpus = told.get("gpus", []) if told else []
        log = str(folder / files.SHIM_LOG)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "executors.local.shim", str(folder)],
            environment(order, self._home, cores or os.cpu_count() or 1, gpus),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        self._running.setdefault(order.attempt_id, []).append(pid)
        self._counts[order.attempt_id] = self.count(order.attempt_id) + 1

    def has(self, attempt: str) -> bool:
        """Whether a shim that was started here for this attempt still runs."""
        left = [pid for pid in self._running.get(attempt, []) if not _reaped(pid)]
        self._running[attempt] = left
        return bool(left)

    def count(self, attempt: str) -> int:
        """Return how many shims were started here for an attempt."""
        return self._counts.get(attempt, 0)

    def kill(self, folder: Path) -> None:
        """Kill every process of an attempt."""
        processes.kill_having({"BERTH_ATTEMPT": str(folder)})

    def clear(self, folder: Path) -> None:
        """Remove nothing: a shim ends by itself."""


def _reaped(pid: int) -> bool:
    """Whether a child has ended; one that has is no zombie after this."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # whoever embeds the engine ignores or reaps its children
        return True
