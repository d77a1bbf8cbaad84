"""Features, tuning, gates."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from executors.packaging.registry import OciRegistry
from executors.tasks.context import BadInputError, GateError
from executors.training import evaluate, families, features, scores, search
from tests.support.heart_tasks import HeartTasks

GOOD: dict[str, object] = {"quality": 0.8, "loss_first": 0.5, "loss_last": 0.2}


def test_the_split_keeps_the_shares_of_classes(heart: HeartTasks) -> None:
    train, held_out = features.load_split(heart.outputs("features"))
    assert (len(train), len(held_out)) == (242, 61)
    assert train[:, -1].mean() == pytest.approx(held_out[:, -1].mean(), abs=0.01)


def test_the_split_is_a_matter_of_the_seed() -> None:
    labels = np.array([0, 1] * 50)
    first, again = (features.split(labels, share=0.2, seed=1) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, features.split(labels, share=0.2, seed=2))


def test_the_reference_is_said_as_signals(heart: HeartTasks) -> None:
    found = [s for s in heart.signals("features") if s["subject"] == "feature:heart/chol"]
    names = {"reference_median", "reference_mad", "reference_mean", "reference_sd"}
    assert {s["name"] for s in found} == names
    assert 230 < next(s["value"] for s in found if s["name"] == "reference_median") < 250


def test_a_feature_without_values_is_described_as_missing() -> None:
    assert features.describe(np.array([np.nan, np.nan]))["missing"] == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0, np.nan], "missing values"), ([0.5, 1.0], "fractions"), ([1.0, 1.0], "1 classes")],
)
def test_a_bad_target_is_refused(values: list[float], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        features.check_target(np.array(values), "target")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,x\n", "data.csv"), ("a\n1\n", "has 1 columns"), ("a,b\n1,2\n", "has 1 rows")],
)
def test_damaged_rows_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(BadInputError, match=message):
        features.load(tmp_path / "data.csv", columns=2)


def test_a_damaged_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.npy").write_bytes(b"rubbish")
    with pytest.raises(BadInputError, match="damaged"):
        features.load_split(tmp_path)


@pytest.mark.parametrize("family", ["knn", "tree", "forest", "svm", "boosting", "logistic"])
def test_every_family_learns(heart: HeartTasks, family: str) -> None:
    outputs = heart.values(family)
    assert outputs["model"] == family
    assert 0.65 < outputs["quality"] < 0.95
    assert outputs["loss_last"] < outputs["loss_first"]


def test_tuning_says_loss_and_precision_of_every_fold(heart: HeartTasks) -> None:
    found = heart.signals("knn")
    assert Counter(s["name"] for s in found) == {
        "loss": 5,
        "precision": 5,
        "samples_per_second": 1,
    }
    assert len({(s["name"], s["at"]) for s in found}) == len(found)


def test_training_gives_the_same_for_the_same_seed(heart: HeartTasks, tmp_path: Path) -> None:
    first = heart.values("tree")
    again = (
        HeartTasks(tmp_path)
        .upto_features()
        .run("tree", "train", "features", model=["tree"], trials=1)
    )
    assert {**again, "fit_seconds": 0} == {**first, "fit_seconds": 0}


def test_several_families_in_one_task_leave_the_best(heart: HeartTasks, tmp_path: Path) -> None:
    found = HeartTasks(tmp_path).upto_features()
    found.run("both", "train", "features", model=["tree", "logistic"], trials=1)
    metrics = json.loads((found.outputs("both") / "metrics.json").read_text())
    best = max(metrics["families"], key=lambda name: metrics["families"][name]["quality"])
    assert found.values("both")["model"] == metrics["best"] == best


def test_the_first_configuration_is_the_usual_one() -> None:
    family = families.family("forest")
    assert family.configurations(3, 1)[0] == family.configurations(1, 2)[0]
    assert family.configurations(3, 1) == family.configurations(3, 1)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(BadInputError, match="known: knn"):
        families.family("oracle")


def test_the_honest_estimate_is_below_the_best_of_many_coins() -> None:
    generator = np.random.default_rng(0)
    draws = [[generator.random(100) < 0.5 for _ in range(50)] for _ in range(20)]
    best = np.mean([max(coin.mean() for coin in coins) for coins in draws])
    honest = np.mean([search.honest(coins, seed=1)[0] for coins in draws])
    assert best > 0.59
    assert honest == pytest.approx(0.5, abs=0.02)


def test_precision_without_any_call_is_nought() -> None:
    assert scores.precision_of(np.array([0, 0]), np.array([0, 1]), 1) == 0.0


def compare(tmp_path: Path, models: dict[str, dict[str, object]], **spec: object) -> HeartTasks:
    found = HeartTasks(tmp_path)
    for name, outputs in models.items():
        found.outputs(name).mkdir(parents=True)
        (found.outputs(name) / "outputs.json").write_text(json.dumps(outputs))
    found.run("compare", "evaluate", *models, **spec)
    return found


def test_the_best_model_is_named(tmp_path: Path) -> None:
    found = compare(tmp_path, {"a": GOOD, "b": {**GOOD, "quality": 0.9}}, gates={})
    assert found.values("compare") == {"best": "b", "quality": 0.9, "passed": True}


def test_a_model_that_fails_its_own_gate_is_out(tmp_path: Path) -> None:
    broken = {**GOOD, "quality": 0.9, "loss_last": 0.6}
    found = compare(tmp_path, {"a": GOOD, "b": broken})
    assert found.values("compare")["best"] == "a"


@pytest.mark.parametrize(
    ("outputs", "gates", "message"),
    [
        ({**GOOD, "quality": math.nan}, {}, "not a number: quality"),
        ({**GOOD, "loss_last": 0.7}, {}, "must fall, went from 0.5 to 0.7"),
        ({"loss_first": 1.0}, {}, "expected quality, found loss_first"),
        (GOOD, {"outputs": ["size"]}, "expected size"),
        (GOOD, {"quality_at_least": 0.85}, "0.8000, needs at least 0.85"),
    ],
)
def test_gates_refuse_with_numbers(
    tmp_path: Path, outputs: dict[str, object], gates: dict[str, object], message: str
) -> None:
    with pytest.raises(GateError, match=message):
        compare(tmp_path, {"a": outputs}, gates=gates)


def test_a_worse_model_than_the_served_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"needs at least 0\.85"):
        compare(
            tmp_path,
            {"a": GOOD},
            gates={"quality_drop_at_most": 0.05},
            overrides={"served_quality": 0.9},
        )


def test_the_first_model_is_compared_with_none(tmp_path: Path) -> None:
    found = compare(tmp_path, {"a": GOOD}, gates={"quality_drop_at_most": 0.05})
    assert found.values("compare")["passed"]


def serving(heart: HeartTasks, tmp_path: Path) -> OciRegistry:
    """Return the registry of a comparison, in which a model of the real data serves."""
    registry = OciRegistry(tmp_path / "models")
    registry.add("heart", heart.outputs("package-knn"), tag="serving")
    return registry


def test_the_served_model_is_known_by_its_tag(heart: HeartTasks, tmp_path: Path) -> None:
    serving(heart, tmp_path)
    with pytest.raises(GateError, match=r"in service, at most 0\.01 less"):
        compare(tmp_path, {"a": {**GOOD, "quality": 0.7}}, gates={"quality_drop_at_most": 0.01})


def test_a_damaged_package_in_service_is_bad_input(heart: HeartTasks, tmp_path: Path) -> None:
    layout = serving(heart, tmp_path).layout("heart")
    for blob in (layout / "blobs" / "sha256").iterdir():
        blob.write_bytes(b"")
    with pytest.raises(BadInputError, match="in service is damaged"):
        compare(tmp_path, {"a": GOOD}, gates={"quality_drop_at_most": 0.01})


def test_nothing_to_judge_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no upstream task"):
        HeartTasks(tmp_path).run("compare", "evaluate")


def test_quality_in_words_is_bad_input() -> None:
    with pytest.raises(BadInputError, match="expected a number"):
        evaluate._number({"quality": "good"}, "quality")
