"""The pipeline that `berth init` writes."""

from __future__ import annotations

import sys

import typer

from api.cli.frame import Talk

_DEADLINE = "in 6 h"
_BUDGET = "10 USD per run"

_TEXT = """\
# {name}.yaml: what shall run, what is promised, what it may cost. Machines are Berth's business.
pipeline: {name}
owner: me
sla:
  deadline: {deadline}        # or `daily 06:00 Europe/Paris`; end of the last task but serving
  keep: 0.95                  # probability with which it must be kept
limits: {limits}
tasks:
  # Only `kind` is needed: memory, processors and time are forecast and can be overridden
  # (`memory: 24 GiB`, `cpu: 4`). `berth plan --show-defaults` prints what is filled in.
  etl:      {{kind: etl, volume: 1 MiB}}          # add `reads: data.csv`, `target: COLUMN`
  features: {{kind: features, after: etl}}
  train:    {{kind: train, after: features, model: [forest, tree], trials: 8}}
  evaluate: {{kind: evaluate, after: train, gates: {{quality: at least 0.7}}}}
  package:  {{kind: package, after: [evaluate, train]}}
  serve:    {{kind: serve, after: package, requests: 10/s peak, p99: 100 ms, availability: 99 %}}
retrain:
  when: [drift, quality below 0.7]
  at most: {{times: 2 per day, budget: 20 USD per day}}
"""


def starting_point(talk: Talk, name: str, deadline: str, budget: str, regions: str) -> str:
    """Return the text of a commented pipeline; what was not given is asked on a terminal."""
    asks = sys.stdin.isatty() and not talk.yes and not talk.quiet
    deadline = deadline or _ask("When must it have ended?", _DEADLINE, asks=asks)
    budget = budget or _ask("What may a run cost?", _BUDGET, asks=asks)
    regions = regions or _ask("Where may it run (empty: anywhere)?", "", asks=asks)
    limits = f"{{budget: {budget}" + (f", regions: [{regions}]" if regions else "") + "}"
    return _TEXT.format(name=name, deadline=deadline, limits=limits)


def _ask(question: str, default: str, *, asks: bool) -> str:
    if not asks:
        return default
    return str(typer.prompt(question, default=default, show_default=bool(default), err=True))
