"""An MLflow store of each test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_stores import fresh_store

from bench.store.mlflow_tracker import MlflowTracker


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No store of the user's, and the environment put back afterwards."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh sqlite store, made once: a copy of it is a fresh store, two seconds sooner."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowTracker(f"sqlite:///{path}")
    return path


@pytest.fixture
def uri(empty_store: Path, environment: None, tmp_path: Path) -> str:
    """An empty store of this test's own."""
    return fresh_store(empty_store, tmp_path / "mlflow.db")
