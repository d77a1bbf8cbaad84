"""Errors say whether trying again helps, and name the next step."""

from __future__ import annotations

import pytest

from engine.model import errors


@pytest.mark.parametrize(
    ("kind", "code", "exit_code", "retryable"),
    [
        (errors.UnreachableError, "R001", 5, True),
        (errors.ConflictError, "R002", 5, True),
        (errors.NotFoundError, "N001", 2, False),
        (errors.InfeasibleError, "S020", 4, False),
        (errors.WorldChangedError, "W001", 3, False),
        (errors.RefusedError, "G001", 1, False),
        (errors.DamagedError, "D001", 1, False),
    ],
)
def test_each_error_has_a_code_and_an_exit_code(
    kind: type[errors.BerthError], code: str, exit_code: int, retryable: bool
) -> None:
    error = kind("went wrong", fix="try that")
    assert (error.code, error.exit_code, str(error)) == (code, exit_code, "went wrong")
    assert error.fix == "try that"
    assert isinstance(error, errors.RetryableError) is retryable


def test_an_error_may_have_a_code_of_its_own() -> None:
    assert errors.FinalError("x", code="S013").code == "S013"


def test_faults_come_together_and_the_first_is_named() -> None:
    faults = [
        errors.Fault(code="S002", message="unknown key"),
        errors.Fault(code="S003", message="b"),
    ]
    error = errors.InvalidInputError("heart.yaml", faults)
    assert str(error) == "'heart.yaml': unknown key (and 1 more)"
    assert (error.code, error.exit_code, error.faults) == ("S002", 2, tuple(faults))


def test_one_fault_stands_alone() -> None:
    error = errors.InvalidInputError("x", [errors.Fault(code="S003", message="b")])
    assert str(error) == "'x': b"


def test_a_document_without_named_faults_is_still_an_error() -> None:
    assert errors.InvalidInputError("x", []).code == "S001"


def test_clashes_and_changes_are_data() -> None:
    clash = errors.Clash(wish="budget", relaxation="4 USD more")
    assert errors.InfeasibleError("x", clashes=[clash]).clashes == (clash,)
    assert errors.WorldChangedError("x", changes=["a"]).changes == ("a",)
