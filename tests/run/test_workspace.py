"""Workspaces travel to other processes; a training that two runs share is made once."""

from __future__ import annotations

import logging
import pickle
import threading
import time
from pathlib import Path

import pytest
import torch

from bench.run.workspace import Workspace
from bench.training.lock import LOCK_FILE, locked


def test_a_workspace_can_be_pickled(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path, data=tmp_path / "data")
    copy = pickle.loads(pickle.dumps(workspace))
    assert copy == workspace
    assert copy.device == torch.device("cpu")
    assert copy.training_folder("abc") == tmp_path / "trainings" / "abc"


def test_the_second_holder_of_a_training_waits_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told: list[str] = []

    def second() -> None:
        with locked(tmp_path):
            told.append("second")

    with locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        while "waiting for it to finish" not in caplog.text:
            time.sleep(0.01)
        told.append("first")
    thread.join(timeout=10)
    assert told == ["first", "second"]
    assert not (tmp_path / LOCK_FILE).exists()
