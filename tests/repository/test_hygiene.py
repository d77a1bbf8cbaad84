"""What must not be in the repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LARGEST_BYTES = 1_000_000
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:root|home/\w+|work)/")
REGISTRY_ADDRESSES = re.compile(r"https?://[\w.-]*(?:pypi|pythonhosted|npmjs|registry\.)[\w.-]*")
THIS_FILE = Path(__file__).resolve()


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path != THIS_FILE]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content and "vendor" not in path.parts:
            found.append((path.relative_to(ROOT), content.decode("utf-8")))
    return found


def test_no_file_is_larger_than_a_megabyte() -> None:
    assert [path for path in tracked() if path.stat().st_size > LARGEST_BYTES] == []


def test_example_data_stays_within_two_megabytes() -> None:
    data = ROOT / "examples" / "data"
    assert sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) <= 2_000_000


def test_no_path_of_a_certain_machine_is_written_down() -> None:
    assert [str(path) for path, text in texts() if MACHINE_PATHS.search(text)] == []


def test_no_address_of_a_package_registry_is_written_down() -> None:
    assert [str(path) for path, text in texts() if REGISTRY_ADDRESSES.search(text)] == []


def test_there_is_no_lock_file() -> None:
    locks = {"uv.lock", "package-lock.json", "poetry.lock", "pdm.lock"}
    assert [path for path in tracked() if path.name in locks] == []


def test_scripts_are_executable_and_stop_at_the_first_error() -> None:
    for path in [*sorted((ROOT / "scripts").iterdir()), ROOT / ".ci" / "run"]:
        if path.suffix == "":
            assert path.stat().st_mode & 0o111, path
            assert "set -euo pipefail" in path.read_text(encoding="utf-8"), path


def test_scripts_are_valid_shell() -> None:
    for path in sorted((ROOT / "scripts").iterdir()):
        subprocess.run(["bash", "-n", str(path)], check=True)
