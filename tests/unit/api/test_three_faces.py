from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.cli import main
from api.client import Client
from berth import Pipeline, etl, evaluate, features, package, serve, train
from tests.support.faces import AS_OF

HEART = Path(__file__).parents[3] / "examples" / "heart.yaml"
FAMILIES = {"knn": 8, "tree": 8, "forest": 4, "svm": 8}
UNITS = {"age": "years", "trestbps": "mmHg", "chol": "mg/dL", "thalach": "bpm", "oldpeak": "mm"}


def heart() -> Pipeline:
    """The pipeline of examples/heart.yaml, in Python."""
    return Pipeline(
        "heart",
        owner="team-cardiology",
        seed=7,
        deadline="in 30 min",
        keep=0.95,
        budget="2 USD per run",
        regions=["eu"],
        folder=HEART.parent,
        tasks=[
            etl(reads="data/heart-disease.csv", volume="12 KiB", target="target", schema=UNITS),
            features(after="etl"),
            *(train(name, after="features", model=name, trials=n) for name, n in FAMILIES.items()),
            evaluate(
                "compare",
                after=list(FAMILIES),
                gates={"quality": "at least 0.70", "outputs": ["quality"]},
            ),
            *(
                package(
                    f"package-{name}", after=["compare", name], when=f'compare.best == "{name}"'
                )
                for name in FAMILIES
            ),
            serve(
                after=[f"package-{name}" for name in FAMILIES],
                join="any",
                requests="20/s peak",
                p99="100 ms",
                availability="99.5 %",
            ),
        ],
        retrain={
            "when": ["drift", "quality below 0.70"],
            "at_most": {"times": "2 per day", "budget": "5 USD per day"},
            "cool_down": "10 min",
        },
    )


def run_cli(*arguments: str) -> int:
    """Run the command line in this process and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main.application()(list(arguments), prog_name="berth")
    return int(str(ended.value.code or 0))


def test_yaml_by_cli_python_client_and_rest_give_the_same_bytes(
    client: Client, served: str, http: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    by_client = client.plan(heart(), as_of=AS_OF).document
    query = f"as_of={AS_OF}&folder={HEART.parent}"
    yaml = {"content-type": "application/yaml"}
    by_rest = http.post(f"/v1/plans?{query}", content=HEART.read_bytes(), headers=yaml).text
    code = run_cli("plan", str(HEART), "--as-of", "2027-01-15T08:00Z", "--json", "--url", served)
    assert code == 0
    assert capsys.readouterr().out.rstrip("\n") == by_client == by_rest


def test_the_mapping_of_the_builders_reads_as_the_same_pipeline(client: Client) -> None:
    assert client.check(heart()).pipelines == client.check(HEART).pipelines


def test_the_same_seed_gives_the_same_plan_and_another_seed_another_one(client: Client) -> None:
    plan: Callable[[int], str] = lambda seed: client.plan(HEART, as_of=AS_OF, seed=seed).plan_id  # noqa: E731
    assert plan(1) == plan(1) != plan(2)
