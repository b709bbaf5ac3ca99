"""Fixtures of tests that run small networks of their own in other processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from bench.cost.measure import measure_cost
from bench.models.network import MODELS, find_models


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread for torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def own_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of plugins are forgotten after the test; costs are measured in this process."""
    find_models()
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
    monkeypatch.setattr("bench.registry._PLUGINS", {})
    monkeypatch.setattr("bench.run.experiment.measure_fresh", measure_cost)
