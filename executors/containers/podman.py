"""Podman's command line: what an attempt's container is started with, and the calls for it.

Options are those of podman-run(1) of podman 4 and newer.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import psutil

import executors
from engine.model.dispatches import AttemptOrder
from engine.model.errors import BerthError, RefusedError, RetryableError
from engine.model.specs import TaskKind
from executors.containers.settings import ContainerSettings
from executors.local import files, launch

_LIMIT_SECONDS = 120.0
"""Longest wait for one call; none of them pulls an image."""
_PROCESSES_MAX = 4_096
_OVERHEAD_BYTES = 96 << 20
"""Memory of the shim beside the task: its own watch tells a limit before the kernel has to."""
_CODE = "/berth-shim"
_BEGIN = (
    f"import sys; sys.path[:0] = [{_CODE!r}]; from executors.local import shim; "
    "sys.exit(shim.main(sys.argv[1:]))"
)
"""Starts the shim without a variable that the task would inherit."""
_WORDS_MAX = 1_000
_TAKE_SECONDS = 1_800.0
_CDI = "CDI device"
_NO_PROGRAM = "command that was not found"
_WITHOUT = 3
_LOOK = f"""
try:
    import executors.tasks
except ImportError:
    raise SystemExit({_WITHOUT})
"""
KEPT = (files.ORDER, files.LAUNCH, files.CONTAINER, files.PODMAN)
"""What the engine goes by in an attempt's folder, and its task may only read.

What podman writes has a folder of its own: podman replaces the file, which takes a mount off it.
"""


def name_of(home: Path, attempt: str) -> str:
    """Return the name of an attempt's container: the same for every engine on the data folder."""
    digest = hashlib.sha256(f"{home}\0{attempt}".encode()).hexdigest()
    return f"berth-{digest[:24]}"


def arguments(
    order: AttemptOrder,
    home: Path,
    told: files.Launch,
    settings: ContainerSettings,
    cores: int,
) -> list[str]:
    """Return the arguments of podman that start the container of an attempt.

    It sees its own folder, the registry of models and the pipeline's folder, these two read-only,
    and nothing else of the data folder.
    told: what its shim is told, the numbers of its GPUs too, which are asked for by the names that
    NVIDIA's toolkit gives them (CDI); cores: how many it gets, for its thread counts.
    """
    folder = launch.folder_of(home, order.attempt_id)
    variables = {**launch.threads(cores // max(1, order.workers)), **launch.variables(order, home)}
    return [
        *("run", "--detach", "--replace", "--name", name_of(home, order.attempt_id)),
        *("--pull", "never", "--pidfile", str(folder / files.CONTAINER_PID)),
        *("--log-driver", "k8s-file", "--log-opt", f"path={folder / files.SHIM_LOG}"),
        *("--network", "host", "--user", "0:0", "--cap-drop", "all"),
        *("--security-opt", "no-new-privileges", "--security-opt", "label=disable"),
        *_repeated("--label", _labels(order, home)),
        *_limits(order, told, cores),
        *[word for gpu in told.get("gpus", []) for word in ("--device", f"nvidia.com/gpu={gpu}")],
        *_mounts(order, home, folder),
        *_repeated("--env", variables),
        *("--workdir", told["folder"], "--entrypoint", settings.python),
        *settings.options,
        *(settings.image, "-c", _BEGIN, str(folder)),
    ]


def _repeated(option: str, values: Mapping[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in (option, f"{name}={value}")]


def _labels(order: AttemptOrder, home: Path) -> dict[str, str]:
    """Return what people and sweeps find a container by."""
    return {
        "berth.home": str(home),
        "berth.attempt": order.attempt_id,
        "berth.run": order.run_id,
        "berth.pipeline": order.pipeline,
        "berth.task": order.task,
        "berth.cluster": order.cluster,
    }


def _limits(order: AttemptOrder, told: files.Launch, cores: int) -> list[str]:
    """Return the limits that the kernel holds; no more processors than there are."""
    words = ["--pids-limit", str(_PROCESSES_MAX)]
    if order.limits.cpu_cores:
        words += ["--cpus", f"{min(order.limits.cpu_cores, float(cores)):g}"]
    if told["memory_bytes"]:
        memory = f"{told['memory_bytes'] + _OVERHEAD_BYTES}b"
        words += ["--memory", memory, "--memory-swap", memory]
    return words


def _mounts(order: AttemptOrder, home: Path, folder: Path) -> list[str]:
    """Return what is seen of this machine, under the same paths, and the code of the shim.

    The data folder is covered, so that a pipeline's folder around it does not show it, under
    whatever name. What the engine goes by is read-only in the attempt's own folder too.
    """
    read = {
        str(Path(executors.__file__).parent): f"{_CODE}/executors",
        str(Path(psutil.__file__).parent): f"{_CODE}/psutil",
        str(home / "clusters"): str(home / "clusters"),
    }
    covered = {str(home)}
    if order.folder and Path(order.folder).is_dir() and not is_same(order.folder, home):
        read[order.folder] = order.folder
        if is_within(home, order.folder):
            inner = home.resolve().relative_to(Path(order.folder).resolve())
            covered.add(str(Path(order.folder) / inner))
    kept = [str(folder / name) for name in KEPT]
    read |= dict(zip(kept, kept, strict=True))
    written = [str(folder), str(home / "started.log")]
    models = str(home / launch.MODELS)
    if order.kind is TaskKind.PACKAGE and not order.command:  # the one that adds to the registry
        written.append(models)
    else:
        read[models] = models
    return [
        *[word for path in sorted(covered) for word in ("--tmpfs", f"{path}:size=1m,mode=0755")],
        *_volumes([f"{source}:{target}:ro" for source, target in read.items()]),
        *_volumes([f"{path}:{path}:rw" for path in written]),
    ]


def is_same(path: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to the same place, through whatever links."""
    return Path(path).resolve() == Path(other).resolve()


def is_within(path: str | Path, other: str | Path) -> bool:
    """Whether a path leads to a place in another one, through whatever links, or to that one."""
    return Path(path).resolve().is_relative_to(Path(other).resolve())


def _volumes(mounts: Sequence[str]) -> list[str]:
    return [word for mount in mounts for word in ("--volume", mount)]


class Podman:
    """Calls podman; each call is bounded in time."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)

    def run(self, words: Sequence[str], image: str, folder: Path) -> None:
        """Start a container from a folder, in which its monitor notes that memory ran out.

        Raises:
            RefusedError: when the image is not there. RetryableError: on any other fault.
        """
        done = self._call(words, folder)
        if done.returncode:
            raise self._fault(done, image)

    def has_berth(self, settings: ContainerSettings) -> bool:
        """Whether the interpreter in an image finds the tasks that are built in.

        Raises:
            RefusedError: when the image is not there. RetryableError: on any other fault.
        """
        words = ["run", "--rm", "--pull", "never", "--network", "none", "--cap-drop", "all"]
        words += [*settings.options, "--entrypoint", settings.python, settings.image, "-c", _LOOK]
        done = self._call(words)
        if done.returncode not in {0, _WITHOUT}:
            raise self._fault(done, settings.image)
        return not done.returncode

    def _fault(self, done: subprocess.CompletedProcess[str], image: str) -> BerthError:
        """Return what keeps a container from starting: what people have to do, or a passing one."""
        if self._call(["image", "exists", image]).returncode == 1:
            message = f"podman has no image {image!r}"
            return RefusedError(message, fix=f"podman pull {image}, then run it again")
        if _CDI in done.stderr:
            fix = "tell podman of the GPUs: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
            return RefusedError(f"podman knows no such GPU: {_end_of(done)}", fix=fix)
        if _NO_PROGRAM in done.stderr:
            message = f"image {image!r} does not have its interpreter: {_end_of(done)}"
            fix = "set `container_python` to a Python 3.11 or newer of the image"
            return RefusedError(message, fix=fix)
        return _failed("start a container", done)

    def take(self, layout: Path, name: str) -> None:
        """Take the image of an OCI layout, and call it so.

        Raises:
            RetryableError: when podman cannot.
        """
        # Podman makes a name of the path, which not every path can be: so of its last part only.
        words = ["pull", "--quiet", f"oci:{layout.name}"]
        done = self._call(words, layout.parent, _TAKE_SECONDS)
        if done.returncode:
            raise _failed("take the image", done)
        image = done.stdout.strip()
        for words in (["tag", image, name], ["untag", image, f"localhost/{layout.name}:latest"]):
            done = self._call(words)
            if done.returncode:
                raise _failed("name the image", done)

    def runs(self, name: str) -> bool:
        """Whether a container of that name runs.

        Raises:
            RetryableError: when podman does not answer as it should.
        """
        found = self._list("--filter", f"name=^{name}$", "--filter", "status=running")
        return bool(found)

    def remove(self, name: str) -> None:
        """End and remove a container; one that is gone is no fault.

        Podman refuses one that ends just then, so it is asked twice.

        Raises:
            RetryableError: when it is still there.
        """
        words = ["rm", "--force", "--ignore", "--time", "0", name]
        if self._call(words).returncode:
            done = self._call(words)
            if done.returncode:
                raise _failed("remove a container", done)

    def named(self, home: Path) -> list[tuple[str, str]]:
        """Return name and attempt of every container of a data folder.

        Raises:
            RetryableError: when podman does not answer as it should.
        """
        found = self._list("--all", "--filter", f"label=berth.home={home}")
        labelled = [each for each in found if "berth.attempt" in each["Labels"]]
        return [(each["Names"][0], each["Labels"]["berth.attempt"]) for each in labelled]

    def _list(self, *words: str) -> list[dict[str, Any]]:
        done = self._call(["ps", *words, "--format", "json"])
        if done.returncode:
            raise _failed("list containers", done)
        try:
            return cast("list[dict[str, Any]]", json.loads(done.stdout or "[]"))
        except ValueError as error:
            raise _failed(f"list containers as JSON ({error})", done) from error

    def _call(
        self, words: Sequence[str], folder: Path | None = None, seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        limit = _LIMIT_SECONDS if seconds is None else seconds
        try:
            return subprocess.run(
                [*self._words, *words],
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:  # which names every word, and options may be secrets
            message = f"{' '.join(self._words)!r} did not answer within {limit:g} s"
            raise RetryableError(message, fix=f"see why `podman {words[0]}` hangs") from None
        except OSError as error:
            message = f"cannot call {' '.join(self._words)!r}: {error.strerror}"
            fix = "install podman, or set `container_podman`"
            raise RetryableError(message, fix=fix) from error


def _failed(what: str, done: subprocess.CompletedProcess[str]) -> RetryableError:
    return RetryableError(f"podman cannot {what}: {_end_of(done)}", fix="see what podman says")


def _end_of(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip()[-_WORDS_MAX:]
