"""Remedies in words: what an attempt failed of, what follows, and by what evidence."""

from __future__ import annotations

from api.report import phrases, words
from engine.model.remedies import Configuration, Option, Remedy, RemedyStep


def remedy_text(remedy: Remedy) -> str:
    """Return one sentence: the cause with the rule that named it, then what follows and why."""
    found = remedy.diagnosis
    said = f" ({found.words!r})" if found.words else ""
    follows = step_text(remedy.step, remedy.configuration)
    cost = "" if not remedy.cost_micro_dollars else f", {words.money(remedy.cost_micro_dollars)}"
    text = f"{found.cause.value}, as {found.rule}{said}: {follows}, {remedy.why}{cost}"
    return phrases.printable(text)


def options_text(remedy: Remedy) -> str:
    """Return the options that were weighed, "" where rules decided alone."""
    return "; ".join(_option(option) for option in remedy.options)


def step_text(step: RemedyStep, configuration: Configuration | None) -> str:
    """Return what the next attempt changes, with the amounts."""
    changed = [] if configuration is None else _changes(step, configuration)
    return f"{step.value} ({', '.join(changed)})" if changed else step.value


def _changes(step: RemedyStep, configuration: Configuration) -> list[str]:
    found = []
    if configuration.memory_gib is not None:
        found.append(words.amount(configuration.memory_gib, "GiB"))
    if configuration.disk_gib is not None:
        found.append(f"{words.amount(configuration.disk_gib, 'GiB')} of disk")
    if configuration.batch_size is not None:
        found.append(f"batches of {configuration.batch_size}")
    if configuration.time_factor != 1.0:
        found.append(f"{configuration.time_factor:g} times the time limit")
    if step is RemedyStep.OTHER_MACHINE:
        found.append(f"{configuration.cluster}/{configuration.pool}")
    return found


def _option(option: Option) -> str:
    what = step_text(option.step, option.configuration)
    cost = f", {words.money(option.cost_micro_dollars)}" if option.cost_micro_dollars else ""
    return f"{what}: {100 * option.success:.0f} %{cost}"
