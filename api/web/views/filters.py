"""What of the list of super-alarms a page shows, as its address says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from urllib.parse import urlencode

from engine.model.alarms import Severity, SuperAlarm, SuperAlarmState

LEVELS = tuple(each.value for each in reversed(Severity))
STATES = tuple(each.value for each in SuperAlarmState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions that all must hold; an empty one always does.

    level, state: of the super-alarm. pipeline: one that it may harm. text: what stands in its
    title, its likely cause or its owner, in whatever case.
    """

    level: str = ""
    state: str = ""
    pipeline: str = ""
    text: str = ""

    def keeps(self, group: SuperAlarm) -> bool:
        """Return whether a super-alarm is shown."""
        likely = group.likely
        said = f"{group.title} {likely.title if likely else ''} {group.owner}".casefold()
        return (
            self.level in {"", group.severity.value}
            and self.state in {"", group.state.value}
            and (not self.pipeline or self.pipeline in group.pipelines)
            and self.text.strip().casefold() in said
        )

    @property
    def query(self) -> str:
        """The part of the address that says so: `?level=critical`; "" when all is shown."""
        given = {name: value for name, value in asdict(self).items() if value}
        return f"?{urlencode(given)}" if given else ""
