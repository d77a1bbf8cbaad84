"""A profile with its evidence, the runs behind it, and the learning store, as text."""

from __future__ import annotations

from collections.abc import Sequence

from api.report import phrases, training, words
from api.report.tables import PLAIN, Column, Style, following, paragraph, table
from engine.model.errors import NotFoundError
from engine.model.learning import LearningReport, ModelVersion, TaskHistory
from engine.model.plans import Plan
from engine.model.profiles import Evidence, Grounds, Profile, Quantiles, RunRecord
from engine.model.resources import Resource

_LEVELS = ("P50", "P80", "P90", "P95", "P99")
_NEEDS = (
    Column(title="NEED"),
    *(Column(title=level, right=True) for level in _LEVELS),
    Column(title="METHOD"),
    Column(title="TESTS", right=True, rank=2),
    Column(title="ERROR", right=True, rank=1),
    Column(title="P95 HELD", right=True, rank=1),
)
_LIKE = (
    Column(title="LIKE RUN"),
    Column(title="DISTANCE", right=True),
    Column(title="DURATION", right=True),
)
_RUNS = (
    Column(title="ENDED"),
    Column(title="DURATION", right=True),
    Column(title="TOLD P50", right=True),
    Column(title="TOLD P95", right=True),
    Column(title="HELD"),
    Column(title="MEMORY", right=True),
    Column(title="CPU", right=True, rank=1),
    Column(title="BY"),
)
_VERSIONS = (
    Column(title="VERSION", right=True),
    Column(title="FITTED"),
    Column(title="RUNS", right=True),
    Column(title="LEARNED FROM", rank=1),
    Column(title="STATE"),
    Column(title="WHY"),
)
_SCORES = (
    Column(title="KIND"),
    Column(title="QUANTITY"),
    Column(title="RUNS", right=True),
    Column(title="LOSS", right=True),
    Column(title="BEFORE", right=True),
    Column(title="PRESETS", right=True),
)
_WEEKS = (
    Column(title="WEEK"),
    Column(title="KIND"),
    Column(title="RUNS", right=True),
    *(Column(title=f"{level} HELD", right=True) for level in _LEVELS),
    Column(title="IN ITS BAND"),
)
_MOST_SHOWN = 30
_MOST_MACHINES = 3


def profiles_of(plan: Plan, task: str) -> dict[str, Profile]:
    """Return the profiles of a task of a plan (`TASK` or `PIPELINE/TASK`) by their key.

    Raises:
        NotFoundError: when the plan has no such task.
    """
    found = {
        key: profile
        for key, profile in plan.profiles.items()
        if task in {key, key.partition("/")[2]}
    }
    if not found:
        known = ", ".join(key.partition("/")[2] for key in plan.profiles)
        message = f"plan {plan.plan_id} has no task {task!r}; it has {known or 'none'}"
        raise NotFoundError(message, fix="name one of these")
    return found


def profile_page(key: str, profile: Profile, style: Style = PLAIN) -> str:
    """Return a profile with everything that speaks for it."""
    evidence = profile.evidence
    blocks = [
        style.bold(f"{key}: {_need(profile)}"),
        table(_NEEDS, _rows(profile), style),
        "\n".join(paragraph(line, style) for line in _sentences(profile)),
    ]
    if evidence.like_runs:
        rows = [
            (run.name, f"{run.distance:.2f}", words.duration(run.duration_seconds))
            for run in evidence.like_runs
        ]
        blocks.append(table(_LIKE, rows, style))
    return "\n\n".join(blocks)


def _need(profile: Profile) -> str:
    """Return the kind of machine that a task needs, in words."""
    kind = "GPU" if profile.peak(Resource.GPU) > 0 else "CPU"
    said = f"{profile.kind.value}, runs on {kind}"
    if profile.gpu_models:
        said += f" ({', '.join(profile.gpu_models)} would do)"
    if profile.duration_seconds is None:
        said += f", {phrases.plural(profile.replicas, 'replica')} at the peak"
    elif profile.scaling is not None:
        said += f", by {phrases.plural(profile.replicas, 'worker')}"
    return f"{said}, its data in {profile.storage.value}"


def _rows(profile: Profile) -> list[list[str]]:
    """Return a row for each quantity, with how it was found and how it did on held-out runs."""
    grounds = {item.quantity: item for item in profile.evidence.grounds}
    rows: list[list[str]] = []
    if profile.duration_seconds is not None:
        cells = [words.duration(value) for value in profile.duration_seconds.values]
        rows.append(["duration", *cells, *_tested(grounds.get("duration"))])
    for resource in Resource:
        if profile.peak(resource) <= 0:
            continue
        most = _largest(profile.use[resource])
        cells = [words.amount(value) for value in most.values]
        name = f"{resource.value}, {resource.unit}"
        rows.append([name, *cells, *_tested(grounds.get(resource.value))])
    return rows


def _largest(slots: Sequence[Quantiles]) -> Quantiles:
    return max(slots, key=lambda slot: slot.p95)


def _tested(grounds: Grounds | None) -> list[str]:
    if grounds is None:
        return ["", "", "", ""]
    return [
        grounds.method.value,
        str(grounds.tested) if grounds.tested else "",
        "" if grounds.error is None else words.share(grounds.error, digits=0),
        words.share(grounds.coverage["0.95"], digits=0) if "0.95" in grounds.coverage else "",
    ]


def _sentences(profile: Profile) -> list[str]:
    """Return why each method was taken, and what follows from the profile."""
    evidence = profile.evidence
    lines = [*grounds_of(profile), _models(evidence)]
    if profile.memory_retries_gib:
        tries = ", ".join(words.amount(gib, "GiB") for gib in profile.memory_retries_gib)
        lines.append(f"Should it run out of memory, the next tries hold {tries}.")
    if profile.scaling is not None:
        lines.append(training.known_by(profile.scaling))
    machines = [
        f"{fit.cluster}/{fit.pool} ({fit.machine}, {words.money(fit.cost_micro_dollars)})"
        for fit in profile.machines[:_MOST_MACHINES]
    ]
    if machines:
        lines.append(f"Cheapest machines that fit: {', '.join(machines)}.")
    return [*lines, *_fastest(profile)]


def _fastest(profile: Profile) -> list[str]:
    """Return which machines that fit end soonest, where that is not the cheapest."""
    timed = [
        (fit.duration_seconds_p50, fit)
        for fit in profile.machines
        if fit.duration_seconds_p50 is not None
    ]
    ranked = sorted(timed, key=lambda each: each[0])[:_MOST_MACHINES]
    if not ranked or ranked[0][0] == timed[0][0]:
        return []
    said = [
        f"{fit.cluster}/{fit.pool} ({fit.machine}, {words.duration(seconds)})"
        for seconds, fit in ranked
    ]
    return [f"Fastest that fit: {', '.join(said)}."]


def grounds_of(profile: Profile) -> tuple[str, ...]:
    """Return why the method of each quantity was taken, a sentence each."""
    return tuple(f"{g.quantity}: {g.method.value}, {g.why}." for g in profile.evidence.grounds)


def _models(evidence: Evidence) -> str:
    count = phrases.plural(evidence.like_run_count, "like run")
    version = f"learned models of version {evidence.version}" if evidence.version else "no models"
    note = f" {evidence.note[0].upper()}{evidence.note[1:]}." if evidence.note else ""
    return f"From {count} and {version}.{note}"


def history_text(found: TaskHistory, style: Style = PLAIN) -> str:
    """Return the runs behind a task's profile, newest first."""
    shown = found.runs[:_MOST_SHOWN]
    key = f"{found.pipeline}/{found.task}"
    head = f"{key}: {phrases.plural(len(found.runs), 'run')}"
    if len(found.runs) > len(shown):
        head += f", the newest {len(shown)} shown"
    blocks = [style.bold(head)]
    if shown:
        blocks.append(table(_RUNS, [_run_row(run) for run in shown], style))
        blocks.append(paragraph(_kept(found.runs), style))
    else:
        blocks.append("It has not run yet; like runs, models and presets speak for it.")
    blocks.append(following(f"berth profile {key}", "berth learning"))
    return "\n\n".join(blocks)


def _run_row(run: RunRecord) -> list[str]:
    told = None if run.told is None else run.told.duration_seconds
    held = ""
    if told is not None and run.succeeded:
        held = "yes" if run.duration_seconds <= told.p95 else "no"
    return [
        words.instant(run.ended_at),
        words.duration(run.duration_seconds) if run.succeeded else "failed",
        "" if told is None else words.duration(told.p50),
        "" if told is None else words.duration(told.p95),
        held,
        words.amount(run.memory_gib_peak, "GiB"),
        words.amount(run.cpu_cores_mean),
        "a history file" if run.told is None else run.told.method.value,
    ]


def _kept(runs: Sequence[RunRecord]) -> str:
    told = [
        (run.duration_seconds, run.told.duration_seconds)
        for run in runs
        if run.succeeded and run.told is not None and run.told.duration_seconds is not None
    ]
    if not told:
        return "None of them was planned here, so nothing was told of them."
    held = sum(seconds <= quantiles.p95 for seconds, quantiles in told)
    return f"P95 was told of {len(told)} of them and held {held} times."


def learning_text(report: LearningReport, style: Style = PLAIN) -> str:
    """Return versions of models, the scores of the one in force, and promises kept by week."""
    used = f"version {report.in_force} is in force" if report.in_force else "no version is in force"
    blocks = [style.bold(f"Learned models: {used}")]
    if report.note:
        blocks.append(paragraph(f"{report.note[0].upper()}{report.note[1:]}.", style))
    if report.versions:
        rows = [_version_row(version, report.in_force) for version in report.versions]
        blocks.append(table(_VERSIONS, rows, style))
    current = next((v for v in report.versions if v.number == report.in_force), None)
    if current is not None:
        blocks.append(_scores(current, style))
    if report.weeks:
        weeks = [
            [
                week.week,
                week.kind.value,
                str(week.run_count),
                *(words.share(share, digits=0) for share in week.covered.values()),
                "yes" if week.kept else "NO",
            ]
            for week in report.weeks[:_MOST_SHOWN]
        ]
        head = "What was told of durations, by week and kind:"
        blocks.append("\n".join([head, table(_WEEKS, weeks, style)]))
    else:
        blocks.append("No run was told anything yet: `berth apply` starts runs of a plan.")
    blocks.append(following("berth learning refit", "berth learning rollback"))
    return "\n\n".join(blocks)


def version_text(version: ModelVersion, style: Style = PLAIN) -> str:
    """Return what became of one refit."""
    state = "is in force" if version.promoted else "was kept aside: it is not better"
    return "\n\n".join(
        [
            paragraph(f"Version {version.number} {state} ({version.why}).", style),
            _scores(version, style),
            following("berth learning", "berth learning rollback"),
        ]
    )


def _version_row(version: ModelVersion, in_force: int) -> list[str]:
    if version.number == in_force:
        state = "in force"
    else:
        state = "promoted before" if version.promoted else "not better"
    window = (
        f"{words.instant(version.from_seconds)[:16]} to {words.instant(version.to_seconds)[:16]}"
    )
    return [
        str(version.number),
        words.instant(version.fitted_at),
        str(version.run_count),
        window,
        state,
        version.why,
    ]


def _scores(version: ModelVersion, style: Style) -> str:
    rows = [
        [
            score.kind.value,
            score.quantity,
            str(score.run_count),
            f"{score.loss:.3f}",
            "" if score.loss_before is None else f"{score.loss_before:.3f}",
            f"{score.loss_preset:.3f}",
        ]
        for score in version.scores
    ]
    head = "Mean logarithm of forecast over truth on the latest runs, which it had not seen:"
    return "\n".join([head, table(_SCORES, rows, style)])
