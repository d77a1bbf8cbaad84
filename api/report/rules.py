"""Rules that were tried, as text."""

from __future__ import annotations

from collections.abc import Sequence

from alarms.rules.model import RuleSet
from alarms.rules.trying import Outcome, Use
from api.report import phrases
from api.report.tables import PLAIN, Column, Style, table

_TRIALS = (
    Column(title="TEST"),
    Column(title="HOLDS"),
    Column(title="EXPECTED"),
    Column(title="FOUND"),
    Column(title="BY RULES", rank=1),
)
_USES = (
    Column(title="RULE"),
    Column(title="DOES"),
    Column(title="TOUCHED", right=True),
    Column(title="FOR EXAMPLE", rank=1),
)


def trials_text(rules: RuleSet, outcomes: Sequence[Outcome], style: Style = PLAIN) -> str:
    """Return a row for each test, and one line about the whole."""
    count = phrases.plural(len(rules.rules), "rule")
    if not outcomes:
        return f"{count} without a fault. The file has no tests: add `tests`."
    rows = [
        (
            one.trial.name,
            "yes" if one.holds else "NO",
            one.trial.expect.value if one.trial.expect else "nothing",
            one.found.value if one.found else "nothing",
            ", ".join(one.rules) or "none",
        )
        for one in outcomes
    ]
    held = sum(one.holds for one in outcomes)
    total = f"{count} without a fault; {held} of {phrases.plural(len(outcomes), 'test')} hold."
    return f"{table(_TRIALS, rows, style)}\n\n{total}"


def uses_text(uses: Sequence[Use], style: Style = PLAIN) -> str:
    """Return a row for each rule with what it did to a recording."""
    rows = [(use.rule, use.verb, str(use.touched), use.example) for use in uses]
    return f"On the recording:\n{table(_USES, rows, style)}"
