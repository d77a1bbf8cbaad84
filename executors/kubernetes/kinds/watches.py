"""Caches of the optional kinds of one cluster, begun once it is known which it has."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from engine.model.errors import BerthError
from executors.kubernetes.api import Document
from executors.kubernetes.kinds import addresses, devices, gangs, inference, routes
from executors.kubernetes.kinds.spoken import Spoken
from executors.kubernetes.reflector import Reflector

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

Keep = Callable[[Document], Document]
MakeReflector = Callable[[str, Keep, str], Reflector]
"""From a path, what is read of an object, and a label selector, to a cache that was not begun."""


class Watches:
    """ours: label selector of what the installation made."""

    def __init__(self, spoken: Spoken, make: MakeReflector, namespace: str, ours: str) -> None:
        self.spoken = spoken
        self.gangs: Reflector | None = None
        self.routes: Reflector | None = None
        self.inference: Reflector | None = None
        self.slices: Reflector | None = None
        self._make = make
        self._namespace = namespace
        self._ours = ours

    def begin_work(self) -> None:
        """Begin to watch gangs, where they are no Jobs."""
        if self.gangs is None:
            kind = self._asked(lambda: self.spoken.gangs)
            if kind and kind != addresses.JOB:
                self.gangs = self._begun(kind, gangs.keep)

    def begin_serving(self) -> None:
        """Begin to watch what servers have beside Services and Deployments."""
        if self.routes is None and self._asked(lambda: self.spoken.routes):
            self.routes = self._begun(addresses.HTTP_ROUTE, routes.keep)
        if self.inference is None and self._asked(lambda: self.spoken.inference):
            self.inference = self._begun(addresses.INFERENCE_SERVICE, inference.keep)

    def begin_nodes(self) -> None:
        """Begin to watch the devices of nodes, where GPUs are claimed."""
        if self.slices is None and self._asked(lambda: self.spoken.claims):
            self.slices = self._make(devices.SLICES, devices.keep_slice, "")
            self.slices.start()

    def reflectors(self) -> list[Reflector | None]:
        """Return every cache, None for those that were not begun."""
        return [self.gangs, self.routes, self.inference, self.slices]

    @staticmethod
    def _asked(question: Callable[[], T]) -> T | None:
        """Return an answer, None while the cluster gives none."""
        try:
            return question()
        except BerthError as error:
            _LOG.info("what the cluster speaks is not known yet: %s", error.message)
            return None

    def _begun(self, kind: str, keep: Keep) -> Reflector:
        made = self._make(addresses.KINDS[kind].path(self._namespace), keep, self._ours)
        made.start()
        return made
