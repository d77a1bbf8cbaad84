"""Kubernetes clusters in an application: found by settings, shown, examined, told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.report import fleets as report
from api.settings import load
from api.wiring import doctor, fleets, parts
from engine.model.errors import InvalidInputError
from engine.testing import samples

CONFIG = {
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("e", "w")],
    "current-context": "e",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    config = tmp_path / "config"
    config.touch(mode=0o600)
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    (tmp_path / "kubernetes.toml").write_text('kubeconfig = "config"\n', encoding="utf-8")
    return tmp_path


def built(home: Path) -> parts.Parts:
    return parts.build(load({"home": str(home)}, environment={}, folder=home))


def test_a_cluster_that_does_not_answer_is_shown_and_examined(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executors.kubernetes.fleet.FIRST_LOOK_SECONDS", 0.2)
    made = built(home)
    try:
        fleet = made.fleet.fleet()
        assert [(each.name, each.reachable) for each in fleet.clusters] == [
            ("e", False),
            ("w", False),
        ]
        assert report.fleet_text(fleet).count("down") == 2
        found = list(doctor.kubernetes_findings(made))
        assert [(each.name, each.fine) for each in found] == [
            ("cluster e", False),
            ("cluster w", False),
        ]
        assert "Connection refused" in found[0].message
    finally:
        made.close()


def test_the_registry_of_modelcars_is_examined(home: Path) -> None:
    text = (
        'kubeconfig = "config"\n'
        '[clusters.e]\ncontext = "e"\nserves_as = "inferenceservice"\n'
        'modelcars = "127.0.0.1:1/models"\n'
    )
    (home / "kubernetes.toml").write_text(text, encoding="utf-8")
    made = built(home)
    try:
        (found,) = doctor.registry_findings(made, {})
        assert (found.name, found.fine) == ("registry 127.0.0.1:1", False)
        assert "Connection refused" in found.message
        assert "modelcars of e" in found.message
    finally:
        made.close()


def test_without_kubernetes_there_is_no_registry_to_examine(tmp_path: Path) -> None:
    settings = load({"home": str(tmp_path)}, environment={}, folder=tmp_path)
    made = parts.build(settings)
    try:
        assert not list(doctor.registry_findings(made, {}))
    finally:
        made.close()


def test_without_settings_there_is_no_kubernetes(tmp_path: Path) -> None:
    settings = load({"home": str(tmp_path)}, environment={}, folder=tmp_path)
    assert fleets.kubernetes_clusters(settings) is None


def test_the_id_of_an_installation_stays(home: Path) -> None:
    first, second = built(home), built(home)
    assert first.kubernetes is not None
    assert second.kubernetes is not None
    assert first.kubernetes.installation == second.kubernetes.installation
    first.close()
    second.close()


def test_two_clusters_of_one_name_are_refused(home: Path) -> None:
    made = built(home)
    with pytest.raises(InvalidInputError, match="'w' is in the fleet file"):
        fleets.joined(samples.FixedFleet(samples.fleet("w")), made.kubernetes)
    made.close()
