"""What the Helm chart renders to, by the real Helm; the plain manifests are that with defaults."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.clusters import building

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "berth"
MANIFESTS = ROOT / "deploy" / "manifests"
NAMESPACE = "berth"
KUBERNETES = "1.36.2"
"""The version that is rendered for; without a cluster Helm assumes an old one."""
MONITOR = ("--set", "serviceMonitor.enabled=true", "--show-only", "templates/service-monitor.yaml")
RENDERED: dict[str, tuple[str, ...]] = {"berth.yaml": (), "service-monitor.yaml": MONITOR}
"""The plain manifests, each with the arguments of Helm that make it."""


def helm(*arguments: str) -> str:
    """Run Helm and return what it prints; skips the test where it was not built."""
    program = building.path("helm")
    if not program.exists():
        if not os.environ.get("CI"):
            pytest.skip("not run: helm not built (scripts/cluster build)")
        building.build(["helm"])
    done = subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(*arguments: str) -> str:
    """Return the chart as text."""
    where = ("--kube-version", KUBERNETES, "--namespace", NAMESPACE)
    return helm("template", "berth", str(CHART), *where, *arguments)


def documents(text: str) -> list[dict[str, Any]]:
    """Return the objects in a text of YAML."""
    return [dict(each) for each in YAML(typ="safe", pure=True).load_all(text) if each]


def manifest(name: str) -> list[dict[str, Any]]:
    """Return the objects of a plain manifest."""
    return documents((MANIFESTS / name).read_text(encoding="utf-8"))


def main() -> None:
    """Write the plain manifests anew."""
    for name, arguments in RENDERED.items():
        (MANIFESTS / name).write_text(rendered(*arguments), encoding="utf-8")


if __name__ == "__main__":
    main()
