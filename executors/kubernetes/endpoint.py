"""Where pods fetch their inputs and leave their outputs: artefacts as archives over HTTP.

Each address is signed for one artefact to read or one attempt to write, so that a pod can do
nothing else with it; the key stays in the data folder. An archive that comes in is unpacked with
the checks of `tarfile`'s data filter, and its digest is made here, of what arrived.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import logging
import secrets
import shutil
import tarfile
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, cast
from urllib.parse import parse_qs, quote, unquote, urlsplit

from engine.model.dispatches import AttemptState, Observation
from engine.model.errors import BerthError, Fault, InvalidInputError
from engine.model.identifiers import AttemptId, Digest
from engine.ports import ArtifactStore
from executors.kubernetes import unpacking
from executors.kubernetes.journal import Journal, Sender
from executors.local import files

_LOG = logging.getLogger(__name__)
_BYTES_MAX = 64 * 1024**3
_NOTE_BYTES_MAX = 16_384
_SIGNALS_BYTES_MAX = 4 << 20
_MEMBERS_MAX = 100_000
_CHUNK_BYTES = 1 << 20
_STATUS_OK, _STATUS_REFUSED, _STATUS_BAD, _STATUS_LATER = 200, 403, 400, 503
_NOTES = "results", "meetings"
"""What runners leave that is kept as it is."""
_LEFT = "left"
"""Note of the digest of what they left as an artefact."""
_SMALL = {**dict.fromkeys(_NOTES, _NOTE_BYTES_MAX), "signals": _SIGNALS_BYTES_MAX}
"""Most bytes of what is no archive, by the first part of its address."""


class Signer:
    """Signs addresses with a key that is made once and kept in a file only its owner may read."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            files.write_once(path, secrets.token_bytes(32))
            path.chmod(0o600)
        self._key = path.read_bytes()

    def sign(self, what: str, name: str) -> str:
        """Return the signature of an address."""
        return hmac.new(self._key, f"{what} {name}".encode(), hashlib.sha256).hexdigest()

    def address(self, base: str, what: str, name: str) -> str:
        """Return a signed address; what: `inputs`, `outputs`, `signals` or one of the notes."""
        return f"{base}/{what}/{quote(name)}?signature={self.sign(what, name)}"

    def is_valid(self, what: str, name: str, signature: str) -> bool:
        """Whether a signature is ours."""
        # As bytes: of text only ASCII can be compared, and anything may stand in an address.
        return hmac.compare_digest(self.sign(what, name).encode(), signature.encode())


class ArtifactEndpoint:
    """Serves an artefact store in threads of its own.

    listen: `HOST:PORT`; port 0 takes a free one. journal: keeps what pods measured.

    Raises:
        InvalidInputError: when the address cannot be listened on.
    """

    def __init__(
        self, store: ArtifactStore, signer: Signer, listen: str, scratch: Path, journal: Journal
    ) -> None:
        host, _, port = listen.rpartition(":")
        scratch.mkdir(parents=True, exist_ok=True)
        self._results = scratch.parent / "results"
        self._results.mkdir(exist_ok=True)
        known = {
            "store": store,
            "signer": signer,
            "scratch": scratch,
            "results": self._results,
            "journal": journal,
        }
        handler = type("Handler", (_Handler,), known)
        try:
            self._server = ThreadingHTTPServer((host, int(port)), handler)
        except (OSError, ValueError, OverflowError) as error:
            message = f"`listen` is {listen!r}: {error}"
            fix = "give HOST:PORT of this machine that is free"
            raise InvalidInputError(
                "kubernetes", [Fault(code="U030", message=message, fix=fix)]
            ) from (error)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="artefact endpoint", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def result(self, attempt: AttemptId) -> bytes:
        """Return what the runner of an attempt left about its end, nothing when it did not."""
        path = _note_path(self._results, "results", attempt)
        return path.read_bytes() if path.exists() else b""

    def with_left(self, seen: Observation) -> Observation:
        """Return the end of a failed attempt with what its first node had written, if it left it.

        Another node may be the one that tells how the attempt ended.
        """
        path = _note_path(self._results, _LEFT, seen.attempt_id)
        if seen.state is not AttemptState.FAILED or seen.artifact or not path.exists():
            return seen
        return dataclasses.replace(seen, artifact=Digest(path.read_text(encoding="utf-8")))

    def forget(self, attempt: AttemptId) -> None:
        """Remove what the runners of an attempt left."""
        for what in (*_NOTES, _LEFT):
            _note_path(self._results, what, attempt).unlink(missing_ok=True)

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One request, signed.

    `GET /inputs/DIGEST`, `PUT /outputs/ATTEMPT`, `PUT /results/ATTEMPT`, `PUT /signals/SENDER`; of
    several nodes the first puts `/meetings/ATTEMPT`, the others get it: 503 until it is there.
    """

    protocol_version = "HTTP/1.1"
    timeout = 300
    store: ArtifactStore
    signer: Signer
    scratch: Path
    results: Path
    journal: Journal

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002 - the base has it
        """Log quietly: addresses hold signatures."""
        _LOG.debug("%s of an artefact", self.command)

    def do_GET(self) -> None:
        """Send an artefact as an archive, or where nodes meet."""
        if self.path.startswith("/meetings/"):
            self._tell_meeting()
            return
        name = self._signed("inputs")
        if name is None:
            return
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            laid, archive = Path(folder) / "content", Path(folder) / "archive.tar"
            try:
                self.store.fetch(Digest(name), laid)
                with tarfile.open(archive, "w") as packed:
                    packed.add(laid, arcname="content")
            except BerthError as error:
                self._answer(404, error.message)
                return
            self.send_response(_STATUS_OK)
            self.send_header("Content-Length", str(archive.stat().st_size))
            self.end_headers()
            with archive.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, _CHUNK_BYTES)

    def _tell_meeting(self) -> None:
        """Send where the nodes of an attempt meet."""
        name = self._signed("meetings")
        if name is None:
            return
        path = _note_path(self.results, "meetings", AttemptId(name))
        if path.exists():
            self._answer(_STATUS_OK, path.read_text(encoding="utf-8"))
        else:
            self._answer(_STATUS_LATER, "the first node has not told yet")

    def do_PUT(self) -> None:
        """Keep an archive as an artefact and answer with its digest; keep the rest as it is."""
        what = self.path.lstrip("/").partition("/")[0]
        what, most = (what, _SMALL[what]) if what in _SMALL else ("outputs", _BYTES_MAX)
        name = self._signed(what)
        told = self.headers.get("Content-Length") or ""
        size = int(told) if told.isascii() and told.isdigit() else -1
        if name is None or not 0 <= size <= most:
            self.close_connection = True
            if name is not None:
                self._answer(_STATUS_BAD, "the length is missing or too large")
            return
        if what in _NOTES:
            path = _note_path(self.results, what, AttemptId(name))
            files.write_durably(path, self.rfile.read(size))
            self._answer(_STATUS_OK, "")
        elif what == "signals":
            self._measured(Sender.of(name), self.rfile.read(size))
        else:
            self._put(AttemptId(name), size)

    def _measured(self, sender: Sender, content: bytes) -> None:
        try:
            count = self.journal.append(sender, content)
        except BerthError as error:
            self._answer(_STATUS_BAD, error.message)
            return
        self._answer(_STATUS_OK, str(count))

    def _put(self, attempt: AttemptId, size: int) -> None:
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            try:
                digest = self._keep(Path(folder), size, attempt)
            except (BerthError, tarfile.TarError, OSError, ValueError) as error:
                self.close_connection = True
                self._answer(_STATUS_BAD, str(error))
                return
        self._answer(_STATUS_OK, digest)

    def _keep(self, folder: Path, size: int, attempt: AttemptId) -> str:
        unpack(_Limited(cast("IO[bytes]", self.rfile), size), folder)
        digest = self.store.put(folder / "content")
        files.write_durably(_note_path(self.results, _LEFT, attempt), digest.encode())
        _LOG.info("%s left %s", attempt, digest)
        return digest

    def _signed(self, what: str) -> str | None:
        """Return the name in the address when its signature is ours; refuse it otherwise."""
        split = urlsplit(self.path)
        part, _, name = split.path.lstrip("/").partition("/")
        signature = parse_qs(split.query).get("signature", [""])[0]
        name = unquote(name)
        if part == what and self.signer.is_valid(what, name, signature):
            return name
        self.close_connection = True
        self._answer(_STATUS_REFUSED, "the address is not signed by this engine")
        return None

    def _answer(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _note_path(folder: Path, what: str, attempt: AttemptId) -> Path:
    prefix = "" if what == "results" else f"{what}-"
    return folder / f"{prefix}{hashlib.sha256(attempt.encode()).hexdigest()}"


class _Limited:
    """Reads so many bytes of a stream and no more."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, and none after the end."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(wanted) if wanted else b""
        self._left -= len(data)
        return data


def unpack(stream: object, folder: Path) -> None:
    """Unpack an archive that holds `content`, refusing links, devices and paths outside.

    Raises:
        tarfile.TarError, ValueError: when it holds anything else, or too much.
    """
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as packed:
        for count, member in enumerate(packed):
            if count >= _MEMBERS_MAX:
                raise ValueError(f"the archive has over {_MEMBERS_MAX} members")
            if member.issparse():
                # A few bytes could stand for a file without end.
                raise ValueError(f"{member.name!r} has holes; send it in full")
            if not (member.isfile() or member.isdir()):
                raise ValueError(f"{member.name!r} is neither file nor folder")
            if member.name != "content" and not member.name.startswith("content/"):
                raise ValueError(f"{member.name!r} is outside of the artefact")
            unpacking.extract(packed, member, folder)
