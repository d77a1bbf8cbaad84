"""InferenceServices: what is made of a Deployment, and how one is read as a Deployment."""

from __future__ import annotations

from executors.kubernetes import jobs, kept
from executors.kubernetes.api import Document
from executors.kubernetes.kinds import inference
from executors.kubernetes.serving import objects, rollout
from executors.kubernetes.serving.rollout import Phase, Rules, State, Strategy
from tests.unit.kubernetes.test_serving_objects import server


def deployment() -> Document:
    made = objects.deployment(
        server(),
        "blue",
        "sha256:a",
        objects.Addresses(package={"BERTH_ADDRESS": "http://p"}, signals="http://s"),
        image="berth",
        python="python",
    )
    made["metadata"]["annotations"][jobs.SPEC_HASH] = "h"
    return made


def made_of() -> Document:
    made = inference.manifest("heart-1", deployment(), (2, 4))
    made["metadata"] |= {"namespace": "ml", "uid": "u", "resourceVersion": "1"}
    return made


def test_its_pods_are_those_that_a_deployment_would_have() -> None:
    predictor = made_of()["spec"]["predictor"]
    pod = deployment()["spec"]["template"]["spec"]
    (container,), (own,) = predictor.pop("containers"), pod.pop("containers")
    assert {**container, "name": own["name"]} == own
    assert pod.items() <= predictor.items()
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 4)


def test_it_carries_what_the_service_and_the_watches_go_by() -> None:
    made = made_of()["metadata"]
    assert made["labels"] == deployment()["metadata"]["labels"]
    assert made["annotations"][kept.PACKAGE] == "sha256:a"


def test_bounds_of_the_autoscaler_change_no_pod() -> None:
    again = inference.manifest("heart-1", deployment(), (3, 9))
    assert again["metadata"]["annotations"] == made_of()["metadata"]["annotations"]


def test_it_is_complete_when_its_deployment_has_the_package_and_is() -> None:
    found = inference.keep(made_of())
    assert found["bounds"] == (2, 4)
    assert not inference.as_deployment(found, None)["is_complete"]
    behind = {"package": "sha256:old", "replicas": 2, "is_complete": True, "has_failed": True}
    seen = inference.as_deployment(found, behind)
    assert (seen["is_complete"], seen["has_failed"], seen["replicas"]) == (False, False, 2)
    there = inference.as_deployment(found, {**behind, "package": "sha256:a"})
    assert (there["is_complete"], there["has_failed"]) == (True, True)
    assert (there["uid"], there["name"]) == ("u", "heart-1")


def test_what_is_wrong_with_it_is_kept_in_its_words() -> None:
    wrong = {"type": "PredictorReady", "status": "False", "message": "no such image"}
    found = {**made_of(), "status": {"conditions": [{"type": "X", "status": "True"}, wrong]}}
    assert inference.keep(found)["says"] == "PredictorReady: no such image"


def test_a_package_follows_in_place_whatever_the_task_wants() -> None:
    state = State(package="a", infers=True)
    rules = Rules(strategy=Strategy.CANARY)
    following = rollout.asked(state, "b", rules, 1.0)
    assert following.phase is Phase.ROLLING
    assert set(rollout.desired(following, {}).deployments) == {"blue"}
