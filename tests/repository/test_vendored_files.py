"""Vendored files are exactly what their manifests say."""

import hashlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / "api" / "web" / "static" / "vendor", ROOT / "tests" / "support" / "vendor"]


@pytest.mark.parametrize("folder", FOLDERS, ids=["pages", "tests"])
def test_every_vendored_file_has_the_digest_of_its_manifest(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    expected = {entry["file"]: entry["sha256"] for entry in manifest["files"]}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "manifest.json"
    }
    assert found == expected


def test_scripts_and_styles_of_a_page_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDERS[0].iterdir()) < 200_000
