"""What is written to suspend a Job, give it another size and resume it."""

from __future__ import annotations

from typing import cast

import pytest

from engine.model.errors import ConflictError, NotFoundError, RefusedError
from executors.kubernetes import suspensions
from executors.kubernetes.api import Api, Document
from tests.support.kubernetes_documents import job

WANTED = {
    "spec": {
        "template": {
            "spec": {"containers": [{"name": "task", "resources": {"limits": {"memory": "352Mi"}}}]}
        }
    }
}


class Server:
    """Takes writes, or answers with the errors given, the first first."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Document]] = []

    def call(self, method: str, path: str, **given: Document) -> Document:
        assert (method, path) == ("PATCH", "/apis/batch/v1/namespaces/ml/jobs/task-1")
        self.asked.append((given["query"]["fieldManager"], given["body"]))
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return {"metadata": {"resourceVersion": "9"}}

    @property
    def api(self) -> Api:
        return cast("Api", self)


def test_a_job_is_suspended_with_our_mark_and_only_the_same_one() -> None:
    server = Server()
    suspensions.suspend(server.api, job())
    ((manager, body),) = server.asked
    assert (manager, body["spec"]) == ("berth-suspend", {"suspend": True})
    assert body["metadata"] == {
        "name": "task-1",
        "uid": "u-1",
        "annotations": {"berth.dev/suspended": "true"},
    }


def test_it_gets_its_size_before_it_goes_on_without_the_mark() -> None:
    server = Server()
    assert suspensions.version(suspensions.resume(server.api, job(), WANTED)) == 9
    (_, sized), (_, goes_on) = server.asked
    assert sized["spec"] == WANTED["spec"]
    assert goes_on["spec"] == {"suspend": False}
    assert "annotations" not in goes_on["metadata"]


def test_a_server_that_changes_no_size_lets_it_go_on_with_the_one_it_had() -> None:
    server = Server(RefusedError("field is immutable"))
    suspensions.resume(server.api, job(), WANTED)
    assert [body["spec"].keys() for _, body in server.asked] == [{"template"}, {"suspend"}]


def test_a_conflict_is_tried_again_but_not_for_ever() -> None:
    server = Server(ConflictError("busy"))
    assert suspensions.suspend(server.api, job()) is not None
    with pytest.raises(ConflictError):
        suspensions.suspend(Server(*[ConflictError("busy")] * 9).api, job())


def test_a_job_that_is_gone_is_left() -> None:
    assert suspensions.suspend(Server(NotFoundError("gone")).api, job()) is None
    assert suspensions.version(None) == 0


@pytest.mark.parametrize(
    "changes", [{"stopped": "a request"}, {"parked": "true"}, {"queue": "team"}, {"origin": "hub"}]
)
def test_what_others_decide_about_or_is_leaving_already_is_not_suspended(
    changes: dict[str, str],
) -> None:
    assert suspensions.may_leave(job())
    assert not suspensions.may_leave({**job(), **changes})
    assert not suspensions.may_leave(job("Complete"))
