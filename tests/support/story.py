"""The story of `berth demo`, told once for all tests that look at what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

LONGEST_SECONDS = 900.0
"""How long the story may take on a busy machine; it takes two to three minutes on a quiet one."""
POINTS = "points.txt"
"""The crash points that the story passed are recorded in a file of this name."""
TOLD = "BERTH_STORY"
"""Names the folder of a story that is kept serving by hand, so that tests need not tell one."""
_READY = re.compile(r"^Serving at (http://\S+)/ ", re.MULTILINE)
_FIGURE = re.compile(r"^(\S.*?) {2,}(\S.*?)(?: {2}\S.*)?$", re.MULTILINE)
# A process that was started in the background may have inherited that SIGINT is ignored.
_PROGRAM = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('berth', run_name='__main__')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A story that was told and whose engine still serves.

    home: the data folder; text: what was printed; figures: what it reads back at its end.
    points: the crash points that the story passed; its readers make the engine pass others.
    end: ends the engine; what the story left in its folder stays.
    """

    url: str
    home: Path
    text: str
    figures: Mapping[str, Any]
    points: tuple[str, ...]
    end: Callable[[], None]


@contextmanager
def told(base: Path) -> Iterator[Story]:
    """Tell the story below a folder, and keep its engine serving for as long as it is used.

    Raises:
        RuntimeError: with the end of what was printed, when the story failed or took too long.
    """
    by_hand = os.environ.get(TOLD)
    if by_hand:
        yield _read(Path(by_hand), end=lambda: None)
        return
    with (base / "story.txt").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, "demo", "--home", str(base / "home")],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "BERTH_CRASH_RECORD": str(base / POINTS)},
        )

    def end() -> None:
        _end(process, base / "home")

    try:
        _wait(base, process)
        yield _read(base, end=end)
    finally:
        end()


def _wait(base: Path, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + LONGEST_SECONDS
    while not _READY.search(_printed(base)):
        if process.poll() is not None or time.monotonic() > ends:
            end = _printed(base)[-3_000:]
            raise RuntimeError(f"the story was not told (exit code {process.returncode}):\n{end}")
        time.sleep(0.2)


def _read(base: Path, *, end: Callable[[], None]) -> Story:
    text = _printed(base)
    ready = _READY.search(text)
    if ready is None:
        raise RuntimeError(f"no story was told in {base}")
    read_back = _FIGURE.findall(text.partition("── What happened")[2])
    figures = {name: _value(told) for name, told in read_back}
    recorded = base / POINTS
    points = recorded.read_text(encoding="utf-8").split() if recorded.exists() else []
    return Story(
        url=ready.group(1),
        home=base / "home",
        text=text,
        figures=figures,
        points=tuple(points),
        end=end,
    )


def _value(told: str) -> str | float:
    """Return a figure as a number where it is one."""
    try:
        return float(told)
    except ValueError:
        return told


def _printed(base: Path) -> str:
    return (base / "story.txt").read_text(encoding="utf-8", errors="replace")


def _end(process: subprocess.Popen[bytes], home: Path) -> None:
    """End the story as a person would, then whatever of it is left."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(180.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    left = [one for one in psutil.process_iter(["cmdline"]) if _is_of(one, home)]
    for one in left:
        one.kill()
    psutil.wait_procs(left, timeout=60.0)


def _is_of(process: psutil.Process, home: Path) -> bool:
    words = process.info["cmdline"] or []
    return any(word.startswith(str(home)) for word in words)
