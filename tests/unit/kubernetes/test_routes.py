"""Routes of servers: what they share out in each phase, and what is read of them."""

from __future__ import annotations

import pytest

from executors.kubernetes.api import Document
from executors.kubernetes.kinds import routes
from executors.kubernetes.serving import rollout
from executors.kubernetes.serving.rollout import Phase, Rules, State, Strategy

CANARY = Rules(strategy=Strategy.CANARY, canary_share=0.2)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(package="a", rules=CANARY), {"blue": 100}),
        (State(package="a", target="b", phase=Phase.CANARY, rules=CANARY), {"blue": 100}),
        (
            State(package="a", target="b", phase=Phase.CANARY, since=5.0, rules=CANARY),
            {"blue": 80, "green": 20},
        ),
        (
            State(package="a", target="b", phase=Phase.GROWING, rules=CANARY),
            {"blue": 80, "green": 20},
        ),
        (State(package="b", colour="green", rules=CANARY), {"green": 100}),
        (
            State(phase=Phase.GROWING, rules=Rules(strategy=Strategy.BLUE_GREEN)),
            {"blue": 100},
        ),
        (
            State(phase=Phase.KEEPING, colour="green", rules=Rules(strategy=Strategy.BLUE_GREEN)),
            {"green": 100},
        ),
    ],
    ids=["steady", "not yet well", "well", "growing", "after", "blue-green before", "after switch"],
)
def test_a_canary_gets_its_share_while_it_is_well(state: State, expected: dict[str, int]) -> None:
    assert rollout.shares(state) == expected


@pytest.mark.parametrize(("share", "expected"), [(0.001, 1), (0.9999, 99)])
def test_neither_of_two_is_left_without_any_request(share: float, expected: int) -> None:
    rules = Rules(strategy=Strategy.CANARY, canary_share=share)
    state = State(package="a", target="b", phase=Phase.CANARY, since=1.0, rules=rules)
    assert rollout.shares(state)["green"] == expected


def route(gateway: str = "edge") -> Document:
    weights = {"blue": 80, "green": 20}
    return routes.route("heart-1", "heart", {}, weights, gateway=gateway, port=8080)


def test_a_route_takes_the_requests_for_one_model() -> None:
    (rule,) = route()["spec"]["rules"]
    assert rule["matches"][0]["path"]["value"] == "/v2/models/heart"
    assert [(each["name"], each["weight"]) for each in rule["backendRefs"]] == [
        ("heart-1-blue", 80),
        ("heart-1-green", 20),
    ]


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [("edge", {"name": "edge"}), ("net/edge", {"name": "edge", "namespace": "net"})],
)
def test_a_gateway_may_be_of_another_namespace(gateway: str, expected: dict[str, str]) -> None:
    assert route(gateway)["spec"]["parentRefs"] == [expected]


def test_what_a_server_adds_to_a_route_makes_no_difference() -> None:
    stored = route()
    stored["spec"]["parentRefs"][0] |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    stored["spec"]["rules"][0]["backendRefs"][0] |= {"group": "", "kind": "Service"}
    assert routes.wanted(stored) == routes.wanted(route())


def test_other_weights_make_a_difference() -> None:
    stored = route()
    stored["spec"]["rules"][0]["backendRefs"][0]["weight"] = 50
    assert routes.wanted(stored) != routes.wanted(route())


def test_a_refusal_of_the_gateway_is_kept() -> None:
    stored = route()
    stored["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    assert routes.keep(stored)["refusal"] == ""
    refused = {"type": "Accepted", "status": "False", "reason": "NotAllowed", "message": "no"}
    stored["status"] = {"parents": [{"conditions": [refused]}]}
    assert routes.keep(stored)["refusal"] == "NotAllowed: no"


def test_the_service_of_a_colour_has_the_pods_of_that_colour() -> None:
    made = routes.backend_service("heart-1", "green", {}, 8080)
    assert made["spec"]["selector"] == {"berth.dev/server": "heart-1", "berth.dev/colour": "green"}
