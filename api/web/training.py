"""The pages about records of trainings: of a run's, of one outside a pipeline, of two."""

from __future__ import annotations

from fastapi import responses

from api.messages.training import apart
from api.report import phrases, words
from api.web.desk import Desk
from api.web.views import trainings as views
from engine.model import records
from executors.training.tracking.trainings import PREFIX

_OTHERS_SHOWN = 10


class TrainingPages:
    """Records of trainings."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def one(self, name: str) -> responses.Response:
        """What made the models of a run, or that of a training outside a pipeline."""
        found = self._desk.sources.trainings.experiments(name)
        if name.startswith(PREFIX):
            title, lead, pipeline = self._training(name)
            others = self._trainings(pipeline)
        else:
            run = self._desk.one(records.RUNS, name, "run")
            title, lead = f"Trainings of run {name}", f"What made each model of {run.pipeline}."
            others = self._runs(run.pipeline)
        tables = [table for each in found for table in views.record_tables(each)]
        beside = [each for each in others if each[0] != name][:_OTHERS_SHOWN]
        tables.append(views.beside(name, beside, self._desk.now()))
        return self._desk.page(
            "records.html",
            title=title,
            here="/runs",
            lead=lead,
            tables=tables,
            empty="" if found else "No training of this run has a record here.",
        )

    def two(self, first: str, second: str) -> responses.Response:
        """Two runs or trainings side by side."""
        found = self._desk.sources.trainings.compare(first, second)
        count = phrases.plural(apart(found), "difference")
        return self._desk.page(
            "records.html",
            title=f"{first} and {second}",
            here="/runs",
            lead=f"{count} in data, code, parameters and environment." if found else "",
            tables=views.differences(first, second, found),
            empty="" if found else "Neither run has trained anything.",
        )

    def _training(self, name: str) -> tuple[str, str, str]:
        """Return title and lead of a training's page, and what it trained."""
        told = self._desk.sources.trainings.one(name).training
        took = words.duration(told.ended_at - told.started_at)
        lead = f"By berth {told.command[0]}, {words.instant(told.started_at)}, in {took}."
        return f"Training {name} of {told.pipeline}", lead, told.pipeline

    def _trainings(self, pipeline: str) -> list[tuple[str, float]]:
        every = (each.training for each in self._desk.sources.trainings.newest())
        return [(each.run_id, each.started_at) for each in every if each.pipeline == pipeline]

    def _runs(self, pipeline: str) -> list[tuple[str, float]]:
        every = self._desk.newest(records.RUNS, "created_at")
        return [(each.run_id, each.created_at) for each in every if each.pipeline == pipeline]
