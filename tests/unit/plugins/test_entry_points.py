"""Other distributions bring parts by entry points; a broken one is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from api.wiring.loop_parts import detection_of
from engine import plugins
from engine.model.errors import FinalError, NotFoundError
from engine.ports import Notifier

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "berth-pigeon"
version = "1.2"
[project.entry-points."berth.notifiers"]
pigeon = "berth_pigeon:PigeonNotifier"
[tool.hatch.build.targets.wheel]
only-include = ["berth_pigeon.py"]
"""
CODE = '''
"""Tells people by pigeon."""


class PigeonNotifier:
    """Remembers what it was told."""

    def notify(self, group):
        self.told = group
'''

BELL = """
class Bell:
    def observe(self, signals):
        return []

    def abnormal(self):
        return {"cluster:eu-1|reachable": 7.0}
"""

Distribution = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on `sys.path`; modules imported from it are forgotten afterwards."""
    target = tmp_path / "installed"
    target.mkdir()
    monkeypatch.syspath_prepend(str(target))
    before = set(sys.modules)
    yield target
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def distribution(folder: Path) -> Distribution:
    """Write a distribution with one entry point as an installer would lay it out."""

    def write(name: str, entry: str, code: str, group: str = "berth.notifiers") -> None:
        module = name.replace("-", "_")
        (folder / f"{module}.py").write_text(code)
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")

    return write


def load(folder: Path) -> list[str]:
    return list(plugins.load("berth.notifiers", path=[str(folder)]))


def test_an_installed_distribution_brings_its_part(folder: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "berth_pigeon.py").write_text(CODE)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "install", "-q", *offline, "--target", str(folder)]
    subprocess.run([*install, str(project)], check=True, timeout=90)
    pigeon = plugins.load("berth.notifiers")["pigeon"]
    assert pigeon.__module__ == "berth_pigeon"
    assert isinstance(pigeon(), Notifier)


def test_without_distributions_there_are_no_plugins(folder: Path) -> None:
    assert load(folder) == []


def test_plugins_come_by_name(folder: Path, distribution: Distribution) -> None:
    distribution("zeta", "zeta = zeta:A", "class A: ...")
    distribution("alpha", "alpha = alpha:A", "class A: ...")
    assert load(folder) == ["alpha", "zeta"]


@pytest.mark.parametrize(
    ("entry", "code", "why"),
    [
        ("x = broken_one:A", "import nowhere_at_all", "ModuleNotFoundError: No module"),
        ("x = broken_one:A", "raise ValueError('no licence')", "ValueError: no licence"),
        ("x = broken_one:A", "", "AttributeError"),
        ("x = broken_one:A", "A = 3", "it is no class"),
    ],
)
def test_a_broken_plugin_is_named_with_its_distribution(
    folder: Path, distribution: Distribution, entry: str, code: str, why: str
) -> None:
    distribution("broken-one", entry, code)
    with pytest.raises(FinalError) as raised:
        load(folder)
    assert "plugin 'x' of broken-one 1.0 (berth.notifiers = broken_one:A)" in str(raised.value)
    assert why in str(raised.value)
    assert (raised.value.code, "'broken-one'" in raised.value.fix) == ("P001", True)


def test_two_plugins_of_one_name_are_refused(folder: Path, distribution: Distribution) -> None:
    distribution("one", "same = one:A", "class A: ...")
    distribution("two", "same = two:A", "class A: ...")
    with pytest.raises(FinalError, match=r"(one|two) 1\.0 has the same name"):
        load(folder)


def test_a_detector_that_the_settings_name_judges_instead_of_statistics(
    distribution: Distribution, tmp_path: Path
) -> None:
    distribution("bell", "bell = bell:Bell", BELL, "berth.detectors")
    rung = detection_of(Settings(home=tmp_path, detector="bell"))
    assert list(rung.observe([])) == []
    assert rung.abnormal() == {"cluster:eu-1|reachable": 7.0}
    assert detection_of(Settings(home=tmp_path)).abnormal() == {}


def test_a_setting_that_names_no_plugin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"'gong' for 'berth.detectors'"):
        detection_of(Settings(home=tmp_path, detector="gong"))


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(FinalError, match=r"'berth.pigeons' is no group"):
        plugins.load("berth.pigeons")
