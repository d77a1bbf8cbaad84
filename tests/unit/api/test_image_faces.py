"""Images through the command line and REST: the same verdicts, findings and bills."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.cli import main
from api.settings import Settings
from executors.packaging import images
from executors.packaging.registry import OciRegistry

Berth = Callable[..., int]
ABOUT = {"name": "heart", "format": "onnx", "file": "model.onnx", "made_with": {}}


def keep(home: Path, **more: bytes) -> str:
    """Keep a packaged model in a data folder; return its digest."""
    files = {"metadata.json": images.canonical(ABOUT), "model.onnx": b"\x08\x08\x12\x00"}
    named = {name.replace("_", "."): data for name, data in more.items()}
    images.write_image(home / "made", files | named, labels={}, tag="r-1")
    return OciRegistry(home / "models").add("heart", home / "made", tag="r-1")


@pytest.fixture
def berth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Berth:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BERTH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BERTH_HOME", str(tmp_path))

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main.application()(["image", *arguments], prog_name="berth")
        return int(str(ended.value.code or 0))

    return run


def test_a_model_is_signed_and_verified(
    berth: Berth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(tmp_path)
    assert berth("keys", "team.key") == 0
    assert berth("verify", "heart", "--key", "team.pub") == 1
    assert "unsigned" in capsys.readouterr().out
    assert berth("sign", "heart", "--key", "team.key") == 0
    assert berth("verify", "heart:r-1", "--key", "team.pub") == 0
    assert "signed by team.pub; scan vouched for" in capsys.readouterr().out


def test_without_a_key_nothing_can_be_signed(
    berth: Berth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(tmp_path)
    assert berth("sign", "heart") == 1
    assert "berth image keys" in capsys.readouterr().err


def test_a_pickle_is_told_by_exit_code_and_row(
    berth: Berth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04\x8c\x02os\x8c\x06system\x93.")
    assert berth("scan", "model.pkl") == 1
    assert "would import `os.system`" in capsys.readouterr().out
    assert berth("scan", "model.pkl", "--json") == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert findings[0]["severity"] == "critical"


def test_a_bill_is_printed_or_written(
    berth: Berth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(tmp_path)
    assert berth("sbom", "heart", "--out", "bill.json") == 0
    capsys.readouterr()
    assert berth("sbom", "heart") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "bill.json").read_text())


def test_a_policy_with_a_fault_is_shown_with_its_line(
    berth: Berth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.yaml").write_text("policy: p\nscan: {worst: bad}\n")
    assert berth("policy") == 2
    said = capsys.readouterr().err
    assert "2 | scan: {worst: bad}" in said
    assert "^" in said


def test_a_signature_by_gpg_needs_a_reference(
    berth: Berth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(tmp_path)
    assert berth("sign", "heart", "--gpg", "A1") == 1
    assert "--reference" in capsys.readouterr().err


def test_what_is_not_there_is_named(berth: Berth, capsys: pytest.CaptureFixture[str]) -> None:
    assert berth("verify", "absent") == 2
    assert "'absent'" in capsys.readouterr().err


def test_rest_gives_verdict_findings_and_bill(http: TestClient, settings: Settings) -> None:
    digest = keep(settings.home, model_pkl=b"\x80\x04K\x01.")
    verdict = http.get("/v1/images/heart/verdict").json()
    assert verdict["digest"] == digest
    assert [refusal["reason"] for refusal in verdict["refusals"]] == ["pickle"]
    findings = http.get("/v1/images/heart:r-1/findings").json()["findings"]
    assert {found["code"] for found in findings} == {"pickle.file"}
    assert http.get(f"/v1/images/heart@{digest}/sbom").json()["bomFormat"] == "CycloneDX"


@pytest.mark.parametrize("name", ["absent", "heart:absent", "..", "%2Fetc%2Fpasswd", "heart@x"])
def test_rest_gives_nothing_but_packaged_models(
    http: TestClient, settings: Settings, name: str
) -> None:
    keep(settings.home)
    assert http.get(f"/v1/images/{name}/findings").status_code == 404
