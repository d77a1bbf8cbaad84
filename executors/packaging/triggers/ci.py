"""Files that make a git host deliver a model by itself: `.gitlab-ci.yml`, a GitHub workflow."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from engine.model.errors import RefusedError


class Host(StrEnum):
    """A git host."""

    GITLAB = "gitlab"
    GITHUB = "github"


_PATHS = {Host.GITLAB: ".gitlab-ci.yml", Host.GITHUB: ".github/workflows/berth.yml"}
_TEXTS = {
    Host.GITLAB: """\
# Written by `berth ci init gitlab`. Set the variable BERTH_URL to the engine's address.
# The engine delivers each push by itself: its webhook is set up by `berth model track`.
stages: [test, promote]

default:
  image: python:3.11-slim
  before_script:
    - apt-get update -q && apt-get install -qy git
    - pip install -q berth

test:
  stage: test
  script:
    - berth model test .

promote:
  stage: promote
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
      when: manual
  script:
    - berth model promote {name} "$CI_COMMIT_SHA"
""",
    Host.GITHUB: """\
# Written by `berth ci init github`. Set the variable BERTH_URL to the engine's address.
name: berth
on:
  push: {{branches: [main]}}
  pull_request:
permissions: {{contents: read}}
env:
  BERTH_URL: ${{{{ vars.BERTH_URL }}}}
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {{python-version: "3.11"}}
      - run: pip install berth
      - run: berth model test .
  promote:
    if: github.ref == 'refs/heads/main'
    needs: test
    environment: production
    runs-on: ubuntu-latest
    steps:
      - uses: actions/setup-python@v5
        with: {{python-version: "3.11"}}
      - run: pip install berth
      - run: berth model promote {name} ${{{{ github.sha }}}}
""",
}


def write(folder: Path, host: Host, name: str) -> Path:
    """Write the file of a host; return it.

    Raises:
        RefusedError: when there is another one already.
    """
    path = folder / _PATHS[host]
    text = _TEXTS[host].format(name=name)
    if path.exists() and path.read_text("utf-8") != text:
        raise RefusedError(f"{str(path)!r} is there already", fix="remove it, or edit it by hand")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
