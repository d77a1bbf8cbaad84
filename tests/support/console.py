"""Runs the console examples of a document as a reader would, in one folder with one engine.

A ```console block holds lines that begin with `$ ` and, below each, what it prints. What is shown
is compared loosely: `...` stands for anything, and times, durations, money, shares, ids and
layout are left out of the comparison. A command without output shown must only succeed; one that
shall fail is followed by `$ echo $?`. A block below `<!-- file: NAME -->` is a file that the reader
writes.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from api.cli.main import application
from executors.local import processes

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
LONGEST_SECONDS = 300.0
PAUSE_SECONDS = 0.3
_BLOCK = re.compile(
    r"(?:^<!-- file: (?P<file>\S+) -->\n+)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_LOOKS = frozenset({"alarms", "curl", "doctor", "fleet", "runs", "status"})
"""Commands that are given time until they show what the document shows."""
_IDS = (r"\bp-[a-z2-7]{8}\b", r"\bSA-[a-z0-9]+\b", r"(?<=127\.0\.0\.1:)\d+")
_LEFT_OUT = (
    (re.compile(r"\b[pc]-[a-z0-9]{8,9}\b|\bSA-[a-z0-9]+\b"), "ID"),
    (re.compile(r"sha256:[0-9a-f]+"), "DIGEST"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?=\d{1,2}:\d{2})"), ""),
    (re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.]+Z|\b\d{1,2}:\d{2}(?::\d{2})?\b"), "TIME"),
    (re.compile(r"\b\d[\d.,]* (?:ms|s|min|h|d)\b(?: \d+\b(?: (?:s|min))?)?"), "SPAN"),
    (re.compile(r"[+-]?\$[\d.,]+|\b\d[\d.,]* (?:MiB|GiB|Mbit/s)"), "AMOUNT"),
    (re.compile(r"\b\d+(?:\.\d+)? ?%"), "SHARE"),
    (re.compile(r"-?\b\d+\.\d+(?:e-?\d+)?\b"), "NUMBER"),
    (re.compile(r"─+"), "─"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command, what it shall print, and the line of the document it stands on."""

    command: str
    expected: str
    line: int


@dataclass(frozen=True, slots=True)
class File:
    """A file that the reader writes."""

    name: str
    text: str


def steps(text: str) -> Iterator[Step | File]:
    """Yield what a reader of a document does, in order."""
    for block in _BLOCK.finditer(text):
        if block["file"]:
            yield File(block["file"], block["text"])
        elif block["kind"] == "console":
            yield from _commands(block["text"], text.count("\n", 0, block.start("text")) + 1)


def _commands(text: str, line: int) -> Iterator[Step]:
    for part in re.split(r"^(?=\$ )", text, flags=re.MULTILINE):
        if part.startswith("$ "):
            written = re.match(r"\$ (?:.*\\\n)*.*\n", part)
            assert written, f"a command on line {line} has no end"
            command = written[0][2:].replace("\\\n", " ").strip()
            yield Step(command, part[written.end() :].strip(), line)
        else:
            assert not part.strip(), f"line {line}: output without a command above it"
        line += part.count("\n")


def plain(text: str) -> str:
    """Return a text without layout, and without what differs from run to run."""
    for pattern, word in _LEFT_OUT:
        text = pattern.sub(word, text)
    return " ".join(text.split())


def shows(expected: str, printed: str) -> bool:
    """Return whether what was printed is what a document shows."""
    parts = [re.escape(plain(part)) for part in expected.split("...")]
    return re.fullmatch(r"\s*.*?\s*".join(parts), plain(printed), re.DOTALL) is not None


class Reader:
    """Follows documents in a folder; ids and ports in a document stand for the real ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engine: subprocess.Popen[bytes] | None = None
        self._names: dict[str, str] = {}
        self._seen: set[str] = set()
        self._old: set[str] = set()
        self._code = 0
        self._reports: dict[str, tuple[int, str]] = {}

    def follow(self, text: str) -> None:
        """Do what a document says, and hold what happens against what it shows."""
        self._names.clear()
        self._old |= self._seen
        todo = list(steps(text))
        for step, after in zip(todo, [*todo[1:], None], strict=True):
            if isinstance(step, File):
                (self.folder / step.name).write_text(step.text, encoding="utf-8")
            elif step.command == "echo $?":
                assert step.expected == str(self._code), f"line {step.line}: exit {self._code}"
            else:
                fails = isinstance(after, Step) and after.command == "echo $?"
                self._try(step, fails=fails)

    def _try(self, step: Step, *, fails: bool) -> None:
        """Run a command; one that only looks is repeated until it shows what it shall show."""
        words = self._real(shlex.split(step.command))
        looks = (words[1] if words[0] == "berth" else words[0]) in _LOOKS
        ends = time.monotonic() + (LONGEST_SECONDS if looks else 0.0)
        while True:
            self._code, printed = self._run(words)
            good = fails == bool(self._code) and (
                not step.expected or shows(step.expected, printed)
            )
            if good or time.monotonic() >= ends:
                break
            time.sleep(PAUSE_SECONDS)
        told = f"line {step.line}: {step.command} (exit code {self._code})"
        assert good, f"{told}\n--- shown\n{step.expected}\n--- printed\n{printed}"
        self._learn(step.expected, printed)

    def _learn(self, expected: str, printed: str) -> None:
        """Remember which ids and ports of the document stand for which real ones."""
        for pattern in _IDS:
            known = {*self._names, *self._names.values()}
            found = list(dict.fromkeys(re.findall(pattern, printed)))
            new = [n for n in dict.fromkeys(re.findall(pattern, expected)) if n not in known]
            real = [n for n in found if n not in known | self._old]
            self._names.update(zip(new, real, strict=False))
            self._seen.update(found)
        for plan in re.findall(_IDS[0], printed):
            self._names["PLAN"] = plan

    def _real(self, words: list[str]) -> list[str]:
        """Return the words of a command with the names of the document replaced by real ones."""
        if not self._names:
            return words
        pattern = re.compile("|".join(map(re.escape, sorted(self._names, key=len, reverse=True))))
        return [pattern.sub(lambda found: self._names[found[0]], word) for word in words]

    def _run(self, words: list[str]) -> tuple[int, str]:
        """Run a command; return its exit code and everything it printed."""
        if words[:2] == ["berth", "start"]:
            return 0, self._start(words[2:])
        if words[:2] == ["berth", "capacity"]:  # the dearest command: once for all documents
            key = shlex.join(words)
            self._reports[key] = self._reports.get(key) or _berth(words[1:])
            return self._reports[key]
        if words[0] == "berth":
            return _berth(words[1:])
        if words[0] == "curl":
            return _curl(words[1:])
        if words[0] == "python":
            return _python(words[1])
        if words[0] == "export":
            os.environ.update(dict(word.split("=", maxsplit=1) for word in words[1:]))
            return 0, ""
        raise AssertionError(f"no way to run `{shlex.join(words)}`")

    def _start(self, arguments: list[str]) -> str:
        """Start the engine unless it runs already; return what it said until it was ready."""
        log = self.folder / "engine.log"
        if self._engine is None:
            command = [sys.executable, "-m", "berth", "start", *arguments, "--port", "0"]
            with log.open("wb") as file:
                self._engine = subprocess.Popen(command, stdout=file, stderr=file)
        ends = time.monotonic() + LONGEST_SECONDS
        while "Stop it with" not in log.read_text("utf-8"):
            assert self._engine.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < ends, log.read_text("utf-8")
            time.sleep(PAUSE_SECONDS)
        return log.read_text("utf-8")

    def leave(self) -> None:
        """Stop the engine and all that it started."""
        if self._engine is not None:
            self._engine.terminate()
            self._engine.wait(LONGEST_SECONDS)
            processes.kill_having({"BERTH_HOME": str(self.folder / ".berth")})


def _berth(arguments: list[str]) -> tuple[int, str]:
    """Run a command of ours in this process, which imports its libraries once for all of them."""
    said = io.StringIO()
    command = application()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = command.main(arguments, prog_name="berth", standalone_mode=False)
        except typer.Exit as ended:
            code = ended.exit_code
    return int(code or 0), said.getvalue()


def _curl(arguments: list[str]) -> tuple[int, str]:
    """Do what curl does with `-s`, `-d DATA` or `-d @FILE`, and an address."""
    given = arguments[arguments.index("-d") + 1] if "-d" in arguments else ""
    text = Path(given[1:]).read_text("utf-8") if given.startswith("@") else given
    data = text.encode() or None
    address = next(word for word in arguments if word.startswith("http://127.0.0.1:"))
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, data, headers)
    with urllib.request.urlopen(request, timeout=LONGEST_SECONDS) as answer:
        return 0, answer.read().decode()


def _python(name: str) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        runpy.run_path(name, run_name="__main__")
    return 0, said.getvalue()


def environment() -> dict[str, str]:
    """Return the environment in which documents are followed: as on a terminal, without ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "BERTH_COLUMNS": "100", "NO_COLOR": "1"}
