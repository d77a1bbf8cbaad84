"""Pages of the reference that are written by hand name what the code has, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alarms.detection.settings import MEANINGS
from alarms.rules.files import load_rules
from alarms.rules.model import ALARM_FIELDS, LABELS, SIGNAL_FIELDS, Verb
from engine import plugins
from engine.documents import read_fleet
from engine.model import dispatches
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.resources import Resources
from engine.model.signals import Layer, Shape
from engine.model.sizing import USE_SIGNALS
from engine.model.specs import TaskKind
from executors.local import files, launch, results, together

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
YAML = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
FEATURES = {
    *(f"reference_{figure}" for figure in ("median", "mad", "mean", "sd")),
    "feature_median",
    "feature_mean",
}


def words(page: str) -> set[str]:
    """Return everything a page writes as code."""
    return set(re.findall(r"`([^`\n]+)`", (REFERENCE / page).read_text("utf-8")))


def order() -> dispatches.AttemptOrder:
    return dispatches.AttemptOrder(
        attempt_id=AttemptId("r-1.etl.1"),
        run_id=RunId("r-1"),
        pipeline=PipelineName("churn"),
        task=TaskName("etl"),
        kind=TaskKind.ETL,
        cluster=ClusterName("here"),
        pool=PoolName("machine"),
        command=(),
        folder="",
        inputs={},
        parameters={},
        limits=Resources(),
    )


def test_the_variables_of_a_task_are_those_that_are_set() -> None:
    told = {word for word in words("tasks.md") if re.fullmatch(r"(BERTH|PET)_[A-Z_]+", word)}
    of_nodes = {*together.variables((1, 1), 0, "here:1"), *together.variables((1,), 0, "")}
    assert told == {*launch.variables(order(), ROOT), *of_nodes}


@pytest.mark.parametrize(
    "name",
    [value for name, value in vars(files).items() if name.isupper() and isinstance(value, str)],
)
def test_every_file_of_an_attempt_is_told(name: str) -> None:
    assert words("tasks.md") & {name, f"{name}/"}


def test_exit_codes_of_tasks_are_told() -> None:
    page = (REFERENCE / "tasks.md").read_text("utf-8")
    assert all(f"| {code} |" in page for code in (results.EXIT_BAD_INPUT, results.EXIT_GATE))


def test_every_signal_with_a_meaning_is_told() -> None:
    assert {*MEANINGS, *FEATURES, *USE_SIGNALS} <= words("signals.md")


def test_signals_that_are_told_are_measured() -> None:
    page = (REFERENCE / "signals.md").read_text("utf-8")
    first = [line.split("|")[1] for line in page.splitlines() if ":PIPELINE" in line]
    told = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    assert told <= {*MEANINGS, *FEATURES, *USE_SIGNALS}


def test_layers_and_shapes_are_told() -> None:
    assert {item.value for item in (*Layer, *Shape)} <= words("signals.md")


def test_what_conditions_of_rules_read_is_told() -> None:
    assert {*SIGNAL_FIELDS, *ALARM_FIELDS, *LABELS} <= words("rules.md")


def test_every_verb_of_a_rule_is_told() -> None:
    told = {word.partition(":")[0] for word in words("rules.md")}
    assert {verb.value for verb in Verb} <= told


def test_the_rules_that_are_shown_can_be_read() -> None:
    text = YAML.findall((REFERENCE / "rules.md").read_text("utf-8"))[0]
    assert load_rules(text, "rules.md").rules


def test_every_group_of_plugins_is_told() -> None:
    assert set(plugins.GROUPS) <= words("plugins.md")


def test_fleets_that_are_shown_can_be_read() -> None:
    shown = [
        block
        for path in (ROOT / "docs").rglob("*.md")
        for block in YAML.findall(path.read_text("utf-8"))
        if block.startswith("clusters:")
    ]
    assert shown
    assert all(read_fleet(block, name="example").clusters for block in shown)
