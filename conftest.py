"""Runs every example in docstrings and documents as a test.

Doctests in the packages' docstrings, and Python code blocks in the Markdown documents, are
executed where they stand. Console examples are run by `tests/repository/test_console.py`, and so
is the Python of the tutorial, which needs the engine that the tutorial starts.
"""

from sybil import Sybil
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

docstrings = Sybil(
    parsers=[DocTestParser()], patterns=[f"{package}/**/*.py" for package in PACKAGES]
)
documents = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/**/*.md"],
    excludes=["docs/tutorial.md"],
)

pytest_collect_file = (docstrings + documents).pytest()
