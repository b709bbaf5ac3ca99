"""Costs from a process of their own: what ran before is forgotten, weights and settings come along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench import registry
from bench.cost.fresh_process import Arithmetic, measure_fresh
from bench.cost.measure import measure_cost
from bench.errors import PluginError
from bench.models.detector import Detector
from bench.models.network import MODELS, Segmenter, build_model, find_models
from bench.registry import load_plugin

CPU = torch.device("cpu")
REMEMBERS = """
    import os

    import torch
    from torch import nn

    from bench.models.network import Segmenter, model

    MADE = []


    class Remembers(Segmenter):
        '''One channel wider with each that was made in this process; dies with the process at a weight of 13.'''

        def __init__(self, channels):
            super().__init__()
            MADE.append(self)
            self.convs = nn.ModuleList(nn.Conv2d(channels, 1, 1, bias=False) for _ in MADE)
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, image, start=None):
            if self.weight.item() == 13:
                os._exit(1)
            return sum(conv(image) for conv in self.convs)


    @model("Remembers", cite="none", source="tests", licence="MIT", recipe="basicirstd")
    def build(*, channels):
        return Remembers(channels)
"""

SLEEPS = """
    import os
    import time

    from bench.models.network import Segmenter, model


    class Sleeps(Segmenter):
        def forward(self, image, start=None):
            print(os.getpid(), flush=True)
            time.sleep(600)


    @model("Sleeps", cite="none", source="tests", licence="MIT", recipe="basicirstd")
    def build(*, channels):
        return Sleeps()
"""
MEASURES = """
    import sys
    from pathlib import Path

    import torch

    from bench.cost.fresh_process import measure_fresh
    from bench.models.network import build_model
    from bench.registry import load_plugin

    if __name__ == "__main__":
        load_plugin(Path(sys.argv[1]))
        measure_fresh(build_model("Sleeps", channels=1), size=(8, 8), channels=1, device=torch.device("cpu"))
"""


@pytest.fixture
def remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    """The first of a user's networks that grow with every one made before them in a process."""
    monkeypatch.setattr(registry, "_PLUGINS", {})
    monkeypatch.setattr(MODELS, "_entries", dict(find_models()._entries))
    file = tmp_path / "remembers.py"
    file.write_text(textwrap.dedent(REMEMBERS))
    load_plugin(file)
    return build_model("Remembers", channels=1)


def test_what_was_made_before_does_not_change_what_is_measured(remembers: Segmenter) -> None:
    for _ in range(3):
        later = build_model("Remembers", channels=1)
    assert measure_cost(later, size=(8, 6), channels=1, device=CPU).macs == 4 * 8 * 6
    for _ in range(2):
        found = measure_fresh(remembers, size=(8, 6), channels=1, device=CPU)
        assert (found.macs, found.parameters) == (8 * 6, 2)


def test_all_but_the_times_and_the_memory_is_what_is_measured_here() -> None:
    network = build_model("DFINet", channels=3, settings={"width": 2})
    timed = {"latency_p50": 0.0, "latency_p95": 0.0, "images_per_s": 0.0, "peak_memory": 0, "others_busy": 0.0}
    fresh = measure_fresh(network, size=(32, 48), channels=3, device=CPU, rounds=2)
    here = measure_cost(network, size=(32, 48), channels=3, device=CPU, rounds=2)
    assert replace(fresh, **timed) == replace(here, **timed)
    assert 0 < fresh.latency_p50 <= fresh.latency_p95


def test_the_network_is_measured_with_its_weights_and_a_dead_process_is_told(remembers: Segmenter) -> None:
    with torch.no_grad():
        remembers.get_parameter("weight").fill_(13)
    with pytest.raises(RuntimeError, match="Remembers: the process that measured its cost died"):
        measure_fresh(remembers, size=(8, 6), channels=1, device=CPU)


def test_the_other_process_calculates_in_as_many_threads() -> None:
    before = Arithmetic.here()
    try:
        replace(before, threads=1).apply()
        found = measure_fresh(build_model("ACM", channels=1), size=(32, 32), channels=1, device=CPU)
    finally:
        before.apply()
    assert found.device.endswith("1 threads") or found.device.endswith("1 thread")
    assert Arithmetic.here() == before


def test_a_network_made_by_hand_is_refused() -> None:
    with pytest.raises(ValueError, match="Segmenter: made by hand"):
        measure_fresh(Segmenter(), size=(8, 8), channels=1, device=CPU)


def test_a_detector_is_measured_at_the_level_it_was_tuned_to() -> None:
    detector = build_model("TopHat", channels=1, settings={"rule": "fixed", "level": "best"})
    assert isinstance(detector, Detector)
    detector.level = 9.5
    found = measure_fresh(detector, size=(32, 32), channels=1, device=CPU)
    assert (found.parameters, found.macs) == (0, None)
    assert found.latency_p50 > 0


def test_the_measuring_process_ends_with_a_killed_parent(tmp_path: Path) -> None:
    """It holds the output that it inherited, which ends only when it does."""
    for name, text in (("sleeps", SLEEPS), ("measures", MEASURES)):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    words = [sys.executable, str(tmp_path / "measures.py"), str(tmp_path / "sleeps.py")]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        try:
            parent.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.kill(child, signal.SIGKILL)
            pytest.fail("the measuring process outlived its parent by a minute")


def test_a_network_that_exits_while_it_is_measured_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_PLUGINS", {})
    find_models()
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
    path = tmp_path / "exits.py"
    path.write_text(
        textwrap.dedent(SLEEPS).replace("Sleeps", "Exits").replace("time.sleep(600)", "raise SystemExit(5)")
    )
    load_plugin(path)
    network = build_model("Exits", channels=1)
    with pytest.raises(PluginError, match=r"model Exits called sys\.exit\(5\)"):
        measure_fresh(network, size=(8, 8), channels=1, device=CPU)
