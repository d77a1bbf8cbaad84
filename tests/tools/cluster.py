"""Real Kubernetes clusters on this machine: `scripts/cluster up|down|status|build`.

    scripts/cluster up [--control-planes N] [--nodes none|kubelet|kwok:COUNT]
    scripts/cluster status
    scripts/cluster down
    scripts/cluster build [--nodes kubelet] [--kueue] [--gangs] [--tofu]

Control planes are built from Go modules (minutes, once a machine) and listen on loopback. Nodes of
kwok are played: their pods are said to run, and nothing does. `--nodes kubelet` gives every control
plane a real node (root and Debian's containerd are needed) that pulls from a registry of its own on
loopback. `up` prints where the kubeconfig is: one file with a context for each control plane.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.support.clusters import building, certificates, kubelet, nodes, plane

KUBECONFIG = "kubeconfig"
ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Do what the arguments say; 1 when it cannot be done."""
    parser = argparse.ArgumentParser(prog="scripts/cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["up", "down", "status", "build"])
    parser.add_argument("--control-planes", type=int, default=1, metavar="N")
    parser.add_argument("--nodes", default="none", metavar="none|kubelet|kwok:COUNT")
    parser.add_argument("--kueue", action="store_true", help="build Kueue's controllers too")
    parser.add_argument("--gangs", action="store_true", help="build JobSet and Trainer too")
    parser.add_argument("--tofu", action="store_true", help="build OpenTofu too")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "cluster")
    given = parser.parse_args()
    try:
        if given.what == "build":
            real = building.NODE if given.nodes == nodes.KUBELET else ()
            more = [name for name in ("kueue", "tofu") if getattr(given, name)]
            more += building.GANGS if given.gangs else ()
            building.build((*building.PLANE, "helm", *real, *more))
        elif given.what == "up":
            up(given.folder, given.control_planes, given.nodes)
        elif given.what == "down":
            down(given.folder)
        else:
            return status(given.folder)
    except (building.UnavailableError, TimeoutError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        if given.what == "up" and planes(given.folder):
            sys.stderr.write("fix: `scripts/cluster down` ends what was started\n")
        return 1
    return 0


def planes(folder: Path) -> list[plane.ControlPlane]:
    """Return the control planes that were started below a folder."""
    found = sorted(folder.glob(f"*/{plane.STATE}"))
    return [plane.ControlPlane.load(path.parent) for path in found]


def up(folder: Path, count: int, wanted_nodes: str) -> None:
    """Start control planes `c1`, `c2`, ... with nodes, and write one kubeconfig for all."""
    kwok_count = nodes.kwok_count(wanted_nodes)
    if count < 1:
        raise ValueError(f"--control-planes is {count}; at least 1 is needed")
    if planes(folder):
        raise ValueError(f"there are clusters in {str(folder)!r} already")
    for number in range(1, count + 1):
        made = plane.create(folder / f"c{number}")
        if kwok_count:
            nodes.start_kwok(made, kwok_count)
        if wanted_nodes == nodes.KUBELET:
            sys.stderr.write(f"{described(kubelet.create(made))}\n")
        sys.stderr.write(f"{made.folder.name} answers at {made.server}\n")
    certificates.write_kubeconfig(folder / KUBECONFIG, merge(planes(folder)))
    print(f"export KUBECONFIG={folder / KUBECONFIG}")  # noqa: T201 - what a shell shall take


def described(node: kubelet.Node) -> str:
    """Say where a real node is, and what it needs to be told."""
    where = f"at {node.address}, pods in {node.containerd.subnet}"
    return f"{node.name} is {where}; it pulls from {node.registry}"


def real_nodes(folder: Path) -> list[kubelet.Node]:
    """Return the real nodes that were started below a folder."""
    found = sorted(folder.glob(f"*/node/{kubelet.STATE}"))
    return [kubelet.Node.load(path.parent) for path in found]


def merge(found: list[plane.ControlPlane]) -> dict[str, object]:
    """Return one kubeconfig with the contexts of all control planes."""
    whole: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": "c1"}
    for each in found:
        content: dict[str, Any] = json.loads(each.kubeconfig.read_text(encoding="utf-8"))
        for part in ("clusters", "users", "contexts"):
            whole.setdefault(part, []).extend(content[part])
    return whole


def down(folder: Path) -> None:
    """Stop everything that was started below a folder, and remove it."""
    for node in real_nodes(folder):
        node.stop()
    for each in planes(folder):
        each.stop()
    shutil.rmtree(folder, ignore_errors=True)


def status(folder: Path) -> int:
    """Print what runs, and how it is reached; 1 when something that was started does not."""
    found, real = planes(folder), real_nodes(folder)
    started: list[plane.ControlPlane | kubelet.Node] = [*found, *real]
    lines: list[str] = []
    fine = True
    for each in started:
        name = each.folder.relative_to(folder)
        for program in each.running.values():
            fine &= program.is_alive
            state = "runs" if program.is_alive else "is gone"
            lines.append(f"{name} {program.name} {program.pid} {state}")
    lines += [f"{made.folder.name} answers at {made.server}" for made in found if made.is_ready()]
    lines += [described(node) for node in real]
    if (folder / KUBECONFIG).exists():
        lines.append(f"export KUBECONFIG={folder / KUBECONFIG}")
    print("\n".join(lines) or "there is no cluster; `scripts/cluster up` starts one")  # noqa: T201
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
