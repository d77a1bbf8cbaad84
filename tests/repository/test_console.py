"""Every console example of every document is run, and shows what the document shows."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from tests.support import console

ROOT = console.ROOT
DOCUMENTS = [
    path
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md"), key=lambda found: (len(found.parts), found)),
    )
    if "generated" not in path.parts
]
COMMANDS = {
    path: [
        step for step in console.steps(path.read_text("utf-8")) if isinstance(step, console.Step)
    ]
    for path in DOCUMENTS
}
OF_THE_REPOSITORY = ("scripts/", "source ")
"""Commands that install or test the repository itself; this test would run itself with them."""


def is_of_the_repository(step: console.Step) -> bool:
    return step.command.startswith(OF_THE_REPOSITORY)


def followed(path: Path) -> bool:
    return any(not is_of_the_repository(step) for step in COMMANDS[path])


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[console.Reader]:
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(console.EXAMPLES, folder / "examples")
    # What documents export must not reach other tests of this process.
    with mock.patch.dict(os.environ, console.environment(), clear=True), contextlib.chdir(folder):
        one = console.Reader(folder)
        try:
            yield one
        finally:
            one.leave()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(
    "path", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in DOCUMENTS if followed(p)]
)
def test_a_document_shows_what_happens(reader: console.Reader, path: Path) -> None:
    lines = [
        line
        for line in path.read_text("utf-8").splitlines(keepends=True)
        if not line.startswith(tuple(f"$ {start}" for start in OF_THE_REPOSITORY))
    ]
    reader.follow("".join(lines))


def test_commands_of_the_repository_are_there() -> None:
    named = [
        s.command.split() for steps in COMMANDS.values() for s in steps if is_of_the_repository(s)
    ]
    missing = [
        words[0]
        for words in named
        if words[0] != "source" and not os.access(ROOT / words[0], os.X_OK)
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("Total $1.20, kept", "Total $0.0030,   kept"),
        ("r-1: active, ends ...\n\nNext: x", "r-1: active, ends 16:05:27\n─────\nNext: x"),
        ("forest runs on ... (P95 13 s)", "forest runs on berlin-1 for 4.4 s (P95 2 min 3 s)"),
    ],
)
def test_what_differs_from_run_to_run_is_left_out(expected: str, printed: str) -> None:
    assert console.shows(expected, printed.replace("─", ""))


@pytest.mark.parametrize(
    ("expected", "printed"),
    [("state: active", "state: failed"), ("one ... three", "one two"), ("no fault", "")],
)
def test_what_matters_is_compared(expected: str, printed: str) -> None:
    assert not console.shows(expected, printed)
