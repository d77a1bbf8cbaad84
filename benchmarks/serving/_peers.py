"""Environments of clients and other servers, each on its own below ~/.cache/berth/peers.

Made when absent with uv (on PATH, or BERTH_UV) from the package index; what cannot be installed is
reported as not run.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HOME = Path.home() / ".cache" / "berth" / "peers"
_SECONDS_MAX = 400
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class Peer:
    """An environment: its name, the packages in it, the interpreter it wants."""

    name: str
    packages: tuple[str, ...]
    python: str = "3.11"


TRITONCLIENT = Peer("tritonclient", ("tritonclient[http,grpc]", "numpy"))
KSERVE = Peer("kserve", ("kserve", "scikit-learn"))
# 1.7.1 with a newer uvloop dies at its start: "There is no current event loop".
MLSERVER = Peer("mlserver", ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop==0.21.0"))
# Its stub of Python fails with other builds than the system's.
TRITON = Peer("triton", ("nvidia-pytriton", "scikit-learn"), "/usr/bin/python3.11")


def interpreter(peer: Peer) -> Path | None:
    """Returns the interpreter of a peer's environment, made if need be; None if it cannot be."""
    folder = HOME / peer.name
    python = folder / "bin" / "python"
    done = folder / ".berth-done"
    if done.exists() and python.exists():
        return python
    uv = (
        os.environ.get("BERTH_UV")
        or shutil.which("uv")
        or str(Path(sys.executable).with_name("uv"))
    )
    if not Path(uv).exists():
        return None
    environment = dict(os.environ)
    if Path(_CERTIFICATES).exists():
        environment.setdefault("SSL_CERT_FILE", _CERTIFICATES)
    commands = [
        [uv, "venv", "-q", "--clear", "--python", peer.python, str(folder)],
        [uv, "pip", "install", "-q", "--python", str(python), *peer.packages],
    ]
    try:
        for command in commands:
            subprocess.run(command, env=environment, check=True, timeout=_SECONDS_MAX)
    except (subprocess.SubprocessError, OSError):
        return None
    done.touch()
    return python


def site_packages(python: Path) -> Path:
    """Returns where an environment keeps its packages."""
    return next((python.parent.parent / "lib").glob("python3.*/site-packages"))
