"""Programs of real clusters, built from Go modules once a machine.

The modules and their versions stand in `tests/tools/*/go.mod`. What is built is kept outside the
repository, in `$BERTH_CACHE` or `~/.cache/berth`, in a folder named by the hash of those files, so
that a change of version builds anew and nothing else does.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).resolve().parents[2] / "tools"
PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
"""Programs of a control plane."""
NODE = ("kubelet", "kubectl", "pause")
"""Programs of a real node, beside those of Debian."""
GANGS = ("jobset", "trainer")
"""Controllers of gangs."""

_TRAINER = "github.com/kubeflow/trainer/v2"
_VERSION = re.compile(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.(\d+)")


class UnavailableError(Exception):
    """Real clusters cannot be had on this machine; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Program:
    """One program: the module that holds it, and the package of its `main`."""

    name: str
    module: str
    package: str


PROGRAMS = {
    program.name: program
    for program in (
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        *(
            Program(name, "k8s", f"k8s.io/kubernetes/cmd/{name}")
            for name in (*PLANE[1:], "kubelet", "kubectl")
        ),
        Program("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        Program("helm", "helm", "helm.sh/helm/v3/cmd/helm"),
        Program("pause", "pause", "."),
        Program("kueue", "kueue", "sigs.k8s.io/kueue/cmd/kueue"),
        Program("jobset", "gangs", "sigs.k8s.io/jobset"),
        Program("trainer", "gangs", f"{_TRAINER}/cmd/trainer-controller-manager"),
        Program("tofu", "tofu", "github.com/opentofu/opentofu/cmd/tofu"),
    )
}


def folder(module: str) -> Path:
    """Return where the programs of a module are kept; it may not be there yet."""
    root = os.environ.get("BERTH_CACHE") or Path.home() / ".cache" / "berth"
    sources = [MODULES / module / "go.mod", *sorted((MODULES / module).glob("*.go"))]
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in sources)).hexdigest()
    return Path(root) / "programs" / f"{module}-{digest[:16]}"


def path(name: str) -> Path:
    """Return where a program is kept; it may not be there yet."""
    return folder(PROGRAMS[name].module) / name


def missing(names: Sequence[str]) -> list[str]:
    """Return the programs that were not built yet."""
    return [name for name in names if not path(name).exists()]


def build(names: Sequence[str]) -> None:
    """Build what is missing of some programs; minutes for a control plane, once a machine.

    Several processes may call it at once: the others wait for the first.

    Raises:
        UnavailableError: when there is no Go, or a build fails.
    """
    for module in dict.fromkeys(PROGRAMS[name].module for name in names):
        wanted = [name for name in names if PROGRAMS[name].module == module]
        if not missing(wanted):
            continue
        folder(module).mkdir(parents=True, exist_ok=True)
        with (folder(module) / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _build(module, missing(wanted))


def _build(module: str, names: Sequence[str]) -> None:
    go = shutil.which("go")
    if go is None:
        raise UnavailableError("there is no Go (go 1.26 or newer builds the clusters' programs)")
    if not names:
        return
    sys.stderr.write(f"Building {', '.join(names)} (minutes, once a machine) ...\n")
    target = folder(module)
    partial = target / f".partial.{os.getpid()}"
    partial.mkdir(exist_ok=True)
    for name in names:
        # One at a time: several at once are named after their packages' folders.
        command = [go, "build", "-trimpath", "-ldflags", _flags(), "-o", str(partial / name)]
        result = subprocess.run(
            [*command, PROGRAMS[name].package],
            cwd=MODULES / module,
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            shutil.rmtree(partial)
            message = f"`go build` of {name} in {module} failed:\n{result.stderr[-4000:]}"
            raise UnavailableError(message)
        (partial / name).replace(target / name)
    partial.rmdir()


def manifests(module: str, source: str, inside: str) -> Path:
    """Return a folder of a Go module's source, copied beside the programs; fetched when absent.

    module: whose `go.mod` names it; source: the Go module; inside: the folder in it.

    Raises:
        UnavailableError: when it is neither here nor can be had.
    """
    target = folder(module) / "manifests" / source.replace("/", "_") / inside
    if target.exists():
        return target
    folder(module).mkdir(parents=True, exist_ok=True)
    with (folder(module) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _copy(MODULES / module, source, inside, target)
    return target


def _copy(module: Path, source: str, inside: str, target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise UnavailableError(f"there is no Go, which fetches {inside} of {source}")
    result = subprocess.run(
        [go, "mod", "download", "-json", source],
        cwd=module,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise UnavailableError(f"{source} cannot be had:\n{result.stdout}{result.stderr[-2000:]}")
    partial = target.with_name(f".partial.{os.getpid()}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(Path(json.loads(result.stdout)["Dir"]) / inside, partial)
    for each in (partial, *partial.rglob("*")):
        each.chmod(each.stat().st_mode | 0o200)  # Go keeps its modules read-only
    partial.rename(target)


def _flags() -> str:
    """Return linker flags; without the version the API server says it is v0.0.0."""
    major, minor, patch = kubernetes_version()
    variable = "-X k8s.io/component-base/version.git"
    version = f"{variable}Version=v{major}.{minor}.{patch}"
    return f"-s -w {version} {variable}Major={major} {variable}Minor={minor}"


def kubernetes_version() -> tuple[str, str, str]:
    """Return the version of Kubernetes that is built."""
    found = _VERSION.search((MODULES / "k8s" / "go.mod").read_text(encoding="utf-8"))
    assert found is not None
    return found[1], found[2], found[3]
