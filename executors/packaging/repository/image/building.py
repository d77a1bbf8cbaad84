"""Images of pushed models: built, their libraries unpacked for tests, pushed, attachments too."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from engine.model.errors import BerthError
from engine.model.identifiers import Digest
from executors.packaging import archives, images
from executors.packaging.oci import bases, distribution
from executors.packaging.oci.builder import Builder, Built, Recipe, write_context
from executors.packaging.oci.dependencies import Installer, Wanted
from executors.packaging.oci.distribution import Registry
from executors.packaging.oci.layers import Layer, LayerCache, Role
from executors.packaging.repository.package import Package
from executors.packaging.repository.settings import ModelSettings
from executors.packaging.repository.surroundings import Surroundings
from executors.packaging.security import attachments, layouts
from executors.packaging.security.sandbox import calls

_LIBRARIES = frozenset({"site-packages", "dist-packages"})


class Images:
    """Builds and pushes images of models. May be used from several threads.

    root: where layers are kept. environment: as `Builder` wants it.
    """

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = environment
        self._builder: Builder | None = None
        self._open: dict[tuple[str, str], Registry] = {}
        self._guard = threading.Lock()

    def close(self) -> None:
        """Close the connections to registries."""
        with self._guard:
            while self._open:
                self._open.popitem()[1].close()

    @property
    def cache(self) -> LayerCache:
        """What keeps layers."""
        return self._make().cache

    def build(self, package: Package, commit: str) -> Built:
        """Return the image of a commit; raises as `Builder.build`."""
        return self._make().build(_recipe(package, commit))

    def context(self, package: Package, commit: str, folder: Path) -> Path:
        """Write a Dockerfile, with all it needs, that builds the image of a commit."""
        recipe = _recipe(package, commit)
        builder = self._make()
        return write_context(builder.build(recipe), recipe, builder.base(recipe), folder)

    # --------------------------------------------------------------- libraries

    def site(self, package: Package) -> Path | None:
        """Return the layer of a model's libraries, unpacked; None where it asks for none."""
        builder = self._make()
        wanted = Wanted(
            requirements=package.requirements,
            version=builder.base(_recipe(package, "")).version,
            is_compiled=package.settings.is_compiled,
        )
        if wanted.is_empty:
            return None
        layer = Installer(self._environment).layer(wanted, builder.cache)
        target = self._unpacked(layer)
        if not target.exists() and layer.path is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            with layer.path.open("rb") as file:
                archives.unpack(file, "the layer of libraries", target)
        return target / "opt" / "berth" / "site"

    def surroundings(self, package: Package) -> Surroundings:
        """Return what the image's server has around it; its layers are unpacked for that."""
        base = self._make().base(_recipe(package, ""))
        site = self.site(package)
        libraries = [site] if site else []
        if base.name != bases.DEBIAN:
            for layer in reversed(base.layers):
                libraries += self._libraries_of(layer)
        return Surroundings(
            kind=package.settings.format, libraries=tuple(libraries), version=base.version
        )

    def _libraries_of(self, layer: Layer) -> list[Path]:
        """Return the folders of Python libraries that a layer of a base brings, unpacked."""
        target = self._unpacked(layer)
        if not target.exists():
            partial = target.with_name(f".{target.name}.{threading.get_ident()}")
            partial.mkdir(parents=True)
            try:
                calls.unpack_named(cast("Path", layer.path), partial, _LIBRARIES)
            except BerthError:
                shutil.rmtree(partial)
                raise
            if target.exists():
                shutil.rmtree(partial)
            else:
                partial.rename(target)
        return sorted(path for path in target.rglob("*-packages") if path.name in _LIBRARIES)

    def _unpacked(self, layer: Layer) -> Path:
        return self._root / "sites" / layer.diff_id.removeprefix("sha256:")

    # -------------------------------------------------------------------- push

    def push(self, given: ModelSettings, built: Built, commit: str) -> str:
        """Push the image where the model has a registry; return where it is, "" for nowhere.

        Raises:
            UnreachableError, RefusedError: as `Registry.push`.
        """
        if not given.image:
            return ""
        registry = self._registry(given, "image")
        reference = registry.reference
        tags = (reference.tag if reference.tag != distribution.LATEST else commit[:12],)
        digest = registry.push(built.layers, built.config, built.manifest, tags=tags)
        return f"{reference.host}/{reference.repository}@{digest}"

    def send(self, given: ModelSettings, built: Built) -> None:
        """Send the blobs of an image ahead, which nobody names yet; raises as `push`."""
        if given.image:
            self._registry(given, "image").send(built.layers, built.config)

    def push_attached(self, given: ModelSettings, layout: Path) -> None:
        """Push what is attached in a layout beside the image; raises as `push`.

        It goes by a connection of its own, so that it may go beside the image.
        """
        if not given.image:
            return
        registry = self._registry(given, "attached")
        folder = layout / attachments.FOLDER
        for tag, data in attachments.manifests(layout):
            manifest = layouts.json_object(data, tag)
            config = images.blob_path(folder, manifest["config"]["digest"]).read_bytes()
            layers = [_part(folder, entry) for entry in manifest["layers"]]
            registry.push(layers, config, data, tags=(tag,))

    def _registry(self, given: ModelSettings, purpose: str) -> Registry:
        """Return the connection of one model for one purpose; one thread uses it at a time."""
        key = (f"{given.name} {given.image}", purpose)
        with self._guard:
            if key not in self._open:
                self._open[key] = Registry(reference_of(given), self._environment)
            return self._open[key]

    def _make(self) -> Builder:
        with self._guard:
            if self._builder is None:
                self._builder = Builder(self._root, self._environment)
            return self._builder


def reference_of(given: ModelSettings) -> distribution.Reference:
    """Return where the image of a model is pushed.

    Raises:
        RefusedError: when that is no image in a registry.
    """
    named = ":" in given.image.rpartition("/")[2]
    return distribution.parse(given.image if named else f"{given.image}:{distribution.LATEST}")


def described(package: Package, commit: str) -> dict[str, str]:
    """Return the labels of an image."""
    return {
        "org.opencontainers.image.title": package.settings.name,
        "org.opencontainers.image.revision": commit,
        "berth.family": package.settings.family,
    }


def below_model(built: Built) -> Iterator[Layer]:
    """Yield the layers of an image but for that of the model, the base first."""
    return (layer for layer in built.layers if layer.role is not Role.MODEL)


def _recipe(package: Package, commit: str) -> Recipe:
    given = package.settings
    return Recipe(
        name=given.name,
        files=package.files,
        requirements=package.requirements,
        base=given.base,
        python=given.python,
        is_compiled=given.is_compiled,
        labels=described(package, commit),
    )


def _part(folder: Path, entry: Mapping[str, object]) -> Layer:
    """Return a part of an attachment as it is pushed."""
    digest = Digest(str(entry["digest"]))
    data = images.blob_path(folder, digest).read_bytes()
    return Layer(
        role=Role.MODEL,
        digest=digest,
        diff_id=digest,
        size_bytes=len(data),
        media_type=str(entry["mediaType"]),
        data=data,
    )
