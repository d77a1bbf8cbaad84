from __future__ import annotations

from api.report import codes, errors
from api.report.tables import Style
from engine.model.errors import (
    Clash,
    Fault,
    InfeasibleError,
    InvalidInputError,
    RefusedError,
    WorldChangedError,
)


def test_a_fault_is_drawn_as_the_experience_says() -> None:
    fault = Fault(
        code="S012",
        message="no cluster can run task `train`: the largest H100 cluster you may use has 8",
        line=14,
        column=28,
        length=2,
        source_line="  gpu: {kind: h100, count: 16}",
        candidates=("us-h100-1 (8)", "eu-h100-1 (4, reserved for team-risk)"),
        fix="use `count: 8`",
    )
    assert errors.error_text(InvalidInputError("churn.yaml", [fault])) == (
        "error[S012]: no cluster can run task `train`\n"
        "  --> churn.yaml:14:28\n"
        "   |\n"
        "14 |   gpu: {kind: h100, count: 16}\n"
        "   |                            ^^ the largest H100 cluster you may use has 8\n"
        "   |\n"
        "considered: us-h100-1 (8), eu-h100-1 (4, reserved for team-risk)\n"
        "fix: use `count: 8`\n"
        "more: berth help S012"
    )


def test_a_fault_without_a_line_names_its_path() -> None:
    fault = Fault(code="S004", message="a word is needed", path="tasks.train")
    assert "  --> request: tasks.train" in errors.error_text(InvalidInputError("request", [fault]))


def test_all_faults_are_told() -> None:
    faults = [Fault(code="S002", message="first"), Fault(code="S003", message="second")]
    text = errors.error_text(InvalidInputError("a.yaml", faults))
    assert text.count("error[") == 2


def test_of_very_many_faults_the_first_are_told() -> None:
    faults = [Fault(code="H013", message=f"value {n}") for n in range(300)]
    text = errors.error_text(InvalidInputError("history.csv", faults))
    assert text.count("error[") == 20
    assert text.endswith("and 280 more faults")


def test_a_clash_names_each_wish_with_its_relaxation() -> None:
    clashes = [
        Clash(wish="budget 1 USD", relaxation="2 USD"),
        Clash(wish="deadline", relaxation="1 h later"),
    ]
    lines = errors.error_text(InfeasibleError("no plan", clashes=clashes)).splitlines()
    assert lines[1:4] == [
        "2 wishes cannot hold together; relaxing any one of them ends this clash:",
        "  budget 1 USD   2 USD",
        "  deadline       1 h later",
    ]


def test_a_wish_that_clashes_with_nothing_else_is_told_once() -> None:
    clashes = [Clash(wish="budget 1 USD", relaxation="2 USD")]
    error = InfeasibleError("this wish cannot be kept: budget 1 USD", clashes=clashes, fix="2 USD")
    assert errors.error_text(error).splitlines()[1:] == ["fix: 2 USD", "more: berth help S020"]


def test_a_changed_world_names_what_changed() -> None:
    text = errors.error_text(WorldChangedError("changed", changes=["eu-1 does not answer"]))
    assert "\n  ~ eu-1 does not answer\n" in text


def test_control_characters_are_written_out() -> None:
    assert "\x1b" not in errors.error_text(RefusedError("a\x1b[31mb"))


def test_colour_stands_beside_the_words() -> None:
    text = errors.error_text(RefusedError("no"), Style(colour=True))
    assert text.startswith("\x1b[1;31merror[G001]\x1b[0m: no")


def test_every_code_has_a_page() -> None:
    listed = codes.code_text("all").splitlines()
    assert all(codes.code_text(line.split()[0]).count("\n") >= 2 for line in listed)
    assert codes.code_text("s012").startswith("S012: ")
