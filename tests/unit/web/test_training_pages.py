"""Pages about records of trainings."""

from pathlib import Path

from starlette.testclient import TestClient

from engine.ports import Ledger


def test_trainings_are_listed_below_runs(
    trained: tuple[str, str], filled: Ledger, browser: TestClient
) -> None:
    text = browser.get("/runs").text
    assert "<h2>Trainings outside pipelines</h2>" in text
    places = [text.index(f'href="/records/{name}"') for name in reversed(trained)]
    assert places == sorted(places)
    assert text.index('href="/runs/r-1"') < places[0]
    assert "0.75" in text


def test_trainings_are_listed_where_nothing_ran(
    trained: tuple[str, str], browser: TestClient
) -> None:
    text = browser.get("/runs").text
    assert f'href="/records/{trained[0]}"' in text
    assert "berth apply PLAN" not in text


def test_a_damaged_training_is_named_below_those_that_are_not(
    trained: tuple[str, str], tmp_path: Path, browser: TestClient
) -> None:
    (tmp_path / "trainings" / trained[0] / "training.json").write_text("<b>")
    text = browser.get("/runs").text
    assert f"the training &#39;{trained[0]}&#39; is damaged" in text
    assert "do it again, and remove" in text
    assert f'href="/records/{trained[0]}"' not in text
    assert f'href="/records/{trained[1]}"' in text
    answer = browser.get(f"/records/{trained[0]}")
    assert answer.status_code == 500
    assert "is damaged" in answer.text


def test_a_training_has_a_page_with_its_record(
    trained: tuple[str, str], browser: TestClient
) -> None:
    text = browser.get(f"/records/{trained[0]}").text
    assert f"<h1>Training {trained[0]} of net</h1>" in text
    assert "By berth train" in text
    assert "sha256:1" in text
    assert "&lt;b&gt;" in text
    assert f'href="/records/{trained[0]}/{trained[1]}"' in text
    assert f'href="/records/{trained[0]}/{trained[0]}"' not in text


def test_a_run_has_a_page_with_the_records_of_its_trainings(
    filled: Ledger, browser: TestClient
) -> None:
    assert 'href="/records/r-1"' in browser.get("/runs/r-1").text
    text = browser.get("/records/r-1").text
    assert "<h1>Trainings of run r-1</h1>" in text
    assert "<h2>Metrics of etl</h2>" in text


def test_two_trainings_stand_side_by_side(trained: tuple[str, str], browser: TestClient) -> None:
    text = browser.get(f"/records/{trained[0]}/{trained[1]}").text
    assert "1 difference in data, code, parameters and environment." in text
    assert "data.heart.csv" in text
    assert "<h2>What else differs</h2>" in text
    assert "<td>quality</td>" in text
    assert "code.net.py" not in text


def test_what_trained_nothing_says_so(browser: TestClient) -> None:
    assert "Neither run has trained anything." in browser.get("/records/r-8/r-9").text


def test_a_training_that_is_not_there_has_no_page(browser: TestClient) -> None:
    for name in ("t-unknown", "t-" + 300 * "a", "t-..", "r-9"):
        answer = browser.get(f"/records/{name}")
        assert answer.status_code == 404
