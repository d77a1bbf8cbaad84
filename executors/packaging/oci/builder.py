"""A recipe becomes an image: base, libraries, runtime and model, one layer after the other.

Nothing is run in the image and nothing needs a right: layers are files, and the manifest names
them. The same recipe gives the same digest, wherever and whenever it is built.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from engine.model.identifiers import Digest
from executors.packaging import archives, images
from executors.packaging.oci import bases
from executors.packaging.oci.bases import Base
from executors.packaging.oci.dependencies import SITE, Installer, Wanted
from executors.packaging.oci.layers import Layer, LayerCache, Role, key_of, model_layer

PORT = 8080
"""Where the image's server listens, unless the variable PORT says otherwise."""
USER = "65532:65532"
_RUNTIME = "opt/berth/serve.py"
_SERVER = Path(__file__).parents[1] / "runtime" / "serve.py"
_PASSWD = b"root:x:0:0:root:/root:/sbin/nologin\nmodel:x:65532:65532:model:/tmp:/sbin/nologin\n"
_GROUP = b"root:x:0:\nmodel:x:65532:\n"
_CREATED = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that an image is made of.

    files: of the model, by path below `/models`. base: `debian:bookworm`, or an image in a
    registry. is_compiled: whether bytecode of the libraries stands in the image.
    """

    name: str
    files: Mapping[str, bytes]
    requirements: str = ""
    base: str = bases.DEBIAN
    python: str = "python3"
    is_compiled: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that is built. `layers` from the lowest up; the last is the model."""

    digest: Digest
    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all blobs as they are pushed."""
        return len(self.config) + sum(layer.size_bytes for layer in self.layers)

    @property
    def model(self) -> Layer:
        """The layer of the model."""
        return self.layers[-1]


class Builder:
    """Builds images. What was made once is kept below `root`.

    environment: as `dependencies.Installer` and `distribution.Registry` want it.
    """

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.cache = LayerCache(root)
        self._environment = environment
        self._bases: dict[tuple[str, str], Base] = {}

    def build(self, recipe: Recipe) -> Built:
        """Return the image of a recipe.

        Raises:
            NotFoundError: when the base is not there.
            InvalidInputError: when the requirements do not resolve.
            RetryableError: when Debian's archive, the index or the registry does not answer.
        """
        base = self.base(recipe)
        wanted = Wanted(
            requirements=recipe.requirements, version=base.version, is_compiled=recipe.is_compiled
        )
        layers = [*base.layers]
        if not wanted.is_empty:
            layers.append(Installer(self._environment).layer(wanted, self.cache))
        layers += [self._runtime(), model_layer(recipe.files)]
        config = images.canonical(_config(recipe, base, layers))
        return built_of(config, layers, recipe.labels)

    def base(self, recipe: Recipe) -> Base:
        """Return the base of a recipe; of several builds only the first looks for it."""
        key = (recipe.base, recipe.python)
        if key not in self._bases:
            self._bases[key] = bases.find(
                recipe.base, self.cache, self._environment, python=recipe.python
            )
        return self._bases[key]

    def _runtime(self) -> Layer:
        """Return the layer with the server and the user it runs as."""
        server = _SERVER.read_bytes()
        key = key_of("runtime", images.digest_of(server), archives.COMPRESSOR)
        files = {_RUNTIME: server, "etc/passwd": _PASSWD, "etc/group": _GROUP}

        def write(sink: IO[bytes]) -> None:
            sink.write(archives.pack_files(files))

        return self.cache.find(key) or self.cache.make(key, Role.RUNTIME, write)


def built_of(
    config: bytes, layers: Sequence[Layer], labels: Mapping[str, str] | None = None
) -> Built:
    """Return an image of a configuration and layers; labels become annotations. Pure."""
    document = {
        "schemaVersion": 2,
        "mediaType": images.MANIFEST_TYPE,
        "config": {
            "mediaType": images.CONFIG_TYPE,
            "digest": images.digest_of(config),
            "size": len(config),
        },
        "layers": [layer.descriptor() for layer in layers],
    }
    if labels is not None:
        document["annotations"] = dict(labels)
    manifest = images.canonical(document)
    return Built(
        digest=images.digest_of(manifest), manifest=manifest, config=config, layers=tuple(layers)
    )


def _config(recipe: Recipe, base: Base, layers: Sequence[Layer]) -> dict[str, Any]:
    """Return the image's configuration (image-spec 1.1)."""
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": _CREATED,
        "config": {
            "Entrypoint": entrypoint(base),
            "Env": variables(base),
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "Labels": dict(recipe.labels),
            "User": USER,
            "WorkingDir": "/models",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [
            {"created": _CREATED, "created_by": f"berth {layer.role.value}"} for layer in layers
        ],
    }


def entrypoint(base: Base) -> list[str]:
    """Return what an image runs."""
    return [base.python, f"/{_RUNTIME}"]


def variables(base: Base) -> list[str]:
    """Return the variables of an image: those of its base, and where the libraries stand."""
    ours = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": f"/{SITE}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
    }
    given = {entry.partition("=")[0]: entry.partition("=")[2] for entry in base.environment}
    return [f"{name}={value}" for name, value in sorted({**ours, **given, **_forced(ours)}.items())]


def _forced(ours: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in ours.items() if name != "PATH"}


def write_context(built: Built, recipe: Recipe, base: Base, folder: Path) -> Path:
    """Write a Dockerfile and all it needs, which builds the same tree of files and runs the same.

    For those who build with buildah or docker; the layers are linked, not copied, where they can
    be. Returns the Dockerfile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"# The image {built.digest} of {recipe.name}, for buildah or docker."]
    lines += ["FROM scratch" if base.name == bases.DEBIAN else f"FROM {base.name}"]
    for number, layer in enumerate(built.layers):
        if layer.role is Role.BASE and base.name != bases.DEBIAN:
            continue
        suffix = "tar" if layer.media_type == images.LAYER_TYPE else "tar.gz"
        name = f"{number}-{layer.role.value}.{suffix}"
        _place(layer, folder / name)
        lines += [f"ADD {name} /"]
    lines += [f'ENV {name}="{value}"' for name, _, value in _split(variables(base))]
    lines += [f'LABEL {name}="{value}"' for name, value in sorted(recipe.labels.items())]
    lines += [f"EXPOSE {PORT}", f"USER {USER}", "WORKDIR /models"]
    lines += ["ENTRYPOINT " + images.canonical(entrypoint(base)).decode()]
    path = folder / "Dockerfile"
    images.write_file(path, ("\n".join(lines) + "\n").encode())
    return path


def write_layout(built: Built, layout: Path) -> None:
    """Write an image as a layout for programs of this machine; layers are linked where they can be.

    It is to be thrown away: what is linked is not to be changed there.
    """
    (layout / "blobs" / "sha256").mkdir(parents=True)
    for layer in built.layers:
        _place(layer, images.blob_path(layout, layer.digest))
    for data in (built.config, built.manifest):
        images.write_file(images.blob_path(layout, images.digest_of(data)), data, durable=False)
    entry = {"mediaType": images.MANIFEST_TYPE, "digest": built.digest, "size": len(built.manifest)}
    images.write_index(layout, [entry], durable=False)


def _split(entries: Sequence[str]) -> list[tuple[str, str, str]]:
    return [entry.partition("=") for entry in entries]


def _place(layer: Layer, target: Path) -> None:
    """Put a layer's blob beside a Dockerfile."""
    target.unlink(missing_ok=True)
    if layer.data is not None:
        images.write_file(target, layer.data)
        return
    try:
        os.link(cast("Path", layer.path), target)
    except OSError:  # another file system
        images.write_file(target, cast("Path", layer.path).read_bytes())
