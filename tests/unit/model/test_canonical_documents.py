"""The same value gives the same bytes, and damaged bytes are never read."""

from __future__ import annotations

import math

import pytest

from engine.model import documents
from engine.model.errors import DamagedError
from engine.model.identifiers import MicroDollars, RunId, TaskName, attempt_id, dollars
from engine.model.resources import Resources
from engine.model.specs import PipelineSpec, TaskSpec
from engine.testing import samples


def test_keys_are_sorted_and_nothing_is_wasted() -> None:
    assert documents.encode(Resources(cpu_cores=1.5)).startswith('{"cpu_cores":1.5,"disk_gib":0.0,')


def test_what_is_encoded_is_decoded_the_same() -> None:
    spec = samples.chain()
    assert documents.decode(PipelineSpec, documents.encode(spec)) == spec


def test_letters_of_any_language_stay_as_they_are() -> None:
    assert "ü" in documents.encode({"name": "ü"})


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        documents.encode(Resources(cpu_cores=math.nan))


@pytest.mark.parametrize(
    ("text", "where"), [("{", "the top"), ('{"name": "a", "kind": "zzz"}', "kind")]
)
def test_damaged_text_is_refused_with_the_place(text: str, where: str) -> None:
    with pytest.raises(DamagedError, match=f"a stored TaskSpec is damaged at {where}"):
        documents.decode(TaskSpec, text)


def test_digests_are_of_content() -> None:
    digest = documents.sha256(b"")
    assert digest.startswith("sha256:e3b0c44298fc1c14")


def test_letters_are_short_and_stable() -> None:
    assert documents.letters("a") == documents.letters("a") != documents.letters("b")
    assert len(documents.letters("a", 12)) == 12


def test_attempts_have_deterministic_ids() -> None:
    assert attempt_id(RunId("r-1"), TaskName("etl"), 2) == "r-1.etl.2"


def test_money_is_rounded_to_the_millionth() -> None:
    assert dollars(0.1234567) == MicroDollars(123_457)
