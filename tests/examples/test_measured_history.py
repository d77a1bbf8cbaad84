"""The shipped run history and the fleet of the GPU demand can be used as the examples say."""

from pathlib import Path

from engine.capacity import read_demand
from engine.capacity.supply import supply_of
from engine.documents import fleets
from engine.model.specs import TaskKind
from forecasting import read_history

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HISTORY = read_history((EXAMPLES / "data" / "run-history.csv").read_text(encoding="utf-8"))


def test_every_kind_that_ends_was_measured() -> None:
    assert {record.kind for record in HISTORY} == set(TaskKind) - {TaskKind.SERVE}


def test_four_families_were_measured_at_several_sizes_and_trials() -> None:
    trained = [record.attributes for record in HISTORY if record.kind is TaskKind.TRAIN]
    assert {a["model"] for a in trained} == {"knn", "tree", "forest", "svm"}
    assert len({a["rows"] for a in trained}) >= 3
    assert len({a["trials"] for a in trained}) >= 4


def test_the_gpu_fleet_has_every_model_of_the_demand() -> None:
    text = (EXAMPLES / "gpu-fleet.yaml").read_text(encoding="utf-8")
    fleet = fleets.read_fleet(text, name="gpu-fleet.yaml")
    models = read_demand(
        "hour,A10,A100-SXM4-80GB,GPU-series-1,GPU-series-2,A800-SXM4-80GB\n0,1,1,1,1,1"
    )
    assert all(supply_of(fleet, series.pool).units > 0 for series in models)
