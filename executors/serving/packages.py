"""Finds the package that a digest stands for: a folder, the registry, or the artefact store."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.model.errors import BerthError, NotFoundError
from engine.model.identifiers import Digest
from executors.local.artifacts import FolderArtifacts
from executors.packaging import images
from executors.packaging.images import Image
from executors.packaging.registry import SERVING, OciRegistry
from executors.packaging.security.policies.gate import Gate
from executors.packaging.security.policies.policy import AllowedPickle
from executors.serving import models
from executors.serving.models import ServedModel
from executors.serving.runtime.processes import Processes

_LOG = logging.getLogger(__name__)


class Packages:
    """Loads models by digest.

    environment: variables of the task: `BERTH_MODELS` (registry), `BERTH_ARTIFACTS` (store) and
    those of the policy, which is asked before anything is loaded.
    """

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        registry = environment.get("BERTH_MODELS")
        self._registry = OciRegistry(Path(registry)) if registry else None
        self._artifacts = environment.get("BERTH_ARTIFACTS")
        self._gate = Gate(environment)
        self.processes = Processes()

    def load(self, digest: str, layout: Path | None = None) -> ServedModel:
        """Load and check the package of a digest: that of its manifest or of its artefact.

        layout: a folder that holds it, where the caller knows one.

        Raises:
            NotFoundError: when nothing has this digest.
            DamagedError: when the package is not what it says it is.
            RefusedError: when the policy refuses it.
        """
        image, leave = self._image(digest, layout)
        pickle = leave.digest if leave is not None else ""
        model = models.load(image, frozenset({digest}), self.processes, pickle=pickle)
        return replace(model, pickle=leave.said) if leave is not None else model

    def note_serving(self, model: ServedModel) -> None:
        """Tag the image that serves now, where the registry has it.

        What serves does not depend on the tag, so a registry that fails is only logged.
        """
        try:
            if self._registry and model.digest in self._registry.images(self._name):
                self._registry.tag(self._name, model.digest, SERVING)
        except (OSError, BerthError) as error:
            _LOG.warning("the registry does not know what serves: %s", error)

    def _image(self, digest: str, layout: Path | None) -> tuple[Image, AllowedPickle | None]:
        if layout is not None:
            return self._checked(layout)
        if self._registry and digest in self._registry.images(self._name):
            return self._checked(self._registry.layout(self._name), digest)
        if not self._artifacts:
            raise NotFoundError(f"no package has the digest {digest!r}")
        with tempfile.TemporaryDirectory(prefix="berth-package-") as scratch:
            target = Path(scratch) / "package"
            store = FolderArtifacts(Path(self._artifacts))
            store.lay_out(Digest(digest), target, durable=False)
            return self._checked(target)

    def _checked(
        self, layout: Path, digest: str | None = None
    ) -> tuple[Image, AllowedPickle | None]:
        """Read an image that the policy allows; return by whose leave it holds a pickle."""
        verdict = self._gate.check(layout, digest)
        return images.read_image(layout, verdict.digest), verdict.pickle
