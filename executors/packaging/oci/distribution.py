"""Push and pull over the distribution API (distribution-spec 1.1), as any registry speaks it.

A push sends blobs first and the manifest last, so a registry that dies in the middle has blobs
that nobody names, and no image by halves; the next push sends only what is missing. A blob that
broke off is continued where the registry has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote, urlsplit

from engine.model.errors import DamagedError, NotFoundError, RefusedError, UnreachableError
from engine.model.identifiers import Digest
from executors.packaging import images
from executors.packaging.oci import credentials, transport
from executors.packaging.oci.layers import Layer
from executors.packaging.oci.transport import Answer, Transport

_ACCEPTED = ", ".join(
    (
        images.MANIFEST_TYPE,
        images.INDEX_TYPE,
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
LATEST = "latest"
"""The tag of a reference that names none."""
_CHUNK_BYTES = 8 << 20
_PROBED_BYTES = 1 << 16
"""Smaller blobs are sent without asking: the question costs as much as the blob."""
_RESUMES_MAX = 5
_OK, _CREATED, _ACCEPTED_STATUS, _NO_CONTENT, _NOT_FOUND = 200, 201, 202, 204, 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where an image is: `HOST[:PORT]/REPOSITORY[:TAG|@DIGEST]`."""

    host: str
    repository: str
    tag: str = "latest"

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.host}/{self.repository}{'@' if ':' in self.tag else ':'}{self.tag}"


def parse(text: str) -> Reference:
    """Read a reference.

    Raises:
        RefusedError: when it is none.
    """
    host, slash, rest = text.removeprefix("http://").removeprefix("https://").partition("/")
    name, at, digest = rest.partition("@")
    repository, colon, tag = name.partition(":")
    wanted = digest if at else (tag if colon else "latest")
    is_tag = bool(_TAG.match(wanted)) or (bool(at) and wanted.startswith("sha256:"))
    is_host = "." in host or ":" in host or host == "localhost"
    if not slash or not is_host or not _REPOSITORY.match(repository) or not is_tag:
        message = f"{text!r} is no image in a registry"
        raise RefusedError(message, fix="write HOST[:PORT]/NAME:TAG, the name in lower case")
    return Reference(host=host, repository=repository, tag=wanted)


class Registry:
    """Images of one repository in a registry. Not for several threads.

    environment: where the logins are looked for (`DOCKER_CONFIG`, `HOME`).
    """

    def __init__(
        self, reference: Reference, environment: Mapping[str, str], *, is_plain: bool | None = None
    ) -> None:
        self.reference = reference
        found = credentials.find(reference.host, environment)
        self._http = Transport(reference.host, found, is_plain=is_plain)
        self._second = Transport(reference.host, found, is_plain=is_plain)
        self._base = f"/v2/{reference.repository}"
        self._known: set[str] = set()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._second.close()

    # -------------------------------------------------------------------- push

    def push(
        self, layers: Sequence[Layer], config: bytes, manifest: bytes, *, tags: Sequence[str] = ()
    ) -> Digest:
        """Push an image under its digest and tags; what the registry has is not sent again.

        Raises:
            UnreachableError: when the registry dies; no tag and no manifest was written, and a
                repeated push goes on where this one stopped.
            RefusedError: when it refuses us or the image.
        """
        try:
            return self._push(layers, config, manifest, tags)
        except RefusedError:
            if not self._known:
                raise
            # The registry may have collected a blob that it had at the push before.
            self._known.clear()
            return self._push(layers, config, manifest, tags)

    def _push(
        self, layers: Sequence[Layer], config: bytes, manifest: bytes, tags: Sequence[str]
    ) -> Digest:
        self.send(layers, config)
        digest = images.digest_of(manifest)
        for name in tags or (digest,):
            answer = self._http.ask(
                "PUT",
                f"{self._base}/manifests/{name}",
                manifest,
                {"Content-Type": images.MANIFEST_TYPE},
            )
            self._expect(answer, (_CREATED,), f"manifest {name}")
        return digest

    def send(self, layers: Sequence[Layer], config: bytes) -> None:
        """Send the blobs of an image ahead of its manifest; what the registry has is not sent.

        Raises:
            UnreachableError, RefusedError: as `push`.
        """
        config_digest = images.digest_of(config)
        # The configuration goes by a connection of its own: of a small image it is half the wait.
        with ThreadPoolExecutor(1) as beside:
            sent = None
            if config_digest not in self._known:
                sent = beside.submit(self._send_bytes, config_digest, config, self._second)
            for layer in layers:
                is_small = layer.data is not None and layer.size_bytes < _PROBED_BYTES
                if layer.digest not in self._known and (is_small or not self._has(layer.digest)):
                    self._send_layer(layer)
            if sent is not None:
                sent.result()

    def _has(self, digest: str) -> bool:
        """Return whether the registry has a blob; what it had once is not asked again."""
        if digest in self._known:
            return True
        answer = self._http.ask("HEAD", f"{self._base}/blobs/{digest}")
        self._expect(answer, (_OK, _NOT_FOUND), f"blob {digest}")
        if answer.status == _OK:
            self._known.add(digest)
        return answer.status == _OK

    def _begin(self, http: Transport) -> str:
        """Open an upload; return its address."""
        answer = http.ask("POST", f"{self._base}/blobs/uploads/", b"")
        self._expect(answer, (_ACCEPTED_STATUS,), "a new blob")
        return self._location(answer)

    def _location(self, answer: Answer) -> str:
        """Return where an upload goes on; another host is refused, it would get our login."""
        found = urlsplit(answer.headers.get("location", ""))
        if not found.path or (found.netloc and found.netloc != self.reference.host):
            message = f"registry {self.reference.host!r} sends uploads to {found.geturl()!r}"
            raise RefusedError(message, fix="use a registry that takes uploads itself")
        return f"{found.path}?{found.query}" if found.query else found.path

    def _send_layer(self, layer: Layer) -> None:
        if layer.data is not None:
            self._send_bytes(layer.digest, layer.data, self._http)
            return
        with cast("Path", layer.path).open("rb") as file:
            self._send_file(layer, file)

    def _send_bytes(self, digest: str, data: bytes, http: Transport) -> None:
        """Upload a small blob at once."""
        self._finish(self._begin(http), digest, data, http)

    def _finish(self, location: str, digest: str, data: bytes, http: Transport) -> None:
        mark = "&" if "?" in location else "?"
        answer = http.ask(
            "PUT",
            f"{location}{mark}digest={quote(digest)}",
            data,
            {"Content-Type": "application/octet-stream", "Content-Length": str(len(data))},
        )
        self._expect(answer, (_CREATED, _NO_CONTENT), f"blob {digest}")
        self._known.add(digest)

    def _send_file(self, layer: Layer, file: IO[bytes]) -> None:
        """Upload a blob in chunks, going on where the registry is after a break."""
        location = self._begin(self._http)
        offset = 0
        resumes = 0
        while offset < layer.size_bytes:
            file.seek(offset)
            chunk = file.read(_CHUNK_BYTES)
            end = offset + len(chunk) - 1
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{offset}-{end}",
                "Content-Length": str(len(chunk)),
            }
            try:
                answer = self._http.ask("PATCH", location, chunk, headers)
                self._expect(answer, (_ACCEPTED_STATUS, _NO_CONTENT), f"blob {layer.digest}")
            except UnreachableError:
                resumes += 1
                if resumes > _RESUMES_MAX:
                    raise
                location, offset = self._resume(location)
                continue
            location, offset = self._location(answer), end + 1
        self._finish(location, layer.digest, b"", self._http)

    def _resume(self, location: str) -> tuple[str, int]:
        """Return address and offset at which an upload goes on, from its start when it is gone."""
        answer = self._http.ask("GET", location)
        if answer.status not in {_NO_CONTENT, _ACCEPTED_STATUS, _OK}:
            return self._begin(self._http), 0
        end = answer.headers.get("range", "0-0").rpartition("-")[2]
        there = int(end) if end.isdigit() else 0
        return self._location(answer), there + 1 if there else 0

    # -------------------------------------------------------------------- pull

    def manifest(self, tag: str = "") -> tuple[Digest, dict[str, Any]]:
        """Return digest and content of a manifest, that of this platform where there are several.

        Raises:
            NotFoundError: when there is no such image.
            DamagedError: when it is not what its digest says.
        """
        wanted = tag or self.reference.tag
        answer = self._http.ask(
            "GET", f"{self._base}/manifests/{wanted}", None, {"Accept": _ACCEPTED}
        )
        if answer.status == _NOT_FOUND:
            raise NotFoundError(f"there is no image {str(self.reference)!r} (asked for {wanted})")
        self._expect(answer, (_OK,), f"manifest {wanted}")
        digest = images.digest_of(answer.body)
        if wanted.startswith("sha256:") and digest != wanted:
            raise DamagedError(f"manifest {wanted} of {self.reference} has the digest {digest}")
        try:
            document = json.loads(answer.body)
            listed = document.get("manifests")
        except (ValueError, AttributeError, RecursionError) as error:
            raise DamagedError(f"manifest {wanted} of {self.reference} is not JSON") from error
        if listed is None:
            return digest, document
        for entry in listed:
            platform = entry.get("platform", {})
            if (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
                return self.manifest(str(entry["digest"]))
        raise NotFoundError(f"{str(self.reference)!r} has no image for linux/amd64")

    def blob(self, digest: str, size_bytes: int) -> bytes:
        """Return a blob, checked.

        Raises:
            NotFoundError: when the registry has none of this digest.
            DamagedError: when it is not what its digest says.
        """
        size_most = max(size_bytes, transport.ANSWER_BYTES_MAX)  # what went wrong may be longer
        answer = self._http.ask("GET", f"{self._base}/blobs/{digest}", bytes_max=size_most)
        if answer.status == _NOT_FOUND:
            raise NotFoundError(f"{self.reference.host!r} has no blob {digest}")
        self._expect(answer, (_OK,), f"blob {digest}")
        if len(answer.body) != size_bytes or images.digest_of(answer.body) != digest:
            message = f"blob {digest} of {self.reference} is not what its digest says"
            raise DamagedError(message, fix="push the image again")
        return answer.body

    def pull_package(self, target: Path, tag: str = "") -> Digest:
        """Write the package of an image (its layer of the model) as a layout; return its digest.

        Raises:
            NotFoundError, DamagedError: as `manifest` and `blob`; or it holds no model.
        """
        _, manifest = self.manifest(tag)
        layers = [
            layer
            for layer in manifest.get("layers", [])
            if layer.get("annotations", {}).get(images.ROLE) == "model"
        ]
        if not layers:
            raise DamagedError(f"{str(self.reference)!r} holds no model", fix="push a model image")
        config = manifest["config"]
        labels = json.loads(self.blob(config["digest"], config["size"]))["config"].get("Labels", {})
        data = self.blob(layers[0]["digest"], layers[0]["size"])
        return images.write_package(target, data, labels=labels)

    def _expect(self, answer: Answer, allowed: tuple[int, ...], what: str) -> None:
        transport.expect(answer, allowed, what, self.reference.host)
