"""Runs every example in docstrings and documents as a test.

Doctests in the packages' docstrings, and Python code blocks in the Markdown documents, are
executed where they stand. Console examples are run by `tests/repository/test_console.py`, and so
are the files that a document lets its reader write, such as `<!-- file: ask.py -->`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Document, Region, Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

PACKAGES = (
    "berth",
    "engine",
    "forecasting",
    "placement",
    "alarms",
    "executors",
    "simulations",
    "api",
)

PROMPT = b">>>"
"""Each example of a docstring begins so."""
FILE = re.compile(r"<!-- file: \S+ -->\s*\Z")


def python_blocks(document: Document) -> Iterator[Region]:
    """Yield Python blocks, but for those that are files: a command below runs them."""
    for region in PythonCodeBlockParser()(document):
        if not FILE.search(document.text, 0, region.start):
            yield region


docstrings = Sybil(
    parsers=[DocTestParser()], patterns=[f"{package}/**/*.py" for package in PACKAGES]
)
documents = Sybil(
    parsers=[python_blocks, SkipParser()], patterns=["README.md", "docs/*.md", "docs/**/*.md"]
)
_examples_of = (docstrings + documents).pytest()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the examples of a file; modules without any need not be parsed in every process."""
    if file_path.suffix == ".py" and PROMPT not in file_path.read_bytes():
        return None
    found: pytest.Collector | None = _examples_of(file_path, parent)
    return found
