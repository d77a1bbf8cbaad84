"""A real control plane on loopback: etcd, API server, controllers, scheduler.

Everything stands in one folder: keys, data, logs, kubeconfigs, and `state.json` with the process
ids, so that another process can stop it.
"""

from __future__ import annotations

import json
import signal
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.clusters import building, certificates, programs

READY_SECONDS = 300.0
STATE = "state.json"
_WORDS_MAX = 4_000


@dataclass(slots=True)
class ControlPlane:
    """One control plane.

    folder: everything of it. port: of its API server, on loopback.
    running: its programs by name, those that were started.
    service_accounts: whether pods get an account, and a token of it unless they want none.
    """

    folder: Path
    port: int
    etcd_port: int
    service_accounts: bool = False
    running: dict[str, programs.Running] = field(default_factory=dict)

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of an administrator; its one context is called as the folder."""
        return self.folder / "admin.kubeconfig"

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://127.0.0.1:{self.port}"

    def save(self) -> None:
        """Write down what runs."""
        state = {
            "port": self.port,
            "etcd_port": self.etcd_port,
            "service_accounts": self.service_accounts,
            "running": [each.plain() for each in self.running.values()],
        }
        (self.folder / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ControlPlane:
        """Return the control plane that was started in a folder."""
        state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
        found = [programs.Running(**each) for each in state["running"]]
        return cls(
            folder,
            state["port"],
            state["etcd_port"],
            state["service_accounts"],
            {each.name: each for each in found},
        )

    # ------------------------------------------------------------------ programs

    def start(self, names: Sequence[str] = building.PLANE) -> None:
        """Start programs that do not run; the API server answers when this returns."""
        for name in names:
            if name in self.running and self.running[name].is_alive:
                continue
            command = [str(building.path(name)), *self._arguments(name)]
            log = self.folder / f"{name}.log"
            self.running[name] = programs.start(name, command, log)
            self.save()
            if name == "kube-apiserver":
                self._wait_ready(log)

    def _wait_ready(self, log: Path) -> None:
        """Wait until the API server answers; its last words are told when it does not."""
        try:
            programs.wait_until(self.is_ready, "the API server", READY_SECONDS)
        except TimeoutError as error:
            words = log.read_text("utf-8", "replace")[-_WORDS_MAX:]
            state = "runs" if self.running["kube-apiserver"].is_alive else "is gone"
            raise TimeoutError(f"{error}; it {state} and said last:\n{words}") from error

    def stop(self) -> None:
        """Stop every program, those that need others first."""
        for each in reversed(list(self.running.values())):
            each.stop()

    def kill_server(self) -> None:
        """End the API server as `kill -9` does."""
        self.running["kube-apiserver"].kill()

    def pause_server(self, *, paused: bool) -> None:
        """Let the API server hang, its connections open; or go on."""
        self.running["kube-apiserver"].send(signal.SIGSTOP if paused else signal.SIGCONT)

    def is_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.get("/readyz") == b"ok"
        except (OSError, urllib.error.URLError):
            return False

    def get(self, path: str) -> bytes:
        """Return what the API server answers to the administrator."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        context.load_cert_chain(self.folder / "admin.crt", self.folder / "admin.key")
        with urllib.request.urlopen(self.server + path, context=context, timeout=5) as answer:
            content: bytes = answer.read()
            return content

    def user(self, name: str, groups: str = "", namespace: str = "default") -> Path:
        """Return the kubeconfig of a user without rights but those that roles give."""
        path = self.folder / f"{name}.kubeconfig"
        if not path.exists():
            subject = f"/O={groups}/CN={name}" if groups else f"/CN={name}"
            certificates.issue(self.folder, name, subject)
            content = certificates.kubeconfig(
                self.folder, self.server, name, context=self.folder.name, namespace=namespace
            )
            certificates.write_kubeconfig(path, content)
        return path

    def _arguments(self, name: str) -> list[str]:
        by_name = {
            "etcd": self._etcd,
            "kube-apiserver": self._api_server,
            "kube-controller-manager": self._controllers,
            "kube-scheduler": self._scheduler,
        }
        return by_name[name]()

    def _etcd(self) -> list[str]:
        client = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{programs.free_port()}"
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _api_server(self) -> list[str]:
        keys = self.folder
        return [
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={keys / 'apiserver.crt'}",
            f"--tls-private-key-file={keys / 'apiserver.key'}",
            f"--client-ca-file={keys / 'ca.crt'}",
            f"--service-account-key-file={keys / 'sa.pub'}",
            f"--service-account-signing-key-file={keys / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            "--endpoint-reconciler-type=none",
            *([] if self.service_accounts else ["--disable-admission-plugins=ServiceAccount"]),
            # Long enough that a server which comes back on a busy machine can read all it caches.
            "--etcd-compaction-interval=120s",
            "--profiling=false",
            f"--cert-dir={self.folder / 'pki'}",
        ]

    def _controllers(self) -> list[str]:
        return [
            *self._client("kube-controller-manager"),
            f"--service-account-private-key-file={self.folder / 'sa.key'}",
            f"--root-ca-file={self.folder / 'ca.crt'}",
            "--use-service-account-credentials=false",
            "--concurrent-job-syncs=10",
        ]

    def _scheduler(self) -> list[str]:
        return self._client("kube-scheduler")

    def _client(self, name: str) -> list[str]:
        config = str(self.kubeconfig)
        return [
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            f"--secure-port={programs.free_port()}",
            f"--cert-dir={self.folder / name}",
            "--leader-elect=false",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]


def create(
    folder: Path, names: Sequence[str] = building.PLANE, *, service_accounts: bool = False
) -> ControlPlane:
    """Make keys and kubeconfig of a new control plane, and start it, or some of its programs.

    Raises:
        UnavailableError: when its programs cannot be built.
        TimeoutError: when it does not answer.
    """
    building.build(names)
    folder.mkdir(parents=True)
    plane = ControlPlane(folder, programs.free_port(), programs.free_port(), service_accounts)
    certificates.authority(folder)
    addresses = "IP:127.0.0.1,IP:10.0.0.1,DNS:localhost"
    certificates.issue(folder, "apiserver", "/CN=kube-apiserver", names=addresses)
    certificates.issue(folder, "admin", "/O=system:masters/CN=admin")
    certificates.service_account_keys(folder)
    content = certificates.kubeconfig(folder, plane.server, "admin", context=folder.name)
    certificates.write_kubeconfig(plane.kubeconfig, content)
    try:
        plane.start(names)
    except TimeoutError:
        plane.stop()
        raise
    return plane
