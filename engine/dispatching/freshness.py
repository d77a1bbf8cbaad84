"""How old the newest output of each pipeline is: what nobody renews goes stale without a sign."""

from __future__ import annotations

from collections.abc import Sequence

from engine.model.dispatches import RunState
from engine.model.identifiers import PipelineName
from engine.model.records import RUNS
from engine.model.signals import Layer, Signal
from engine.windows import StoreSource

RUNS_LOOKED_AT = 500
"""Newest runs that succeeded; a pipeline without any among them tells nothing any more."""


class FreshnessSignals(StoreSource):
    """Looks at runs that succeeded once a window. Port `SignalSource`."""

    name = "freshness"

    def _look(self, now: float) -> Sequence[Signal]:
        newest = self._newest()
        return [_signal(name, now - newest[name], now) for name in sorted(newest)]

    def _newest(self) -> dict[PipelineName, float]:
        """Return when the newest run of each pipeline ended well."""
        found = self._ledger.select(
            RUNS,
            where={"state": RunState.SUCCEEDED.value},
            order_by="created_at",
            descending=True,
            limit=RUNS_LOOKED_AT,
        )
        newest: dict[PipelineName, float] = {}
        for run in (stored.value for stored in found):
            ended_at = run.ended_at or run.created_at
            newest[run.pipeline] = max(ended_at, newest.get(run.pipeline, ended_at))
        return newest


def _signal(pipeline: PipelineName, age_seconds: float, now: float) -> Signal:
    return Signal(
        name="output_age_seconds",
        layer=Layer.ETL,
        subject=f"pipeline:{pipeline}",
        at=now,
        value=max(0.0, age_seconds),
        unit="s",
        labels={"pipeline": pipeline},
    )
