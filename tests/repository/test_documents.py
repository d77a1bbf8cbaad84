"""Every YAML pipeline shown in a document can be read."""

import re
from pathlib import Path

import pytest

from engine.documents import read_pipeline

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?<!slip.yaml -->\n)^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
"""The tutorial shows one pipeline that cannot be read, and what is said of it."""
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PIPELINES = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}-{number}")
    for path in DOCUMENTS
    if "generated" not in path.parts
    for number, block in enumerate(BLOCK.findall(path.read_text(encoding="utf-8")))
    if re.search(r"^pipeline:", block, re.MULTILINE)
]


@pytest.mark.parametrize("text", PIPELINES)
def test_a_pipeline_shown_in_a_document_can_be_read(text: str) -> None:
    assert read_pipeline(text, name="example", as_of=0.0).tasks
