"""Takes the vendored web assets from npm and writes a manifest beside them.

    python tests/tools/refresh_vendor.py

Needs npm. Each file is copied as published; the manifest says package, version, licence and
SHA-256, and a test compares them, so that nobody edits a vendored file by hand.
"""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "api" / "web" / "static" / "vendor"
TESTS = ROOT / "tests" / "support" / "vendor"


@dataclasses.dataclass(frozen=True, slots=True)
class Asset:
    """One file of one npm package, and where it goes."""

    package: str
    version: str
    licence: str
    member: str
    folder: Path


ASSETS = (
    Asset("htmx.org", "4.0.1", "0BSD", "dist/htmx.min.js", PAGES),
    Asset("htmx.org", "4.0.1", "0BSD", "dist/ext/hx-sse.min.js", PAGES),
    Asset("@picocss/pico", "2.1.1", "MIT", "css/pico.classless.min.css", PAGES),
    Asset("axe-core", "4.14.1", "MPL-2.0", "axe.min.js", TESTS),
)


def fetch(asset: Asset, scratch: Path) -> bytes:
    """Returns the asset's bytes as published."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("error: npm is needed (on Debian: apt-get install npm)")
    subprocess.run(
        [npm, "pack", "--silent", f"{asset.package}@{asset.version}"],
        cwd=scratch,
        check=True,
        capture_output=True,
    )
    archive = next(scratch.glob("*.tgz"))
    with tarfile.open(archive) as packed:
        member = packed.extractfile(f"package/{asset.member}")
        if member is None:
            raise SystemExit(f"error: {asset.package} has no file {asset.member!r}")
        content = member.read()
    archive.unlink()
    return content


def main() -> None:
    """Writes every asset and one manifest in each folder."""
    manifests: dict[Path, list[dict[str, str]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for asset in ASSETS:
            content = fetch(asset, Path(scratch))
            asset.folder.mkdir(parents=True, exist_ok=True)
            name = Path(asset.member).name
            (asset.folder / name).write_bytes(content)
            manifests.setdefault(asset.folder, []).append(
                {
                    "file": name,
                    "package": asset.package,
                    "version": asset.version,
                    "licence": asset.licence,
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
            )
    for folder, files in manifests.items():
        text = json.dumps({"files": files}, indent=2)
        (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
