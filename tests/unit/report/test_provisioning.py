"""A capacity report becomes infrastructure code: what is to be added, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from api.report import provisioning
from engine.model.capacity import CapacityReport
from engine.model.fleet import Fleet, Provider
from tests.support.capacity import CHOSEN, fleet, report


def variables(found: CapacityReport) -> dict[str, Any]:
    files = provisioning.terraform(found)
    declared = json.loads(files["berth_variables.tf.json"])["variable"]
    value: dict[str, Any] = json.loads(files["berth.auto.tfvars.json"])
    assert declared.keys() == value.keys()
    return dict(value["berth_capacity"])


def pools(found: CapacityReport, known: Fleet | None = None) -> list[dict[str, Any]]:
    files = provisioning.node_pools(found, known or fleet(), CHOSEN)
    return [json.loads(content) for content in files.values()]


def test_terraform_is_told_machine_count_and_purchase() -> None:
    assert variables(report(33.0)) == {
        "nvidia-a100-40-gb": {
            "pool": "NVIDIA A100/40 GB",
            "machine": "p4d.24xlarge",
            "node_count": 3,
            "purchase": "on-demand",
            "short_from": "1970-01-01T23:00:00Z",
            "cost_usd_per_month": pytest.approx(3 * 32 * 30),
        }
    }


def test_a_node_pool_is_limited_to_what_is_to_be_added() -> None:
    (pool,) = pools(report(33.0))
    assert pool["spec"]["limits"] == {
        "cpu": "288000m",
        "memory": f"{3 * 1152 * 1024}Mi",
        "nvidia.com/gpu": "24",
    }
    wants = {
        each["key"]: each["values"] for each in pool["spec"]["template"]["spec"]["requirements"]
    }
    assert wants["node.kubernetes.io/instance-type"] == ["p4d.24xlarge"]
    assert wants["karpenter.sh/capacity-type"] == ["on-demand"]
    assert pool["metadata"]["annotations"]["berth.dev/capacity-report"] == "c-a"


def test_a_machine_the_fleet_does_not_know_is_limited_by_its_number() -> None:
    (pool,) = pools(report(33.0), Fleet(clusters=()))
    assert pool["spec"]["limits"] == {"nodes": "3"}


def test_nothing_is_written_for_a_pool_that_does_not_run_short() -> None:
    assert variables(report(12.0)) == {}
    assert pools(report(12.0)) == []


def test_machines_that_are_bought_come_by_no_node_pool() -> None:
    owned = report(33.0, Provider.ON_PREMISES)
    assert variables(owned)["nvidia-a100-40-gb"]["purchase"] == "owned"
    assert pools(owned) == []


def test_names_that_no_system_takes_are_made_takeable() -> None:
    (key,) = variables(report(33.0, name="-- Ünusual/…")).keys()
    assert key == "nusual"
    (key,) = variables(report(33.0, name="…")).keys()
    assert key == "pool"


def test_a_shortage_that_nothing_ends_adds_nothing() -> None:
    found = report(33.0)
    helpless = replace(found, pools=(replace(found.pools[0], answer=None),))
    assert provisioning.additions(helpless) == ()
