"""Simple signing by GPG: what skopeo and podman verify by their policy and a lookaside folder.

https://github.com/containers/image/blob/main/docs/containers-signature.5.md. The signature is a
signed OpenPGP message that holds the payload; it lies at
`LOOKASIDE/REPOSITORY@sha256=HEX/signature-1`.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.model.errors import NotFoundError, RefusedError
from engine.model.identifiers import Digest
from executors.packaging import images

_KIND = "atomic container signature"
_SECONDS = 60.0
_SIGNATURES_MAX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class GpgKey:
    """A key in GPG's own keyring.

    homedir: None for the user's. passphrase: given to GPG by a pipe, never as an argument.
    """

    fingerprint: str
    homedir: Path | None = None
    passphrase: bytes | None = None

    def sign(self, payload: bytes) -> bytes:
        """Return a signed message that holds the payload.

        Raises:
            NotFoundError: when there is no GPG.
            RefusedError: when it does not sign.
        """
        reading, writing = os.pipe()
        try:
            os.write(writing, (self.passphrase or b"") + b"\n")
            os.close(writing)
            arguments = [
                "gpg",
                *(["--homedir", str(self.homedir)] if self.homedir else []),
                *["--batch", "--no-tty", "--yes", "--pinentry-mode", "loopback"],
                *["--passphrase-fd", str(reading), "--local-user", self.fingerprint],
                *["--output", "-", "--sign"],
            ]
            done = subprocess.run(
                arguments,
                input=payload,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
                pass_fds=(reading,),
            )
        except FileNotFoundError as error:
            raise NotFoundError("there is no `gpg`", fix="install gnupg") from error
        finally:
            os.close(reading)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            message = f"gpg does not sign with {self.fingerprint!r}: {said[-1] if said else ''}"
            raise RefusedError(message, fix="check the key and its passphrase")
        return done.stdout


def payload_of(reference: str, digest: str) -> bytes:
    """Return what is signed. No time is in it, so the same image has the same payload."""
    return images.canonical(
        {
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": digest},
                "type": _KIND,
            },
            "optional": {"creator": "berth"},
        }
    )


def sign(lookaside: Path, reference: str, digest: Digest, key: GpgKey) -> Path:
    """Sign an image and lay the signature where skopeo and podman look; return its path.

    reference: `HOST[:PORT]/REPOSITORY:TAG`, as the image will be pulled.

    Raises:
        RefusedError: when the reference cannot name a place, or GPG does not sign.
    """
    folder = lookaside / place_of(reference, digest)
    folder.mkdir(parents=True, exist_ok=True)
    message = key.sign(payload_of(reference, digest))
    for number in range(1, _SIGNATURES_MAX + 1):
        path = folder / f"signature-{number}"
        if not path.exists():
            images.write_file(path, message)
            return path
    message_text = f"{reference!r} has {_SIGNATURES_MAX} signatures already"
    raise RefusedError(message_text, fix=f"remove old ones below {str(folder)!r}")


def place_of(reference: str, digest: str) -> str:
    """Return where in a lookaside folder the signatures of an image lie.

    Raises:
        RefusedError: when the reference names no repository of a registry.
    """
    host, _, rest = reference.partition("/")
    repository = rest.partition("@")[0].partition(":")[0]
    parts = PurePosixPath(repository).parts
    if not host or not repository or ".." in parts or repository.startswith("/"):
        message = f"{reference!r} names no repository"
        raise RefusedError(message, fix="write HOST:PORT/REPOSITORY:TAG")
    return f"{repository}@{digest.replace(':', '=')}"
