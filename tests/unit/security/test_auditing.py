"""Known vulnerabilities by pip-audit and OSV, and "not looked" told apart from "nothing found"."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import pytest

from executors.packaging.security.components import Component
from executors.packaging.security.scanning import auditing
from executors.packaging.security.scanning.auditing import Osv, PipAudit

FOUND = (
    Component(name="jinja2", version="2.11.0", place="site/jinja2-2.11.0.dist-info/METADATA"),
    Component(name="numpy", version="1.22.0"),
)
# As pip-audit 2.10 prints it.
ANSWER = {
    "dependencies": [
        {
            "name": "jinja2",
            "version": "2.11.0",
            "vulns": [
                {
                    "id": "PYSEC-2021-66",
                    "fix_versions": ["2.11.3"],
                    "aliases": ["CVE-2020-28493"],
                    "description": "A regular\nexpression",
                }
            ],
        },
        {"name": "numpy", "skip_reason": "Dependency not found on PyPI"},
        {"name": "other", "version": "1", "vulns": []},
    ],
    "fixes": [],
}


def program(folder: Path, said: str, code: int) -> PipAudit:
    """A program that prints an answer as pip-audit does, if it is asked as pip-audit is."""
    path = folder / "audit"
    path.write_text(
        "#!/bin/sh\n"
        f'case "$*" in "--no-deps --disable-pip --format json "*) ;; *) exit 9;; esac\n'
        f"cat <<'END'\n{said}\nEND\n"
        f"echo the index is away >&2\nexit {code}\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return PipAudit(str(path))


def test_what_pip_audit_knows_is_found_and_what_it_does_not_is_told(tmp_path: Path) -> None:
    report = program(tmp_path, json.dumps(ANSWER), 1).audit(FOUND)
    (finding,) = report.findings
    assert (finding.code, finding.place) == ("vulnerability.PYSEC-2021-66", FOUND[0].place)
    assert finding.message == "jinja2 2.11.0: PYSEC-2021-66: A regular expression"
    assert finding.fix == "update to 2.11.3"
    assert report.not_run == ("pip-audit does not know numpy",)


def test_a_pip_audit_that_fails_or_is_absent_did_not_look(tmp_path: Path) -> None:
    (reason,) = program(tmp_path, "no json", 1).audit(FOUND).not_run
    assert reason.endswith("pip-audit failed: the index is away")
    (reason,) = PipAudit("no-such-program").audit(FOUND).not_run
    assert reason.endswith("not installed")


def osv(status: int, answer: object) -> Osv:
    def answered(request: httpx.Request) -> httpx.Response:
        purls = [query["package"]["purl"] for query in json.loads(request.content)["queries"]]
        assert purls == ["pkg:pypi/jinja2@2.11.0", "pkg:pypi/numpy@1.22.0"]
        assert request.url.path == "/v1/querybatch"
        return httpx.Response(status, json=answer)

    return Osv("https://osv.test", httpx.Client(transport=httpx.MockTransport(answered)))


def test_what_osv_knows_is_found() -> None:
    report = osv(200, {"results": [{"vulns": [{"id": "GHSA-1"}]}, {}]}).audit(FOUND)
    assert [(f.code, f.place) for f in report.findings] == [
        ("vulnerability.GHSA-1", FOUND[0].place)
    ]


@pytest.mark.parametrize(("status", "answer"), [(503, {}), (200, {"results": [{}]}), (200, [])])
def test_an_osv_that_does_not_answer_did_not_look(status: int, answer: object) -> None:
    report = osv(status, answer).audit(FOUND)
    assert (report.findings, len(report.not_run)) == ((), 1)


def test_the_second_is_asked_where_the_first_did_not_look() -> None:
    asked = [PipAudit("no-such-program"), osv(200, {"results": [{}, {}]})]
    assert auditing.first_that_runs(asked, FOUND).not_run == ()
    report = auditing.first_that_runs([PipAudit("no-such-program"), osv(503, {})], FOUND)
    assert len(report.not_run) == 2
