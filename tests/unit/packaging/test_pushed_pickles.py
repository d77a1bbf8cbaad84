"""A pickle goes from a push to a server by an administrator's leave, and never otherwise."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from engine.model.errors import InvalidInputError, RefusedError
from executors.packaging.repository import gates, weights
from executors.packaging.repository.gates import Checker
from executors.packaging.security.signing import keys
from executors.serving.packages import Packages
from tests.support.pushed_models import ROWS, World

TOML = """\
name = "churn"
format = "pickle"
file = "model.pkl"
features = ["x0", "x1"]
[deploy]
production = "http://127.0.0.1:1"
promote = "when tests pass"
"""
OWN = TOML.replace('format = "pickle"\nfile = "model.pkl"', 'format = "python"\nclass = "own:Own"')
LABELS = [0, 1, 0, 1]


@pytest.fixture
def pickled(world: World) -> World:
    """A model that is a pickle; the engine has a key, which the policy trusts."""
    world.write("model.toml", TOML)
    world.write("golden.json", json.dumps({"rows": ROWS.tolist(), "labels": LABELS}))
    public = keys.make(world.home / "signing.key", passphrase=None).pem
    (world.home / "team.pub").write_bytes(public)
    world.add("model.pkl", pickle.dumps(LogisticRegression(C=100.0).fit(ROWS, LABELS)))
    allow(world)
    return world


def allow(world: World, digest: str = "") -> None:
    text = "policy: p\nsignatures: {by: team.pub}\n"
    if digest:
        text += f"pickle:\n  - {{digest: {digest}, by: root, because: an old model}}\n"
    (world.home / "policy.yaml").write_text(text)


def refused(world: World) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        world.delivery.deliver("churn")
    return caught.value


def test_a_pickle_waits_for_leave_and_is_then_tested_and_served(pickled: World) -> None:
    pickled.push()
    found = refused(pickled)
    assert found.code == "P001"
    digest = found.fix.split("allow ")[1].split()[0]
    assert pickled.servers.swaps == []
    assert "pickle" in pickled.delivery.journal("churn").events()[-1].reason
    allow(pickled, digest)
    delivered = pickled.delivery.deliver("churn")
    assert delivered.package == digest
    assert pickled.servers.swaps == [digest]
    assert {gate.name for gate in delivered.gates if gate.holds} >= {"expected answers", "schema"}
    environment = {
        "BERTH_HOME": str(pickled.home),
        "BERTH_MODELS": str(pickled.home / "models"),
    }
    packages = Packages("churn", environment)
    model = packages.load(digest)
    assert model.infer(ROWS[::-1]).labels.tolist() == LABELS[::-1]
    assert model.pickle == f"{digest}, allowed by root: an old model"
    del model
    packages.processes.close()
    allow(pickled)
    assert "pickle" in refused(pickled).message


def test_leave_without_a_signature_is_none(pickled: World) -> None:
    pickled.push()
    digest = refused(pickled).fix.split("allow ")[1].split()[0]
    (pickled.home / "signing.key").unlink()
    allow(pickled, digest)
    assert "no key of the policy signed it" in refused(pickled).message


@pytest.mark.parametrize("toml", [TOML, OWN])
def test_nothing_is_opened_before_it_is_allowed(
    pickled: World, toml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(gates, "judge", lambda *given: asked.append(given))
    monkeypatch.setattr(Checker, "ask", lambda *given: asked.append(given))
    pickled.write("model.toml", toml)
    pickled.write("own.py", "class Own:\n    load = predict = None\n")
    pickled.push()
    assert "pickle" in refused(pickled).message
    with pytest.raises(RefusedError, match="not opened before it is allowed"):
        pickled.delivery.try_folder(pickled.work)
    assert asked == []


def test_what_would_run_programs_is_refused_whoever_allows_it(
    pickled: World, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    pickled.add("model.pkl", b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR.")
    pickled.push()
    digest = refused(pickled).fix.split("allow ")[1].split()[0]
    allow(pickled, digest)
    assert "pickle" in refused(pickled).message
    assert not mark.exists()
    assert pickled.servers.swaps == []


def test_a_pickle_of_another_name_is_no_model(pickled: World) -> None:
    pickled.write("model.toml", TOML.replace("model.pkl", "model.bin"))
    with pytest.raises(InvalidInputError, match=r"model\.bin"):
        pickled.deliver()


def test_a_pickle_is_kept_only_where_the_model_says_that_it_is_one(
    world: World, tmp_path: Path
) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(b"\x80\x04N.")
    for text in ('format = "onnx"', "=", None):
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        if text is not None:
            (folder / "model.toml").write_text(text)
        else:
            (folder / "model.toml").unlink()
        with pytest.raises(RefusedError, match="is a pickle") as caught:
            weights.add(folder, file, world.delivery.artifacts)
        assert 'format = "pickle"' in caught.value.fix
