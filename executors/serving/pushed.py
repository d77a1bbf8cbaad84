"""What a push brings to a server over a folder: its package becomes the next version there.

The registry of the data folder keeps what was pushed. A server that starts anew serves the same,
since the folder says what that is.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from engine.model.errors import RefusedError
from engine.model.identifiers import Digest
from executors.local.artifacts import storage
from executors.packaging import images
from executors.packaging.registry import OciRegistry
from executors.packaging.security.policies.gate import CODE, Gate
from executors.packaging.security.policies.policy import AllowedPickle
from executors.serving.runtime import settings as settings_file
from executors.serving.runtime.shelf import Shelf, versions_in
from executors.serving.runtime.slots import Slot

_LAYOUT = "oci-layout"


class Pushed:
    """Serves packages by digest. Used by the thread of the event loop.

    shelf: the models of the server. folder: where it finds them. registry: what was pushed.
    """

    def __init__(self, shelf: Shelf, folder: Path, registry: OciRegistry) -> None:
        self._shelf = shelf
        self._folder = folder
        self._registry = registry
        self._bringing = asyncio.Lock()

    async def load(self, name: str, digest: str) -> Slot:
        """Serve the package of a digest; until it is loaded and proved, what serves goes on.

        Raises:
            NotFoundError: when the registry does not have it.
            DamagedError: when it is not what it says it is; nothing changed.
            RefusedError: when the policy, or the model's own settings, refuse it.
            RetryableError: when it cannot be kept in the folder, as on a full disk.
        """
        async with self._bringing:
            version, is_new = await asyncio.to_thread(self._place, name, digest)
            try:
                return await self._shelf.load(name)
            except BaseException:  # also when the server is ended meanwhile
                if is_new:
                    await asyncio.to_thread(shutil.rmtree, version)
                raise

    def _place(self, name: str, digest: str) -> tuple[Path, bool]:
        """Return the folder of the version that holds a package, and whether it was made now."""
        layout = self._registry.layout(name)  # refuses what is no name of a folder
        model = self._folder / layout.name
        there = versions_in(model) if model.is_dir() else []
        chosen = settings_file.read(model)
        if chosen.versions or chosen.default or not all(each.isdigit() for each in there):
            message = f"{str(model)!r} says itself which version of {name!r} serves"
            fix = f"leave `versions` and `default` out of {settings_file.FILE}, and number versions"
            raise RefusedError(message, fix=fix)
        if there and _holds(model / there[-1], digest):
            return model / there[-1], False
        version = model / str(int(there[-1]) + 1 if there else 1)
        with storage(f"keep model {name!r} in"):
            self._registry.fetch(name, Digest(digest), version)
        return version, True


def admit(gate: Gate, folder: Path) -> AllowedPickle | None:
    """Ask the policy whether a version may be loaded; return by whose leave it holds a pickle.

    Raises:
        RefusedError: when it may not. A bare file has no signature and no provenance.
        InvalidInputError: when the policy has faults.
    """
    if (folder / _LAYOUT).is_file():
        return gate.check(folder).pickle
    policy = gate.policy()
    if policy.keys or policy.builders:
        message = f"policy {policy.name!r} wants signed packages, {str(folder)!r} holds a bare file"
        raise RefusedError(message, fix="package it and sign the package", code=CODE)
    return None


def _holds(version: Path, digest: str) -> bool:
    """Say whether a version is the package of a digest."""
    if not (version / _LAYOUT).is_file():
        return False
    return any(entry["digest"] == digest for entry in images.read_index(version))
