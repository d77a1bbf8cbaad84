"""What `berth provision` writes, held against the systems that shall read it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.report import provisioning
from engine.model.errors import BerthError, RefusedError
from engine.model.fleet import Provider
from executors.kubernetes.api import APPLY, Api
from tests.support.capacity import CHOSEN, fleet, report
from tests.support.clusters import building, programs
from tests.support.clusters.kueue import documents

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]
POOLS = "/apis/karpenter.sh/v1/nodepools"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="module")
def karpenter(admin: Api) -> Iterator[Api]:
    """A real API server that knows Karpenter's definitions."""
    try:
        folder = building.manifests("karpenter", "sigs.k8s.io/karpenter", "pkg/apis/crds")
    except building.UnavailableError as error:
        pytest.skip(f"not run: {error}")
    names = []
    for crd in documents(folder):
        names.append(crd["metadata"]["name"])
        query = {"fieldManager": "test", "force": "true"}
        admin.call("PATCH", f"{CRDS}/{names[-1]}", query=query, body=crd, content_type=APPLY)
    programs.wait_until(lambda: is_served(admin), "NodePools")
    yield admin
    for name in names:
        admin.call("DELETE", f"{CRDS}/{name}")


def is_served(admin: Api) -> bool:
    try:
        admin.call("GET", POOLS)
    except BerthError:
        return False
    return True


def node_pool(provider: Provider = Provider.AWS, *, known: bool = True) -> dict[str, Any]:
    found = fleet(provider)
    without = type(found)(clusters=())
    files = provisioning.node_pools(report(33.0, provider), found if known else without, CHOSEN)
    (content,) = files.values()
    made: dict[str, Any] = json.loads(content)
    return made


def dry_run(admin: Api, body: dict[str, Any]) -> dict[str, Any]:
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    return admin.call("POST", POOLS, query=query, body=body)


@pytest.mark.parametrize("known", [True, False])
def test_node_pools_pass_a_strict_server_side_dry_run(karpenter: Api, known: bool) -> None:
    made = node_pool(known=known)
    taken = dry_run(karpenter, made)
    assert taken["spec"]["limits"] == made["spec"]["limits"]
    assert karpenter.call("GET", POOLS)["items"] == []


def test_the_dry_run_would_notice_a_fault(karpenter: Api) -> None:
    wrong = copy.deepcopy(node_pool())
    wrong["spec"]["template"]["spec"]["requirements"][0]["operator"] = "Equals"
    with pytest.raises(RefusedError, match="Equals"):
        dry_run(karpenter, wrong)


@pytest.fixture(scope="module")
def tofu() -> Path:
    if building.missing(["tofu"]):
        if os.environ.get("CI"):
            building.build(["tofu"])
            return building.path("tofu")
        pytest.skip("not run: tofu not built (scripts/cluster build --tofu)")
    return building.path("tofu")


def environment(folder: Path) -> dict[str, str]:
    """Return variables without the settings that people have for their own OpenTofu."""
    settings = folder / "cli.tfrc"
    settings.touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return {**kept, "HOME": str(folder), "TF_CLI_CONFIG_FILE": str(settings)}


def validate(tofu: Path, folder: Path) -> dict[str, Any]:
    """Return what `tofu validate` says of a folder; it needs no provider and no network."""
    command, own = [str(tofu), f"-chdir={folder}"], environment(folder)
    subprocess.run([*command, "init", "-backend=false"], check=False, capture_output=True, env=own)
    said = subprocess.run(
        [*command, "validate", "-json"], capture_output=True, check=False, env=own
    )
    told: dict[str, Any] = json.loads(said.stdout)
    return told


USES = """
output "nodes" { value = { for name, pool in var.berth_capacity : name => pool.node_count } }
"""


def test_a_fault_in_the_variables_would_be_noticed(tofu: Path, tmp_path: Path) -> None:
    for name, content in provisioning.terraform(report(33.0)).items():
        wrong = content.replace("number", "numbers")
        (tmp_path / name).write_text(wrong, "utf-8")
    assert not validate(tofu, tmp_path)["valid"]


@pytest.mark.parametrize("peak", [12.0, 33.0])
def test_terraform_variables_are_valid_and_read(tofu: Path, tmp_path: Path, peak: float) -> None:
    for name, content in provisioning.terraform(report(peak)).items():
        (tmp_path / name).write_text(content, "utf-8")
    (tmp_path / "uses.tf").write_text(USES, "utf-8")
    assert validate(tofu, tmp_path)["valid"]
    read = subprocess.run(
        [str(tofu), f"-chdir={tmp_path}", "console"],
        input="jsonencode({for name, pool in var.berth_capacity : name => pool.node_count})\n",
        text=True,
        capture_output=True,
        check=True,
        env=environment(tmp_path),
    )
    expected = {"nvidia-a100-40-gb": 3} if peak > 16 else {}
    assert json.loads(json.loads(read.stdout)) == expected
