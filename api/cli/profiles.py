"""Profiles of tasks beside a plan, and without one where no plan can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from api.cli.frame import Talk
from api.messages.questions import PlanQuestion, ProfilesQuestion
from api.report.profiles import profile_page
from engine.model.plans import task_key
from engine.model.profiles import Profile

if TYPE_CHECKING:
    from api.client.remote import Remote
    from api.wiring import Application


def unplanned(door: Remote | Application, question: PlanQuestion, task: str) -> dict[str, Profile]:
    """Return the profiles of a task by their key, as a plan that cannot be would have had them.

    Raises:
        NotFoundError: when no pipeline has such a task.
    """
    asked = ProfilesQuestion(documents=question.documents, task=task, as_of=question.as_of)
    return {
        task_key(each.pipeline, each.task): each.profile
        for each in door.profiles(asked)
        if each.profile is not None
    }


def show(talk: Talk, found: Mapping[str, Profile]) -> None:
    """Print profiles with their evidence; with `--json` they stand for the plan."""
    if talk.json:
        talk.value(list(found.values()))
    elif not talk.quiet:
        pages = [profile_page(key, profile, talk.style()) for key, profile in found.items()]
        talk.result("\n\n".join(pages) + "\n")
