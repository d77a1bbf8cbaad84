"""The place of one model: the versions in service, who gets which, the swap and the way back.

What serves is one immutable reference. A swap replaces it in one step, so a request sees either
the old model, schema and settings or the new ones, never parts of both; a request that began with
the old one ends with it. What served before stays loaded, so that going back takes no loading.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.model.errors import RefusedError
from executors.serving.runtime.faults import RequestError, not_found
from executors.serving.runtime.servables import Servable
from executors.serving.runtime.settings import Routing
from executors.serving.runtime.tensors import Array, Tensor

_LOG = logging.getLogger(__name__)
_PERCENT = 100.0
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """Versions in service with their routing. `named` finds them by version and by alias."""

    versions: tuple[Servable, ...]
    default: Servable
    routing: Routing
    named: Mapping[str, Servable]

    @classmethod
    def of(cls, versions: Sequence[Servable], default: str, routing: Routing) -> Deployed:
        """Put versions into service together.

        Raises:
            RefusedError: when the default or the routing names a version that is not among them.
        """
        named: dict[str, Servable] = {}
        for servable in versions:
            named |= dict.fromkeys(servable.aliases, servable)
        named |= {servable.version: servable for servable in versions}
        unknown = sorted(({default} | routing.versions) - {*named, ""})
        if unknown or not versions:
            message = f"the settings name the versions {unknown}, loaded are {sorted(named)}"
            raise RefusedError(message, fix="load them too, or correct the settings")
        chosen = named[default] if default else versions[-1]
        return cls(versions=tuple(versions), default=chosen, routing=routing, named=named)


@dataclass(slots=True)
class ShadowCounts:
    """How often a shadow answered as the default did, otherwise, or not at all."""

    equal: int = 0
    different: int = 0
    failed: int = 0


@dataclass(slots=True)
class Slot:
    """The place of a model. Used by the thread of the event loop.

    previous: what served before the last swap, ready to come back.
    """

    name: str
    current: Deployed
    previous: Deployed | None = None
    shadows: ShadowCounts = field(default_factory=ShadowCounts)
    _turn: float = 0.0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def choose(self, version: str, headers: Mapping[str, str]) -> Servable:
        """Return the version that answers a request.

        Order: the version asked for, the variant of a header, the canary's share, the default.
        The share is spread evenly, without chance: at 10 percent every tenth request.

        Raises:
            RequestError: when the version is not served.
        """
        current = self.current
        if version:
            found = current.named.get(version)
            if found is None:
                served = ", ".join(servable.version for servable in current.versions)
                message = f"version {version!r} of model {self.name!r} is not served, but {served}"
                raise not_found(message)
            return found
        routing = current.routing
        if routing.header:
            variant = routing.variants.get(headers.get(routing.header.lower(), ""))
            if variant:
                return current.named[variant]
        if routing.canary:
            self._turn += routing.canary_percent
            if self._turn >= _PERCENT:
                self._turn -= _PERCENT
                return current.named[routing.canary]
        return current.default

    def mirror(self, asked: Servable, tensors: Sequence[Tensor], answer: list[Array]) -> None:
        """Let the shadow, where there is one, answer a request that has been answered."""
        shadow = self.current.named.get(self.current.routing.shadow)
        if shadow is not None and shadow is not asked:
            self._spawn(self._shadow(shadow, asked, list(tensors), answer))

    def switch(self, following: Deployed) -> None:
        """Serve other versions from the next request on; those of two swaps ago are freed."""
        before, oldest = self.current, self.previous
        self.current, self.previous = following, before
        if oldest is not None:
            self._free(oldest)

    def go_back(self) -> Deployed:
        """Serve what served before.

        Raises:
            RefusedError: when nothing did.
        """
        if self.previous is None:
            message = f"model {self.name!r} has had no other version since the server started"
            raise RefusedError(message, fix="load the version that is wanted")
        self.current, self.previous = self.previous, self.current
        return self.current

    async def close(self) -> None:
        """Free all versions, when their requests have ended."""
        kept = [*self.current.versions, *(self.previous.versions if self.previous else ())]
        for servable in {id(each): each for each in kept}.values():
            await servable.close()
        for task in list(self._tasks):
            await task

    def _free(self, old: Deployed) -> None:
        """Close versions that serve nowhere any more."""
        kept = [*self.current.versions, *(self.previous.versions if self.previous else ())]
        for servable in old.versions:
            if all(servable is not each for each in kept):
                self._spawn(servable.close())

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shadow(
        self, shadow: Servable, asked: Servable, tensors: list[Tensor], answer: list[Array]
    ) -> None:
        """Let a shadow answer; its answer is compared by output name and thrown away."""
        try:
            found = await shadow.infer(tensors, float("inf"))
        except RequestError as error:
            self.shadows.failed += 1
            _LOG.debug("shadow %s of %s failed: %s", shadow.version, self.name, error)
            return
        own = {spec.name: array for spec, array in zip(asked.outputs, answer, strict=True)}
        both = [
            (own[spec.name], array)
            for spec, array in zip(shadow.outputs, found, strict=True)
            if spec.name in own
        ]
        if both and all(_alike(one, other) for one, other in both):
            self.shadows.equal += 1
        else:
            self.shadows.different += 1


def _alike(one: Array, other: Array) -> bool:
    """Say whether two outputs are equal but for rounding."""
    if one.shape != other.shape:
        return False
    if "O" in {one.dtype.kind, other.dtype.kind}:
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True))
