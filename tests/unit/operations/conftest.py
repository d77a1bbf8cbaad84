"""Small data of the three kinds, and a model of each trained on them once."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path

import pytest

from executors.training.operations import template
from executors.training.operations.template import Order, Template, Trained

CASES = 24
SERVICES = ("front", "cart", "shop", "pay")


def write_metric(path: Path, *, steps: int = 260, labelled: bool = False) -> Path:
    """A metric with a season of four steps; labelled, with a spike near its end."""
    dice = random.Random(3)
    lines = ["timestamp,value,label" if labelled else "timestamp,value"]
    for step in range(steps):
        value = 50 + 20 * math.sin(2 * math.pi * step / 4) + dice.gauss(0, 1)
        spike = labelled and 200 <= step < 203
        lines.append(f"{step * 300},{value + 200 * spike:.4f}" + f",{int(spike)}" * labelled)
    path.write_text("\n".join(lines) + "\n")
    return path


def write_cases(folder: Path) -> Path:
    """Faults of four services in a row: the culprit raises `down`, whoever calls it `slow`."""
    folder.mkdir(parents=True)
    nodes = [{"id": name, "type": "Service"} for name in SERVICES]
    edges = [
        {"source": one, "target": other, "label": "calls"}
        for one, other in itertools.pairwise(SERVICES)
    ]
    (folder / "topology.json").write_text(json.dumps({"nodes": nodes, "edges": edges}))
    alerts, labels = ["case,entity,signal"], ["case,entity"]
    for case in range(CASES):
        place = case % len(SERVICES)
        labels.append(f"{case},{SERVICES[place]}")
        alerts.append(f"{case},{SERVICES[place]},down")
        alerts += [f"{case},{SERVICES[above]},slow" for above in range(place)]
        alerts.append(f"{case},stranger,slow")
    (folder / "alerts.csv").write_text("\n".join(alerts) + "\n")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `metric.csv`, `marked.csv` and the cases in `faults`."""
    folder = tmp_path_factory.mktemp("operations")
    write_metric(folder / "metric.csv")
    write_metric(folder / "marked.csv", labelled=True)
    write_cases(folder / "faults")
    return folder


@pytest.fixture(scope="session")
def forecast(data: Path) -> Trained:
    settings = {"season": "4", "horizon": 12, "history": 80}
    order = Order(source=data / "metric.csv", settings=settings, seed=1)
    return template.train(Template.FORECAST, order)


@pytest.fixture(scope="session")
def detector(data: Path) -> Trained:
    pytest.importorskip("torch")
    settings = {"window": 16, "steps": 60, "flagged": 0.02}
    order = Order(source=data / "marked.csv", settings=settings, seed=1)
    return template.train(Template.ANOMALY, order)


@pytest.fixture(scope="session")
def locator(data: Path) -> Trained:
    pytest.importorskip("torch")
    settings = {"folds": 2, "steps": 40, "format": "torch"}
    order = Order(source=data / "faults", settings=settings, seed=1)
    return template.train(Template.LOCATOR, order)
