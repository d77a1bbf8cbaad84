"""Models are kept without what their libraries could load but nobody asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys
import executors.persistence
print(executors.persistence.skops_io.__name__, "torch" in sys.modules)
import torch
print(torch.here)
"""


def test_skops_loads_without_torch_that_is_installed_and_leaves_it_importable(
    tmp_path: Path,
) -> None:
    (tmp_path / "torch.py").write_text("here = True\n", encoding="ascii")
    shown = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={"PYTHONPATH": f"{tmp_path}:."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "skops.io False\nTrue\n"
