"""The layers that import-linter holds are complete, and `docs/architecture.md` tells them."""

from __future__ import annotations

import pkgutil
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import api
import engine

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[
    "tool"
]["importlinter"]["contracts"]
PARTS = {
    package.__name__: {module.name for module in pkgutil.iter_modules(package.__path__)}
    for package in (engine, api)
}


@pytest.mark.parametrize("package", PARTS)
def test_every_part_of_a_package_is_told(package: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert PARTS[package] <= set(re.findall(r"\w+", page.partition("## What flows")[0]))


@pytest.mark.parametrize(
    "contract",
    [each for each in CONTRACTS if each["type"] == "forbidden"],
    ids=lambda contract: contract["name"],
)
@pytest.mark.parametrize("package", PARTS)
def test_a_library_has_one_home_in_a_package(package: str, contract: dict[str, Any]) -> None:
    sources = contract["source_modules"]
    listed = {name.removeprefix(f"{package}.") for name in sources if name.startswith(package)}
    if listed and package not in listed:
        assert len(PARTS[package] - listed) == 1
