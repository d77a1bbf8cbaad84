"""containerd for one real node, with everything of its own: configuration, storage, network.

Debian's containerd, runc and network plug-ins are used. `restrict_oom_score_adj` is needed where
the machine has no CAP_SYS_RESOURCE: runc may not lower the score of a process there, and dies.
Images come from registries of loopback, which containerd asks by plain HTTP.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

PAUSE = "berth.test/pause:1"
PLUGINS = Path("/usr/lib/cni")

_CONFIG = """\
version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "{socket}"
[ttrpc]
address = "{socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Containerd:
    """Where a node's containerd has its things.

    folder: storage and configuration. state: short, for sockets have short names.
    bridge, subnet: of the node's pods.
    """

    folder: Path
    state: Path
    bridge: str
    subnet: str

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.state / "containerd.sock"

    def command(self) -> list[str]:
        """Write the configuration; return what starts it."""
        networks = self.folder / "cni"
        networks.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(parents=True, exist_ok=True)
        (networks / "10-berth.conflist").write_text(json.dumps(self._network()), encoding="utf-8")
        config = self.folder / "containerd.toml"
        text = _CONFIG.format(
            root=self.folder / "containerd",
            state=self.state / "containerd",
            socket=self.socket,
            pause=PAUSE,
            plugins=PLUGINS,
            networks=networks,
        )
        config.write_text(text, encoding="utf-8")
        return ["containerd", "--config", str(config)]

    def _network(self) -> dict[str, object]:
        """Return a bridge of the machine: pods are reached by their addresses, from here only."""
        addresses = {
            "type": "host-local",
            "dataDir": str(self.folder / "addresses"),
            "ranges": [[{"subnet": self.subnet}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {
            "type": "bridge",
            "bridge": self.bridge,
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": addresses,
        }
        return {"cniVersion": "0.4.0", "name": "berth", "plugins": [bridge]}

    def call(self, *arguments: str) -> str:
        """Run `ctr` in the namespace of Kubernetes; return what it prints."""
        command = ["ctr", "--address", str(self.socket), "-n", "k8s.io", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def answers(self) -> bool:
        """Whether it serves."""
        try:
            self.call("version")
        except (OSError, subprocess.CalledProcessError):
            return False
        return True

    def import_pause(self, program: Path) -> None:
        """Make the image of the container that holds a pod's namespaces."""
        path = self.folder / "pause.tar"
        path.write_bytes(one_file_image(program.read_bytes(), PAUSE))
        self.call("images", "import", str(path))

    def kill_all(self) -> None:
        """End every container, as a machine that loses power does."""
        for task in self.call("task", "ls", "-q").split():
            for what in (("kill", "-s", "SIGKILL"), ("delete", "-f")):
                command = ["ctr", "--address", str(self.socket), "-n", "k8s.io", "task"]
                subprocess.run([*command, *what, task], check=False, capture_output=True)


def one_file_image(program: bytes, name: str) -> bytes:
    """Return an OCI image, as a tar, that holds and runs one static program."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = tarfile.TarInfo("pause")
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
    blobs: dict[str, bytes] = {}

    def keep(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        media = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    layers = [keep(layer.getvalue(), "layer.v1.tar")]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [layers[0]["digest"]]},
    }
    described = keep(json.dumps(config).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "config": described, "layers": layers}
    entry_of_index = keep(json.dumps(manifest).encode(), "manifest.v1+json")
    entry_of_index["annotations"] = {"io.containerd.image.name": name}
    index = {"schemaVersion": 2, "manifests": [entry_of_index]}
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(index).encode(),
    }
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for path, data in (files | blobs).items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return whole.getvalue()
