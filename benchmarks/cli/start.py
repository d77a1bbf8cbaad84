"""Processor time of `berth --help`, and the size of a default install.

The time is the median of five runs after one that fills the caches: user plus system seconds of
the process, which do not depend on what else the machine is doing. The size is that of a fresh
virtual environment with Berth and nothing optional, byte code included (that is written on first
use); `--quick` leaves it out, since it installs everything anew.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import frame

RUNS = 5
BAR_SECONDS = 0.35
BAR_MB = 900
PROJECT = frame.ROOT.parent


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures; installs into the scratch folder unless quick."""
    command = [str(Path(sys.executable).parent / "berth"), "--help"]
    cpu_seconds_of(command)
    bare = [sys.executable, "-c", ""]
    bare_seconds = statistics.median(cpu_seconds_of(bare) for _ in range(RUNS))
    yield frame.at_most(
        "processor time of berth --help, median of 5",
        statistics.median(cpu_seconds_of(command) for _ in range(RUNS)),
        BAR_SECONDS,
        unit="s",
        anchor=f"an empty Python program {bare_seconds:.3f} s",
    )
    if not context.quick:
        yield frame.at_most(
            "default install on disk", default_install_mb(context.scratch), BAR_MB, unit="MB"
        )


def cpu_seconds_of(command: list[str]) -> float:
    """Returns user plus system seconds of one run of a command that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=PROJECT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def default_install_mb(scratch: Path) -> float:
    """Installs Berth without extras into a new environment and returns its size in MB."""
    environment = scratch / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    constraints = ["--constraint", str(PROJECT / "constraints.txt")]
    uv = shutil.which(
        "uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if uv is None:
        command = [str(python), "-m", "pip", "install", "--quiet", *constraints, str(PROJECT)]
    else:
        command = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
        command += [*constraints, str(PROJECT)]
    subprocess.run(command, check=True)
    return sum(path.lstat().st_blocks * 512 for path in environment.rglob("*")) / 2**20
