"""From a kubeconfig to a client of one cluster, refusing what is not safe to use.

The official client reads kubeconfigs and signs in; everything it would do silently (skip the
check of certificates, run a command of the kubeconfig) is looked at first.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import io
import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from kubernetes import client, config
from kubernetes.config.kube_config import ConfigNode, KubeConfigMerger

from engine.model.errors import Fault, InvalidInputError

CODE = "U031"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One context of a kubeconfig."""

    name: str
    namespace: str
    server: str


def read(path: Path) -> Mapping[str, Any]:
    """Return a kubeconfig, which is not to be changed: others are given the same one.

    Raises:
        InvalidInputError: when it cannot be read, or is no kubeconfig.
    """
    try:
        found = path.stat()
        document = _parsed(path, found.st_mtime_ns, found.st_size, found.st_ino)
    except Exception as error:  # the library raises whatever its YAML parser does
        why = f"it cannot be read: {error}"
        raise _invalid(path, why, "check the setting `kubeconfig`") from error
    if not isinstance(document, dict):
        raise _invalid(path, "it is no kubeconfig", "`kubectl config view` shows a good one")
    return cast("Mapping[str, Any]", document)


@functools.lru_cache(maxsize=4)
def _parsed(path: Path, _changed_at: int, _size: int, _inode: int) -> object:
    """Read a file as it is now; with fifty clusters in it that takes a second, so it is kept."""
    text = io.StringIO(path.read_text(encoding="utf-8"))
    return cast("object", KubeConfigMerger(text).config)  # type: ignore[no-untyped-call]  # no types


def contexts(path: Path) -> tuple[Context, ...]:
    """Return the contexts of a kubeconfig.

    Raises:
        InvalidInputError: when it cannot be read.
    """
    document = read(path)
    servers = {
        each["name"]: str(each.get("cluster", {}).get("server", ""))
        for each in _list(document, "clusters")
    }
    return tuple(
        Context(
            name=each["name"],
            namespace=str(each.get("context", {}).get("namespace", "") or "default"),
            server=servers.get(each.get("context", {}).get("cluster", ""), ""),
        )
        for each in _list(document, "contexts")
    )


def fingerprint(path: Path, context: str) -> str:
    """Return what changes when a context, its cluster or its user change; "" when it is not there.

    Raises:
        InvalidInputError: when the kubeconfig cannot be read.
    """
    document = read(path)
    chosen = _named(document, "contexts", context, "context")
    if chosen is None:
        return ""
    parts = [
        chosen,
        _named(document, "clusters", str(chosen.get("cluster", "")), "cluster"),
        _named(document, "users", str(chosen.get("user", "")), "user"),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def faults(path: Path, context: str, exec_allowed: Sequence[str]) -> list[Fault]:
    """Return everything that is wrong or unsafe about one context of a kubeconfig."""
    document = read(path)
    named = {each["name"]: each.get("context", {}) for each in _list(document, "contexts")}
    if context not in named:
        known = ", ".join(named) or "none"
        message = f"context {context!r} is not in {str(path)!r}; there is {known}"
        return [Fault(code=CODE, message=message, fix="correct `context` of the cluster")]
    found: list[Fault] = []
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        message = f"others may read {str(path)!r}, which holds credentials"
        found.append(Fault(code=CODE, message=message, fix=f"chmod 600 {path}"))
    cluster = _named(document, "clusters", str(named[context].get("cluster", "")), "cluster")
    user = _named(document, "users", str(named[context].get("user", "")), "user")
    if cluster is None or not cluster.get("server"):
        message = f"context {context!r} of {str(path)!r} names no cluster with a `server`"
        found.append(Fault(code=CODE, message=message))
    elif cluster.get("insecure-skip-tls-verify"):
        message = f"context {context!r} of {str(path)!r} says `insecure-skip-tls-verify`"
        fix = "give the cluster's `certificate-authority-data` instead"
        found.append(Fault(code=CODE, message=message, fix=fix))
    elif not str(cluster["server"]).startswith("https://"):
        message = f"context {context!r} of {str(path)!r} is not reached by https"
        found.append(Fault(code=CODE, message=message, fix="give an https server"))
    command = str((user or {}).get("exec", {}).get("command", ""))
    if command and command not in exec_allowed:
        message = f"context {context!r} of {str(path)!r} runs {command!r} to sign in"
        fix = f"if you trust it: exec_allowed = [{command!r}]"
        found.append(Fault(code=CODE, message=message, fix=fix))
    return found


def connect(
    path: Path, context: str, *, exec_allowed: Sequence[str] = (), connections: int = 4
) -> client.ApiClient:
    """Return a client for a context.

    Raises:
        InvalidInputError: with everything that is wrong or unsafe about it.
    """
    wrong = faults(path, context, exec_allowed)
    if wrong:
        raise InvalidInputError(str(path), wrong)
    settings = client.Configuration()
    settings.retries = False  # the gate decides when to ask again
    settings.connection_pool_maxsize = connections + 4  # watches hold connections of their own
    try:
        _sign_in(path, context, settings)
    except Exception as error:  # the library raises whatever its parts do
        message = f"context {context!r} cannot be used: {error}"
        raise _invalid(path, message, "`kubectl --context` must work with it") from error
    return client.ApiClient(settings)


def _sign_in(path: Path, context: str, settings: client.Configuration) -> None:
    """Set address and credentials of a context."""
    document = read(path)
    chosen = _named(document, "contexts", context, "context") or {}
    user = str(chosen.get("user", ""))
    if "auth-provider" in (_named(document, "users", user, "user") or {}):
        # Such a user's tokens are renewed, and written back to the file.
        config.load_kube_config(  # type: ignore[no-untyped-call]  # it has no types
            str(path), context=context, client_configuration=settings
        )
        return
    wanted = {"contexts": context, "users": user, "clusters": str(chosen.get("cluster", ""))}
    parts = {
        part: [copy.deepcopy(each) for each in _list(document, part) if each["name"] == name]
        for part, name in wanted.items()
    }
    # The path is what relative names of files start from.
    alone = ConfigNode("kubeconfig", {**document, **parts}, str(path))  # type: ignore[no-untyped-call]  # as above
    config.load_kube_config_from_dict(  # type: ignore[no-untyped-call]  # as above
        alone, context=context, client_configuration=settings
    )


def _named(document: Mapping[str, Any], part: str, name: str, key: str) -> dict[str, Any] | None:
    for each in _list(document, part):
        if each["name"] == name:
            return cast("dict[str, Any]", each.get(key) or {})
    return None


def _list(document: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    value = document.get(part) or []
    return [each for each in value if isinstance(each, dict) and "name" in each]


def _invalid(path: Path, why: str, fix: str) -> InvalidInputError:
    message = f"kubeconfig {str(path)!r}: {why}"
    return InvalidInputError(str(path), [Fault(code=CODE, message=message, fix=fix)])
