"""Workspaces travel to other processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from bench.run.workspace import Workspace


def test_a_workspace_can_be_pickled(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path, data=tmp_path / "data")
    copy = pickle.loads(pickle.dumps(workspace))
    assert copy == workspace
    assert copy.device == torch.device("cpu")
    assert copy.training_folder("abc") == tmp_path / "trainings" / "abc"
