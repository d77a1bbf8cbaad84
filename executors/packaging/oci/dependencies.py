"""The layer of a model's Python libraries, made by uv (or pip) from its requirements.

Requirements are first resolved to a lock (every version exact), so that the layer's key says what
is in it. Bytecode is optional; it is checked by nothing but its own presence (UNCHECKED_HASH, PEP
552), since files of a layer have no times by which timestamps could be compared.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engine.model.errors import Fault, InvalidInputError, NotFoundError, RetryableError
from executors.packaging import archives
from executors.packaging.oci.layers import Layer, LayerCache, Role, key_of

SITE = "opt/berth/site"
"""Where the libraries stand in the image."""
_PLATFORM = "x86_64-manylinux_2_28"
_LEFT_OUT = ("bin", "uv_cache.json", ".lock", ".gitignore", "CACHEDIR.TAG")
_SECONDS_MAX = 900.0
_SAID_LINES = 12
_NETWORK = re.compile(
    r"(?i)connect|timed out|temporary failure|dns|network|could not be reached|50[234] "
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Libraries that a model asks for.

    requirements: as in `requirements.txt`; version: of Python, as 3.11; is_compiled: whether
    bytecode stands in the layer, which makes it slower to build and quicker to start.
    """

    requirements: str
    version: str
    is_compiled: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to install."""
        lines = (line.partition("#")[0].strip() for line in self.requirements.splitlines())
        return not any(lines)

    @property
    def key(self) -> str:
        """What the layer is kept by: the requirements and all that changes what becomes of them."""
        lines = sorted(line.strip() for line in self.requirements.splitlines() if line.strip())
        flags = f"{self.version} {_PLATFORM} compiled={self.is_compiled} {archives.COMPRESSOR}"
        return key_of("dependencies", flags, *lines)


class Installer:
    """Runs uv, or pip where there is no uv.

    environment: `BERTH_UV` names the program; `UV_*`, `PIP_*` and proxies are passed on.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._uv = find_uv(environment)

    def layer(self, wanted: Wanted, cache: LayerCache) -> Layer:
        """Return the layer of some libraries, made where the cache does not have it.

        Raises:
            InvalidInputError: when the requirements do not resolve; with what is at fault.
            RetryableError: when the index does not answer.
        """
        found = cache.find(wanted.key)
        if found is not None:
            return found
        with tempfile.TemporaryDirectory(prefix="berth-dependencies-") as folder:
            site = Path(folder) / "site"
            self.install(wanted, site)

            def write(sink: IO[bytes]) -> None:
                archives.pack_tree(site, SITE, sink, leave_out=_left_out(wanted))

            return cache.make(wanted.key, Role.DEPENDENCIES, write)

    def lock(self, requirements: str, version: str) -> str:
        """Return requirements with every version exact, those of dependencies included.

        Raises:
            NotFoundError: when there is no uv.
            InvalidInputError, RetryableError: as `layer`.
        """
        if self._uv is None:
            message = "locking requirements needs uv, which is not installed"
            raise NotFoundError(message, fix="pip install uv, or set BERTH_UV")
        with tempfile.TemporaryDirectory(prefix="berth-lock-") as folder:
            source = Path(folder) / "requirements.in"
            source.write_text(requirements, encoding="utf-8")
            options = ["--python-version", version, "--python-platform", _PLATFORM]
            command = [self._uv, "pip", "compile", "-q", "--no-header", "--no-annotate"]
            return self._run([*command, *options, str(source)])

    def install(self, wanted: Wanted, site: Path) -> None:
        """Install libraries into a folder; raises as `layer`."""
        source = site.with_name("requirements.txt")
        source.write_text(wanted.requirements, encoding="utf-8")
        where = ["--target", str(site), "--only-binary", ":all:", "-r", str(source)]
        if self._uv is not None:
            how = ["--python-version", wanted.version, "--python-platform", _PLATFORM]
            python = ["--python", sys.executable, "--link-mode", "hardlink"]
            compiling = ["--compile-bytecode"] if wanted.is_compiled else []
            self._run([self._uv, "pip", "install", "-q", *how, *python, *compiling, *where])
            return
        how = ["--python-version", wanted.version, "--platform", "manylinux_2_28_x86_64"]
        how += ["--platform", "manylinux2014_x86_64", "--no-compile"]
        self._run([sys.executable, "-m", "pip", "install", "-q", *how, *where])
        if wanted.is_compiled:
            compile_ = [sys.executable, "-m", "compileall", "-q", "-j", "0"]
            self._run([*compile_, "--invalidation-mode", "unchecked-hash", str(site)])

    def _run(self, command: Sequence[str]) -> str:
        """Run the installer; return what it printed."""
        variables = {**self._environment, "PYC_INVALIDATION_MODE": "UNCHECKED_HASH"}
        variables.setdefault("UV_PYTHON_DOWNLOADS", "never")
        try:
            done = subprocess.run(
                command, env=variables, capture_output=True, timeout=_SECONDS_MAX, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            message = f"{Path(command[0]).name} cannot install the requirements: {error}"
            raise RetryableError(message, fix="repeat when the index is well") from error
        if done.returncode:
            raise _failure(done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace")


def _failure(said: str) -> InvalidInputError | RetryableError:
    """Return what an installer's words mean: a fault of the requirements, or of the network."""
    lines = [
        line.strip(" \u2502\u2570\u2500\u25b6\u00d7\u256d\u256e\u256f")
        for line in said.strip().splitlines()
    ]
    text = " ".join(line for line in lines[-_SAID_LINES:] if line)
    is_unsolvable = "No solution found" in said or "No matching distribution" in said
    if _NETWORK.search(text) and not is_unsolvable:
        fix = "repeat when the index is well"
        return RetryableError(f"the package index does not answer: {text}", fix=fix)
    fault = Fault(
        code="M001",
        message=f"the requirements cannot be installed: {text}",
        path="requirements.txt",
        fix="change the requirement that it names, then `berth model push` again",
    )
    return InvalidInputError("requirements.txt", [fault])


def _left_out(wanted: Wanted) -> tuple[str, ...]:
    return _LEFT_OUT if wanted.is_compiled else (*_LEFT_OUT, "__pycache__")


def find_uv(environment: Mapping[str, str]) -> str | None:
    """Return the program uv: `BERTH_UV`, beside this interpreter, or on the path."""
    given = environment.get("BERTH_UV")
    beside = Path(sys.executable).with_name("uv")
    if given:
        return given
    if os.access(beside, os.X_OK):
        return str(beside)
    return shutil.which("uv", path=environment.get("PATH"))
