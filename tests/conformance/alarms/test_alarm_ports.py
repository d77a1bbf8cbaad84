"""Ours keep the contracts of the ports of watching."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alarms import Detection, FileNotifier, HypothesisTree, StatisticalDetector, SuperAlarmGrouper
from engine.ports import CauseFinder, Detector, Grouper, Notifier, SignalSource
from engine.testing.watch_suites import (
    CauseFinderSuite,
    DetectorSuite,
    GrouperSuite,
    NotifierSuite,
    SignalSourceSuite,
    gauge,
)
from simulations.causes import Queue


class TestStatisticalDetector(DetectorSuite):
    @pytest.fixture
    def detector(self) -> Detector:
        return StatisticalDetector()

    @pytest.fixture
    def twin(self) -> Detector:
        return StatisticalDetector()


class TestDetection(DetectorSuite):
    @pytest.fixture
    def detector(self) -> Detector:
        return Detection()

    @pytest.fixture
    def twin(self) -> Detector:
        return Detection()


class TestSuperAlarmGrouper(GrouperSuite):
    @pytest.fixture
    def grouper(self) -> Grouper:
        return SuperAlarmGrouper()


class TestHypothesisTree(CauseFinderSuite):
    @pytest.fixture
    def finder(self) -> CauseFinder:
        return HypothesisTree()


class TestFileNotifier(NotifierSuite):
    @pytest.fixture
    def notifier(self, tmp_path: Path) -> Notifier:
        self.path = tmp_path / "notifications.jsonl"
        return FileNotifier(self.path)

    def messages(self) -> list[str]:
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["id"] for line in lines]


class TestQueue(SignalSourceSuite):
    @pytest.fixture
    def source(self) -> SignalSource:
        queue = Queue()
        queue.signals += [gauge(at, 5.0) for at in range(3)]
        return queue
