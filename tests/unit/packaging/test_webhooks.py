"""Webhooks: who is proven is heard, once and in time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine.model.errors import BerthError, InvalidInputError, NotFoundError, RefusedError
from executors.packaging.triggers.webhooks import Tracked, Webhooks

NOW = 1_800_000_000.0
COMMIT = "a" * 40


@pytest.fixture
def hooks(tmp_path: Path) -> Webhooks:
    found = Webhooks(tmp_path / "webhooks")
    found.track("churn", "https://git.example.org/team/churn.git", "team/churn")
    return found


def body(**changes: object) -> bytes:
    document: dict[str, Any] = {"ref": "refs/heads/main", "after": COMMIT}
    document["repository"] = {"full_name": "team/churn", "pushed_at": int(NOW) - 5}
    return json.dumps(document | changes).encode()


def github(tracked: Tracked, content: bytes, delivery: str = "d-1") -> dict[str, str]:
    found = hmac.new(tracked.secret.encode(), content, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={found}", "x-github-delivery": delivery}


def standard(tracked: Tracked, content: bytes, at: float) -> dict[str, str]:
    signed = f"m-1.{int(at)}.".encode() + content
    found = base64.b64encode(hmac.new(tracked.secret.encode(), signed, hashlib.sha256).digest())
    return {
        "webhook-id": "m-1",
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"v1,bm9uZQ== v1,{found.decode()}",
    }


def test_a_signed_push_is_heard(hooks: Webhooks) -> None:
    tracked = hooks.tracked("churn")
    for headers, content in (
        (github(tracked, body()), body()),
        (standard(tracked, body(n=1), NOW), body(n=1)),
        ({"x-gitlab-token": tracked.secret, "x-gitlab-event-uuid": "u"}, body(n=2)),
    ):
        found, push = hooks.receive("churn", headers, content, now=NOW)
        assert (found.remote, push.commit) == (tracked.remote, COMMIT)


def test_who_is_not_proven_is_refused(hooks: Webhooks) -> None:
    tracked = hooks.tracked("churn")
    other = Tracked(name="churn", remote="", secret="other")
    for headers in (
        {},
        github(other, body()),
        github(tracked, body(after="b" * 40)),
        standard(other, body(), NOW),
        {"x-gitlab-token": "other"},
        {"x-gitlab-token": ""},
        {"x-hub-signature-256": "sha256=\u00e9"},
    ):
        with pytest.raises(RefusedError, match="not proven"):
            hooks.receive("churn", headers, body(), now=NOW)


def test_a_message_is_heard_once(hooks: Webhooks) -> None:
    tracked = hooks.tracked("churn")
    hooks.receive("churn", github(tracked, body()), body(), now=NOW)
    for delivery in ("d-1", "d-2"):
        with pytest.raises(RefusedError, match="came before"):
            hooks.receive("churn", github(tracked, body(), delivery), body(), now=NOW)
    again = body(n=1)
    with pytest.raises(RefusedError, match="came before"):
        hooks.receive("churn", github(tracked, again, "d-1"), again, now=NOW)


def test_of_equal_messages_at_once_one_is_heard(hooks: Webhooks) -> None:
    tracked = hooks.tracked("churn")
    content = body()
    start = threading.Barrier(8)

    def send() -> bool:
        start.wait(60)
        try:
            hooks.receive("churn", github(tracked, content), content, now=NOW)
        except RefusedError:
            return False
        return True

    with ThreadPoolExecutor(8) as senders:
        heard = [each.result() for each in [senders.submit(send) for _ in range(8)]]
    assert sum(heard) == 1


@pytest.mark.parametrize("late", [301.0, -301.0])
def test_an_old_message_is_refused(hooks: Webhooks, late: float) -> None:
    tracked = hooks.tracked("churn")
    content = body(repository={"full_name": "team/churn", "pushed_at": int(NOW)})
    for headers in (github(tracked, content), standard(tracked, content, NOW)):
        with pytest.raises(RefusedError, match="from now"):
            hooks.receive("churn", headers, content, now=NOW + late)


def test_another_project_or_branch_starts_nothing(hooks: Webhooks) -> None:
    tracked = hooks.tracked("churn")
    elsewhere = body(repository={"full_name": "evil/churn"})
    with pytest.raises(RefusedError, match="evil/churn"):
        hooks.receive("churn", github(tracked, elsewhere), elsewhere, now=NOW)
    branch = body(ref="refs/heads/try")
    assert hooks.receive("churn", github(tracked, branch), branch, now=NOW)[1].commit == ""


@pytest.mark.parametrize("content", [b"", b"[]", b'{"ref": 1}', b"[" * 100_000])
def test_what_is_no_push_is_refused(hooks: Webhooks, content: bytes) -> None:
    headers = github(hooks.tracked("churn"), content)
    with pytest.raises(InvalidInputError):
        hooks.receive("churn", headers, content, now=NOW)


@pytest.mark.parametrize("name", ["other", "../churn", ""])
def test_who_is_not_tracked_is_not_found(hooks: Webhooks, name: str) -> None:
    with pytest.raises(NotFoundError):
        hooks.receive(name, {}, b"", now=NOW)
    if name != "other":
        with pytest.raises(BerthError):
            hooks.track(name, "https://x")


def test_the_secret_stays_and_is_private(hooks: Webhooks, tmp_path: Path) -> None:
    before = hooks.tracked("churn").secret
    assert hooks.track("churn", "https://other").secret == before
    assert (tmp_path / "webhooks" / "churn.json").stat().st_mode & 0o077 == 0
