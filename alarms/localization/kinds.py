"""What kind of thing went wrong, told by what fired: words of the names of signals.

Every exporter uses such words alike. Where they say nothing or contradict each other the kind is
unknown, which never leads to a retraining. `alarms.rootcause.components` makes causes of what the
finders of this folder found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from engine.model.alarms import CauseKind

_NAMED = {
    CauseKind.INFRASTRUCTURE: (
        "cpu disk fs io load mem memory network node pod threads reachable oom evicted gpu"
    ),
    CauseKind.DATA: "rows nulls null schema freshness feature features drift",
    CauseKind.MODEL: "quality precision recall accuracy loss gradient",
    CauseKind.DEMAND: "requests qps rps traffic sessions",
    CauseKind.CODE: "exception exceptions error errors 500 panic traceback",
    CauseKind.CONFIGURATION: "config configuration flag quota certificate",
}
_WORDS = {kind: frozenset(words.split()) for kind, words in _NAMED.items()}
_MAJORITY = 0.5
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def kind_of(names: Iterable[str]) -> CauseKind:
    """Return the kind that more than half of the telling names speak of, or unknown."""
    votes: Counter[CauseKind] = Counter()
    for name in names:
        # `NodeDiskFull` is three words.
        words = frozenset(re.split(r"[^a-z0-9]+", _CAMEL.sub(" ", name).lower()))
        votes.update(kind for kind, known in _WORDS.items() if words & known)
    if not votes:
        return CauseKind.UNKNOWN
    kind, most = max(votes.items(), key=lambda item: (item[1], item[0].value))
    return kind if most > _MAJORITY * votes.total() else CauseKind.UNKNOWN
