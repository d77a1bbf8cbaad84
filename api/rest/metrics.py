"""`/metrics`: how the engine is, in Prometheus' text format."""

from __future__ import annotations

from fastapi.responses import PlainTextResponse

from api.messages.answers import Health
from api.rest import answering

router = answering.router("about")
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(application: answering.Served) -> PlainTextResponse:
    """Return whether the engine and each of its loops is well, for Prometheus."""
    return PlainTextResponse(exposition(application.health()), media_type=_TYPE)


def exposition(health: Health) -> str:
    """Return the health of an engine as samples with their help. Pure."""
    lines = [
        "# HELP berth_info The version that runs.",
        "# TYPE berth_info gauge",
        f'berth_info{{version="{health.version}"}} 1',
        "# HELP berth_up_seconds Seconds since the engine started.",
        "# TYPE berth_up_seconds gauge",
        f"berth_up_seconds {max(0.0, health.now - health.started_at):.3f}",
        "# HELP berth_leads Whether loops run here: 0 on an engine that stands by.",
        "# TYPE berth_leads gauge",
        f"berth_leads {int(any(each.name.startswith('loop ') for each in health.loops))}",
        "# HELP berth_part_fine Whether a loop, or the search for a leader, is well.",
        "# TYPE berth_part_fine gauge",
        *(f'berth_part_fine{{part="{_safe(x.name)}"}} {int(x.fine)}' for x in health.loops),
    ]
    return "\n".join(lines) + "\n"


def _safe(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
