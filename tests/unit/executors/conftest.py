"""Real models of the heart-disease records, made once."""

from __future__ import annotations

import pytest

from tests.support.heart_tasks import HeartTasks


@pytest.fixture(scope="session")
def heart(tmp_path_factory: pytest.TempPathFactory) -> HeartTasks:
    """Etl, features, and packages of every family."""
    found = HeartTasks(tmp_path_factory.mktemp("heart")).upto_features()
    for family in ("knn", "tree", "forest", "svm", "boosting", "logistic"):
        found.upto_package(family)
    return found
