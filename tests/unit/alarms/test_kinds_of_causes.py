"""The kind of a cause follows from the names of what fired."""

from __future__ import annotations

import pytest

from alarms.localization import kinds
from engine.model.alarms import CauseKind


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["container_cpu_usage up", "system.io.r_s up"], CauseKind.INFRASTRUCTURE),
        (["nulls share high"], CauseKind.DATA),
        (["quality low"], CauseKind.MODEL),
        (["requests high"], CauseKind.DEMAND),
        (["GET /cart 500"], CauseKind.CODE),
        (["quota exceeded"], CauseKind.CONFIGURATION),
        (["cpu high", "nulls high"], CauseKind.UNKNOWN),
        (["something odd"], CauseKind.UNKNOWN),
        (["KubeNodeDiskPressure"], CauseKind.INFRASTRUCTURE),
        ([], CauseKind.UNKNOWN),
    ],
)
def test_the_kind_follows_from_what_fired(names: list[str], kind: CauseKind) -> None:
    assert kinds.kind_of(names) is kind
