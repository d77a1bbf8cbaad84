"""Berth as it is installed: names, versions, licence."""

import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_no_other_distribution_provides_one_of_our_names() -> None:
    providers = metadata.packages_distributions()
    others = {name: set(providers.get(name, ())) - {"berth"} for name in PACKAGES}
    assert {name: found for name, found in others.items() if found} == {}


def test_every_package_says_that_it_is_typed() -> None:
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").exists()] == []


def test_every_dependency_has_its_reason_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    dependencies = [line for line in lines if line.startswith('  "') and ">=" in line]
    assert [line for line in dependencies if "#" not in line] == []


def test_versions_are_pinned_for_every_default_dependency() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    for requirement in PROJECT["project"]["dependencies"]:
        name = requirement.partition(">")[0].replace("_", "-").replace(".", "-").lower()
        assert f"\n{name}==" in pins


def test_changelog_names_the_version_or_what_is_unreleased() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in changelog or f"## {PROJECT['project']['version']}" in changelog
