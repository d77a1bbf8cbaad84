"""What the benchmark of signatures runs beside Berth: a registry, GPG, skopeo, podman, openssl."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT_SECONDS = 60.0
PROGRAMS = ("docker-registry", "skopeo", "podman", "gpg", "openssl")


def missing() -> list[str]:
    """Returns the programs that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Runs Debian's docker-registry on a port of loopback that the kernel chooses."""
    folder.mkdir(parents=True)
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'blobs'}}}}}\n"
        'http: {addr: "127.0.0.1:0"}\nlog: {level: info}\n',
        encoding="utf-8",
    )
    log = folder / "log.txt"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [shutil.which("docker-registry") or "", "serve", str(config)], stdout=said, stderr=said
        )
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            process.wait(LIMIT_SECONDS)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    limit = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        found = re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text(encoding="utf-8"))
        if found:
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"docker-registry does not listen: {log.read_text(encoding='utf-8')}")


def run(
    *command: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
        env={**os.environ, **(environment or {})},
    )


def must(*command: str, environment: dict[str, str] | None = None) -> str:
    """Runs a program that has to succeed; returns what it printed."""
    done = run(*command, environment=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Gpg:
    """A key of GPG in a keyring of its own."""

    home: Path
    fingerprint: str
    public: Path


def gpg_key(folder: Path, name: str, passphrase: str) -> Gpg:
    """Makes a key with a passphrase."""
    home = folder / name
    home.mkdir(mode=0o700, parents=True)
    base = ("gpg", "--homedir", str(home), "--batch", "--pinentry-mode", "loopback")
    secret = ("--passphrase", passphrase)
    must(*base, *secret, "--quick-generate-key", f"{name} <{name}@example.org>", "rsa2048", "sign")
    listed = must(*base, "--with-colons", "--list-keys")
    fingerprint = next(row.split(":")[9] for row in listed.splitlines() if row.startswith("fpr"))
    public = folder / f"{name}.gpg"
    must(*base, "--output", str(public), "--export", fingerprint)
    return Gpg(home, fingerprint, public)


def stop_agent(key: Gpg) -> None:
    """Ends the agent that GPG left running for a keyring."""
    run("gpgconf", "--homedir", str(key.home), "--kill", "gpg-agent")


@dataclass(frozen=True, slots=True)
class Puller:
    """Pulls images under a policy that asks for a signature by one key, as skopeo and as podman."""

    folder: Path
    policy: Path
    sources: Path
    lookaside: Path

    @classmethod
    def trusting(cls, folder: Path, address: str, public: Path) -> "Puller":
        """Returns one that trusts a public key for everything of one registry."""
        sources = folder / "home" / ".config" / "containers" / "registries.d"
        lookaside = folder / "lookaside"
        sources.mkdir(parents=True)
        lookaside.mkdir()
        (sources / "local.yaml").write_text(
            f"docker:\n  {address}:\n    lookaside: file://{lookaside}\n"
            f"    sigstore: file://{lookaside}\n",
            encoding="utf-8",
        )
        needed = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(public)}
        policy = folder / "policy.json"
        policy.write_text(
            json.dumps(
                {
                    "default": [{"type": "reject"}],
                    "transports": {"docker": {address: [needed]}},
                }
            ),
            encoding="utf-8",
        )
        return cls(folder, policy, sources, lookaside)

    def skopeo(self, reference: str) -> str:
        """Copies an image to a folder; returns "" when it was accepted, else why not."""
        target = self.folder / "copied"
        shutil.rmtree(target, ignore_errors=True)
        done = run(
            "skopeo",
            *("--policy", str(self.policy), "--registries.d", str(self.sources)),
            *("copy", "--src-tls-verify=false", f"docker://{reference}", f"dir:{target}"),
        )
        return _told(done)

    def podman(self, reference: str) -> str:
        """Pulls an image into a store of its own; returns "" when it was accepted, else why not."""
        store, state = self.folder / "store", self.folder / "state"
        base = ("podman", "--root", str(store), "--runroot", str(state), "--storage-driver", "vfs")
        told = {"HOME": str(self.folder / "home")}
        done = run(
            *base,
            *("pull", "--tls-verify=false", "--signature-policy", str(self.policy), reference),
            environment=told,
        )
        if not done.returncode:
            must(*base, "rmi", "--force", reference, environment=told)
        return _told(done)


def _told(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip() or "refused without a word") if done.returncode else ""


def push(layout: Path, tag: str, reference: str) -> None:
    """Copies an image of a layout to a registry, byte for byte."""
    must(
        "skopeo",
        *("copy", "--insecure-policy", "--preserve-digests", "--dest-tls-verify=false"),
        *(f"oci:{layout}:{tag}", f"docker://{reference}"),
    )


def openssl_verifies(folder: Path, public: bytes, payload: bytes, signature: bytes) -> bool:
    """Returns whether openssl accepts a signature of a payload."""
    files: dict[str, bytes] = {"key.pub": public, "payload": payload, "signature": signature}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    done = run(
        *("openssl", "dgst", "-sha256", "-verify", str(folder / "key.pub")),
        *("-signature", str(folder / "signature"), str(folder / "payload")),
    )
    return done.returncode == 0


def validator(peers: Path) -> Sequence[str] | None:
    """Returns the command that validates a bill by cyclonedx-python-lib, made when it is absent."""
    home = peers / "cyclonedx"
    python = home / "bin" / "python"
    if not python.exists():
        must("python3", "-m", "venv", str(home))
        done = run(
            str(python), "-m", "pip", "-q", "install", "cyclonedx-python-lib[json-validation]"
        )
        if done.returncode:
            shutil.rmtree(home)
            return None
    code = (
        "import sys; from cyclonedx.schema import SchemaVersion;"
        "from cyclonedx.validation.json import JsonStrictValidator;"
        "f = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read());"
        "print(f or ''); sys.exit(f is not None)"
    )
    return (str(python), "-c", code)
