"""Webhooks of git hosts: who sends is proven first, then the newest commit is fetched.

Three proofs are known, each compared in constant time:
* GitHub's `X-Hub-Signature-256`: HMAC-SHA256 of the body with the shared secret;
* Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`), which newer GitLabs
  send: HMAC-SHA256 of id, time and body;
* GitLab's `X-Gitlab-Token`: the shared secret itself.
A message that came before is refused, and so is an old one where its time is part of the proof.
The address fetched from is the one that was set up, never one that a message names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from engine.model.errors import DamagedError, Fault, InvalidInputError, NotFoundError, RefusedError
from executors.packaging import images
from executors.packaging.repository import git, settings

AGE_SECONDS_MAX = 300.0
_REMEMBERED = 10_000
_SECRET_BYTES = 32
_KEY_PREFIX = "whsec_"
_FIX = "check that both sides have the same secret: `berth model track NAME URL` shows it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """A model whose repository is on a git host.

    remote: where it is fetched from. project: its path there, "" for any. secret: shared.
    """

    name: str
    remote: str
    secret: str
    project: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What a webhook tells: the commit the branch stands at now; "" for another branch."""

    commit: str


class Webhooks:
    """Keeps who is tracked, and which messages came. `folder` is made when missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def track(self, name: str, remote: str, project: str = "") -> Tracked:
        """Take pushes of a repository on a git host; the secret stays when it is there.

        Raises:
            RefusedError: when the name cannot name a model.
        """
        if not settings.NAME.match(name):
            fix = "use at most 128 small letters, digits and - . _"
            raise RefusedError(f"{name!r} cannot name a model", fix=fix)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(name)
        secret = self.tracked(name).secret if path.exists() else secrets.token_hex(_SECRET_BYTES)
        tracked = Tracked(name=name, remote=remote, secret=secret, project=project)
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(tracked)), encoding="utf-8")
        return tracked

    def tracked(self, name: str) -> Tracked:
        """Return how a model is tracked.

        Raises:
            NotFoundError: when it is not.
        """
        if not settings.NAME.match(name) or not self._path(name).exists():
            message = f"no webhook is set up for a model {name!r}"
            raise NotFoundError(message, fix="`berth model track NAME URL` sets one up")
        try:
            return Tracked(**json.loads(self._path(name).read_bytes()))
        except (ValueError, TypeError) as error:
            message = f"{str(self._path(name))!r} is damaged"
            raise DamagedError(message, fix="remove it, and set the webhook up again") from error

    def receive(
        self, name: str, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> tuple[Tracked, Push]:
        """Check a message and return what it tells.

        headers: names in lower case. now: seconds since 1970.

        Raises:
            NotFoundError: when the model is not tracked.
            RefusedError: when the sender is not proven, or the message is old or came before.
            InvalidInputError: when the body is no push event.
        """
        tracked = self.tracked(name)
        identity = _proven(tracked.secret, headers, body, now)
        document = _document(body)
        _check_age(headers, document, now)
        path = _project(document)
        if tracked.project and path != tracked.project:
            message = f"the push is to {path!r}, model {name!r} is in {tracked.project!r}"
            raise RefusedError(message, fix="send it to the webhook of its own model", code="M006")
        self._remember(name, identity, hashlib.sha256(body).hexdigest())
        is_ours = document.get("ref") == f"refs/heads/{git.BRANCH}"
        after = str(document.get("after", ""))
        return tracked, Push(commit=after if is_ours and after.strip("0") else "")

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _remember(self, name: str, *marks: str) -> None:
        """Note that a message came.

        Raises:
            RefusedError: when it came before.
        """
        path = self._folder / f"{name}.seen"
        seen = path.read_text("utf-8").split() if path.exists() else []
        known = set(seen)
        if any(mark in known for mark in marks if mark):
            message = "this message of the webhook came before"
            raise RefusedError(message, fix="push again to have it delivered again", code="M005")
        kept = [*seen, *(mark for mark in marks if mark)][-_REMEMBERED:]
        images.write_file(path, "\n".join(kept).encode())


def _proven(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Return the id of a message whose sender is proven.

    Raises:
        RefusedError: when it is not.
    """
    if "webhook-signature" in headers:
        return _standard(secret, headers, body, now)
    key = secret.encode()
    if "x-hub-signature-256" in headers:
        wanted = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
        if hmac.compare_digest(wanted.encode(), headers["x-hub-signature-256"].encode()):
            return _word(headers.get("x-github-delivery", ""))
        raise _stranger("the signature is wrong")
    if "x-gitlab-token" in headers:
        if hmac.compare_digest(key, headers["x-gitlab-token"].encode()):
            return _word(headers.get("x-gitlab-event-uuid", ""))
        raise _stranger("the token is wrong")
    raise _stranger("it carries no signature and no token")


def _standard(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Check a message of the Standard Webhooks specification; return its id."""
    identity, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not at.isdigit() or abs(now - int(at)) > AGE_SECONDS_MAX:
        raise _old(at)
    try:
        key = (
            base64.b64decode(secret.removeprefix(_KEY_PREFIX), validate=True)
            if secret.startswith(_KEY_PREFIX)
            else secret.encode()
        )
    except binascii.Error as error:
        raise _stranger("our secret is no base64") from error
    signed = f"{identity}.{at}.".encode() + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    found = False
    for entry in headers["webhook-signature"].split():
        version, _, value = entry.partition(",")
        found |= version == "v1" and hmac.compare_digest(wanted, value.encode())
    if not found:
        raise _stranger("the signature is wrong")
    return _word(identity)


def _check_age(headers: Mapping[str, str], document: Mapping[str, Any], now: float) -> None:
    """Refuse an old message of GitHub, whose signed body tells when it was pushed."""
    if "x-hub-signature-256" not in headers:
        return
    repository = document.get("repository")
    at = (
        cast("dict[str, Any]", repository).get("pushed_at")
        if isinstance(repository, dict)
        else None
    )
    if isinstance(at, int) and abs(now - at) > AGE_SECONDS_MAX:
        raise _old(str(at))


def _document(body: bytes) -> dict[str, Any]:
    """Read a push event.

    Raises:
        InvalidInputError: when it is none.
    """
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        fault = Fault(code="S001", message=f"is not JSON: {str(error)[:200]}")
        raise InvalidInputError("the webhook's body", [fault]) from error
    if not isinstance(found, dict) or not isinstance(found.get("ref", ""), str):
        fault = Fault(code="S001", message="is no push event", fix="send push events only")
        raise InvalidInputError("the webhook's body", [fault])
    return cast("dict[str, Any]", found)


def _project(document: Mapping[str, Any]) -> str:
    """Return the path of a project: GitLab's or GitHub's name for it."""
    for key, field in (("project", "path_with_namespace"), ("repository", "full_name")):
        entry = document.get(key)
        if isinstance(entry, dict) and field in entry:
            return str(cast("dict[str, Any]", entry)[field])
    return ""


def _word(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def _stranger(what: str) -> RefusedError:
    return RefusedError(f"the webhook's sender is not proven: {what}", fix=_FIX, code="M006")


def _old(at: str) -> RefusedError:
    message = f"the webhook's message is of {at!r}, over {AGE_SECONDS_MAX:g} s from now"
    return RefusedError(message, fix="set both clocks right, then push again", code="M005")
