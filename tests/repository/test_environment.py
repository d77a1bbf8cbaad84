"""The Python that the scripts make `.venv` with."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def found(**environment: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", "set -euo pipefail; source scripts/environment.sh; find_python"]
    given = {name: text for name, text in os.environ.items() if name != "BERTH_PYTHON"}
    return subprocess.run(
        command, cwd=ROOT, env=given | environment, capture_output=True, text=True, check=False
    )


def test_one_that_is_new_enough_is_found() -> None:
    answer = found()
    asked = [answer.stdout.strip(), "-c", "import sys; print(sys.version_info >= (3, 11))"]
    assert subprocess.check_output(asked, text=True) == "True\n"


def test_the_one_that_is_named_is_taken() -> None:
    assert found(BERTH_PYTHON=sys.executable).stdout.strip() == sys.executable


def test_no_other_is_taken_for_one_that_is_named_and_does_not_do(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    answer = found(BERTH_PYTHON=str(old))
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"error: BERTH_PYTHON={old} does not do" in answer.stderr
