"""User names and passwords of registries, from the file in which docker and podman keep them."""

from __future__ import annotations

import base64
import binascii
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.model.errors import RefusedError

_HELPER_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Credentials:
    """Who we are to a registry. Never printed."""

    user: str
    password: str

    @property
    def basic(self) -> str:
        """The value of a basic `Authorization` header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def config_files(environment: Mapping[str, str]) -> list[Path]:
    """Return where the file may stand, the first that names the registry wins."""
    found = []
    if environment.get("REGISTRY_AUTH_FILE"):
        found.append(Path(environment["REGISTRY_AUTH_FILE"]))
    if environment.get("DOCKER_CONFIG"):
        found.append(Path(environment["DOCKER_CONFIG"]) / "config.json")
    if environment.get("XDG_RUNTIME_DIR"):
        found.append(Path(environment["XDG_RUNTIME_DIR"]) / "containers" / "auth.json")
    if environment.get("HOME"):
        found.append(Path(environment["HOME"]) / ".docker" / "config.json")
    return found


def find(host: str, environment: Mapping[str, str]) -> Credentials | None:
    """Return the credentials for a registry, or None where no file names it.

    Raises:
        RefusedError: when a file that is there cannot be used; it is named.
    """
    for path in config_files(environment):
        try:
            document: object = json.loads(path.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            message = f"the registry logins {str(path)!r} cannot be read: {error}"
            raise RefusedError(message, fix="log in again, or repair the file") from error
        found = _from(cast("dict[str, Any]", document), host, path)
        if found is not None:
            return found
    return None


def _from(document: Mapping[str, Any], host: str, path: Path) -> Credentials | None:
    helper = document.get("credHelpers", {}).get(host) or document.get("credsStore")
    names = (host, f"https://{host}", f"http://{host}", f"https://{host}/v2/")
    entry = next((document["auths"][n] for n in names if n in document.get("auths", {})), None)
    if entry and entry.get("auth"):
        try:
            user, _, password = (
                base64.b64decode(entry["auth"], validate=True).decode().partition(":")
            )
        except (binascii.Error, UnicodeDecodeError) as error:
            message = f"the login for {host!r} in {str(path)!r} is not base64"
            raise RefusedError(message, fix=f"log in again: docker login {host}") from error
        return Credentials(user=user, password=password)
    if helper and (entry is not None or host in document.get("credHelpers", {})):
        return _ask(str(helper), host)
    return None


def _ask(helper: str, host: str) -> Credentials:
    """Ask a docker credential helper."""
    command = [f"docker-credential-{helper}", "get"]
    try:
        done = subprocess.run(
            command, input=host.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=True
        )
        answer = json.loads(done.stdout)
        return Credentials(user=str(answer["Username"]), password=str(answer["Secret"]))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        message = f"{command[0]!r} gives no login for {host!r}: {type(error).__name__}"
        raise RefusedError(message, fix=f"log in again: docker login {host}") from error
