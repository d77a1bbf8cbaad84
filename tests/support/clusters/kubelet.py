"""A real node on this machine: a kubelet, containerd, containers, and a registry to pull from.

Root is needed. The node has an address of its own on loopback (a kubelet takes no loopback address,
and the API server asks it for logs there), a bridge for its pods, and a branch of its own in the
hierarchy of cgroups, so that several can run beside each other. Pods are reached by their addresses
from this machine; the address of a Service is reached by nobody: use the API server's proxy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import registry_process
from tests.support.clusters import building, plane, programs
from tests.support.clusters.containers import PLUGINS, Containerd

STATE = "node.json"
READY_SECONDS = 300.0
_NODES_MAX = 200
_OWNER = "owner"
_CGROUPS = Path("/sys/fs/cgroup")
_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "ctr": "containerd",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "docker-registry": "docker-registry",
}


def missing() -> str:
    """Return why this machine can run no real node; "" when it can."""
    if os.geteuid() != 0:
        return "a real node needs root"
    absent = {package for name, package in _PACKAGES.items() if shutil.which(name) is None}
    if not (PLUGINS / "bridge").exists():
        absent.add("containernetworking-plugins")
    if absent:
        return f"a real node needs: apt install {' '.join(sorted(absent))}"
    unbuilt = building.missing(building.NODE)
    return (
        f"{', '.join(unbuilt)} not built (scripts/cluster build --nodes kubelet)" if unbuilt else ""
    )


@dataclass(slots=True)
class Node:
    """One real node of a control plane.

    folder: everything of it. number: makes its addresses and names its own.
    registry: HOST:PORT of the registry that it pulls from.
    """

    folder: Path
    number: int
    registry: str = ""
    running: dict[str, programs.Running] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the node."""
        return f"node-{self.number}"

    @property
    def address(self) -> str:
        """Address of the node, which pods reach too: what shall serve them listens there."""
        return f"198.51.100.{self.number}"

    @property
    def containerd(self) -> Containerd:
        """Its container runtime."""
        return Containerd(
            folder=self.folder,
            state=_claim(self.number),
            bridge=f"berth{self.number}",
            subnet=f"10.244.{self.number}.0/24",
        )

    # ------------------------------------------------------------------ keeping

    def save(self) -> None:
        """Write down what runs."""
        state = {
            "number": self.number,
            "registry": self.registry,
            "running": [each.plain() for each in self.running.values()],
        }
        (self.folder / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Node:
        """Return the node that was started in a folder."""
        state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
        found = {each["name"]: programs.Running(**each) for each in state["running"]}
        return cls(folder, state["number"], state["registry"], found)

    # ------------------------------------------------------------------ running

    def start(self, made: plane.ControlPlane) -> None:
        """Start everything; the node is ready when this returns."""
        containerd = self.containerd
        self._run("containerd", containerd.command())
        programs.wait_until(containerd.answers, "containerd", READY_SECONDS)
        containerd.import_pause(building.path("pause"))
        self._start_registry()
        self._run("kubelet", self._kubelet(made))
        programs.wait_until(lambda: self._is_ready(made), "the node", READY_SECONDS)

    def _run(self, name: str, command: list[str]) -> None:
        self.running[name] = programs.start(name, command, self.folder / f"{name}.log")
        self.save()

    def _start_registry(self) -> None:
        port = programs.free_port()
        self.registry = f"127.0.0.1:{port}"
        config = self.folder / "registry.yml"
        config.write_text(registry_process.config(self.folder / "registry", port), "utf-8")
        self._run("docker-registry", ["docker-registry", "serve", str(config)])

    def _kubelet(self, made: plane.ControlPlane) -> list[str]:
        folder = self.folder / "kubelet"
        folder.mkdir(exist_ok=True)
        config = self.folder / "kubelet.json"
        config.write_text(json.dumps(self._configuration()), encoding="utf-8")
        return [
            str(building.path("kubelet")),
            f"--kubeconfig={made.kubeconfig}",
            f"--config={config}",
            f"--root-dir={folder}",
            f"--cert-dir={self.folder / 'kubelet-pki'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
        ]

    def _configuration(self) -> dict[str, object]:
        """Return the configuration; authorisation is off, for this node serves tests only."""
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "port": 10250,
            "readOnlyPort": 0,
            "healthzPort": 0,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{self.containerd.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.name}",
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            "clusterDomain": "cluster.local",
            "resolvConf": "/dev/null",
            "evictionHard": {
                "memory.available": "64Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "nodefs.inodesFree": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "registryPullQPS": 0,
            "serializeImagePulls": False,
            "podLogsDir": str(self.folder / "pod-logs"),
            "volumePluginDir": str(self.folder / "volume-plugins"),
        }

    def _is_ready(self, made: plane.ControlPlane) -> bool:
        if not self.running["kubelet"].is_alive:
            tail = (self.folder / "kubelet.log").read_text("utf-8", "replace")[-2_000:]
            raise TimeoutError(f"the kubelet ended: {tail}")
        try:
            found = json.loads(made.get(f"/api/v1/nodes/{self.name}"))
        except OSError:
            return False
        conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
        return conditions.get("Ready") == "True"

    # ------------------------------------------------------------------ stopping

    def stop(self) -> None:
        """Stop everything by process id, and give back what the machine lent.

        Once stopped, its number may be another node's, and there is nothing left to do.
        """
        if not _is_claimed(self.number, self.folder):
            return
        self._stop("kubelet")
        if self.containerd.answers():
            self.containerd.kill_all()
        self._stop("containerd")
        self._stop("docker-registry")
        _unmount(self.folder)
        _unmount(self.containerd.state)
        _ip("link", "delete", self.containerd.bridge)
        _remove_cgroups(self.name)
        _ip("addr", "del", f"{self.address}/32", "dev", "lo")
        shutil.rmtree(self.containerd.state, ignore_errors=True)

    def _stop(self, name: str) -> None:
        if name in self.running:
            self.running[name].stop()


def create(made: plane.ControlPlane) -> Node:
    """Start a real node for a control plane.

    Raises:
        UnavailableError: when this machine cannot run one.
        TimeoutError: when it does not become ready.
    """
    building.build(building.NODE)
    why = missing()
    if why:
        raise building.UnavailableError(why)
    folder = made.folder / "node"
    folder.mkdir()
    node = claimed(folder)
    _make_cgroups(node.name)
    try:
        node.start(made)
    except BaseException:
        node.stop()
        raise
    return node


def claimed(folder: Path) -> Node:
    """Return a node for a folder, with a number that no other has; nothing of it runs yet."""
    node = Node(folder, _claim_number(folder))
    node.save()
    return node


def _claim(number: int) -> Path:
    """Return the folder that whoever has a number made, and removes when it is free again."""
    return Path(f"/run/berth-node-{number}")


def _claim_number(folder: Path) -> int:
    """Claim a number for the node of a folder by what only one process can: make another folder."""
    for number in range(1, _NODES_MAX):
        claim = _claim(number)
        try:
            claim.mkdir()
        except FileExistsError:
            continue
        (claim / _OWNER).write_text(str(folder), encoding="utf-8")
        if _ip("addr", "add", f"198.51.100.{number}/32", "dev", "lo"):
            return number
        shutil.rmtree(claim)
    raise building.UnavailableError("there are too many nodes on this machine")


def _is_claimed(number: int, folder: Path) -> bool:
    """Tell whether a number is still that of the node of a folder."""
    owner = _claim(number) / _OWNER
    return owner.exists() and owner.read_text(encoding="utf-8") == str(folder)


def _ip(*arguments: str) -> bool:
    return subprocess.run(["ip", *arguments], check=False, capture_output=True).returncode == 0


def _hierarchies() -> list[Path]:
    """Return the roots of the cgroup hierarchies: many in version 1, one in version 2."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [each for each in sorted(_CGROUPS.iterdir()) if each.is_dir() and not each.is_symlink()]


def _make_cgroups(name: str) -> None:
    for root in _hierarchies():
        (root / name).mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (root / name / setting).exists():
                (root / name / setting).write_text((root / setting).read_text())


def _remove_cgroups(name: str) -> None:
    """Remove a branch of every hierarchy; what is just ending holds its group for a moment."""
    for root in _hierarchies():
        for _ in range(50):
            groups = sorted((root / name).rglob("*/"), reverse=True)
            busy = [each for each in [*groups, root / name] if each.is_dir() and not _rmdir(each)]
            if not busy:
                break
            time.sleep(0.1)


def _rmdir(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError:
        return False
    return True


def _unmount(folder: Path) -> None:
    """Unmount everything below a folder, the deepest first."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    found = [line.split()[1] for line in mounts if line.split()[1].startswith(f"{folder}/")]
    for mount in sorted(found, reverse=True):
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
