"""Models in repositories: what was pushed, released, promoted, and taken back."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from api.messages import modelling
from api.wiring.parts import Parts
from engine.model.errors import BerthError, UnreachableError
from engine.model.identifiers import Digest
from executors.packaging.repository import git, weights
from executors.packaging.repository.delivery import Delivery
from executors.packaging.repository.gates import Gate
from executors.packaging.repository.releases import Event, Stage
from executors.packaging.triggers.webhooks import Tracked, Webhooks
from executors.serving import HttpModelServer

_LOG = logging.getLogger("berth.models")
_WAITING_MAX = 16
"""Deliveries of webhooks that may wait for each other; more are told to come again."""


class ModelDesk:
    """Answers what concerns models in repositories. May be used from several threads.

    is_engine: whether it belongs to an engine, which awaits pushes.
    """

    def __init__(self, parts: Parts, *, is_engine: bool = False) -> None:
        home = parts.settings.home
        self.delivery = Delivery(
            home,
            HttpModelServer(),
            parts.clock,
            os.environ,
            command=f"BERTH_HOME={shlex.quote(str(home))} {shlex.quote(sys.executable)} -m berth",
            is_awaiting=is_engine,
        )
        self._clock = parts.clock
        self._webhooks = Webhooks(home / "webhooks")
        self._waiting = threading.Semaphore(_WAITING_MAX)

    def create(self, name: str) -> Path:
        """Make the repository of a model; return it."""
        return self.delivery.create(name)

    def deliver(self, name: str, commit: str = "") -> modelling.DeliveryAnswer:
        """Take a commit through tests and image to its servers."""
        found = self.delivery.deliver(name, commit)
        return modelling.DeliveryAnswer(
            name=name,
            commit=found.commit,
            package=found.package,
            image=found.image,
            gates=gate_answers(found.gates),
            stages=tuple(stage.value for stage in found.stages),
            seconds=found.seconds,
        )

    def models(self) -> tuple[modelling.ModelSummary, ...]:
        """Return all models with what they serve."""
        found = []
        for name in self.delivery.names():
            journal = self.delivery.journal(name)
            released = [e for e in journal.events() if e.kind.value == "released"]
            serving = {stage: journal.serving(stage) for stage in Stage}
            packages = {stage: (e.package or "") if e else "" for stage, e in serving.items()}
            found.append(
                modelling.ModelSummary(
                    name=name,
                    repository=str(self.delivery.repository(name)),
                    newest=(released[-1].package or "") if released else "",
                    test=packages[Stage.TEST],
                    production=packages[Stage.PRODUCTION],
                )
            )
        return tuple(found)

    def releases(self, name: str) -> tuple[modelling.ReleaseEvent, ...]:
        """Return what became of a model's pushes, newest first."""
        events = self.delivery.journal(name).events()
        return tuple(_event(name, event) for event in reversed(events))

    def promote(self, name: str, release: str = "") -> modelling.ReleaseEvent:
        """Serve a release in production."""
        return _event(name, self.delivery.promote(name, release))

    def roll_back(self, name: str) -> modelling.ReleaseEvent:
        """Serve in production what served before."""
        return _event(name, self.delivery.roll_back(name))

    def weights(self, name: str, artifact: str) -> bytes:
        """Return weights of a model by the digest of their artefact.

        Raises:
            NotFoundError: when there is no such model, or no such weights.
        """
        self.delivery.journal(name)
        return weights.of_artifact(Digest(artifact), self.delivery.artifacts)

    # ---------------------------------------------------------------- webhooks

    def track(self, name: str, remote: str, project: str) -> Tracked:
        """Take pushes of a repository on a git host."""
        self.delivery.create(name)
        return self._webhooks.track(name, remote, project)

    def webhook(
        self, name: str, headers: Mapping[str, str], body: bytes
    ) -> modelling.WebhookAnswer:
        """Check a webhook's message, and begin to deliver what it tells of.

        Raises:
            RefusedError: when the sender is not proven, or the message is old or came before.
            UnreachableError: when too many deliveries wait already.
        """
        tracked, push = self._webhooks.receive(name, headers, body, now=self._clock.now())
        if push.commit:
            if not self._waiting.acquire(blocking=False):
                message = f"{_WAITING_MAX} deliveries wait already"
                raise UnreachableError(message, fix="push again in a minute")
            thread = threading.Thread(target=self._fetched, args=(tracked, push.commit))
            thread.daemon = True
            thread.start()
        return modelling.WebhookAnswer(name=name, commit=push.commit)

    def _fetched(self, tracked: Tracked, commit: str) -> None:
        """Fetch and deliver; the journal and the log say how it went."""
        try:
            git.fetch(self.delivery.repository(tracked.name), tracked.remote)
            self.delivery.deliver(tracked.name, commit)
        except BerthError as error:
            _LOG.warning("commit %s of model %s: %s", commit[:12], tracked.name, error.message)
        finally:
            self._waiting.release()


def gate_answers(judged: tuple[Gate, ...]) -> tuple[modelling.GateAnswer, ...]:
    """Return tests as they are told."""
    return tuple(modelling.GateAnswer(name=g.name, holds=g.holds, said=g.said) for g in judged)


def _event(name: str, event: Event) -> modelling.ReleaseEvent:
    return modelling.ReleaseEvent(
        name=name,
        at=event.at,
        kind=event.kind.value,
        commit=event.commit,
        package=event.package or "",
        image=event.image,
        stage=event.stage,
        reason=event.reason,
    )
