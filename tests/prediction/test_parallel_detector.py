"""Score maps from several processes: the same, in order, and errors that come back."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import Bright

from bench import registry
from bench.models.detector import Grey
from bench.models.network import MODELS, build_model, find_models
from bench.prediction import parallel_detector
from bench.prediction.parallel_detector import score_maps
from bench.registry import load_plugin, loaded_plugins

GREYS = [np.random.default_rng(seed).uniform(0, 255, (6 + seed, 9)) for seed in range(9)]


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts processes however little there is to do, without the plugins that other tests have loaded."""
    monkeypatch.setattr(parallel_detector, "WORTH_IT", 0.0)
    monkeypatch.setattr(registry, "_PLUGINS", {})


@pytest.mark.usefixtures("eager")
def test_several_processes_make_the_same_maps_in_the_same_order() -> None:
    before = dict(os.environ)
    found = list(score_maps(Bright(), iter(GREYS), count=len(GREYS), workers=2))
    assert len(found) == len(GREYS)
    for scores, grey in zip(found, GREYS, strict=True):
        assert np.array_equal(scores, Bright().score(grey))
    assert dict(os.environ) == before


def test_little_work_is_done_here_without_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_detector, "_start", lambda *_: pytest.fail("a process was started"))
    assert len(list(score_maps(Bright(), GREYS, count=len(GREYS), workers=8))) == len(GREYS)
    assert list(score_maps(Bright(), [], count=0)) == []


@pytest.mark.usefixtures("eager")
def test_an_error_in_another_process_comes_back_as_it_was() -> None:
    bad = np.full((4, 4), 7.0)
    maps = score_maps(Bright(fails_at=7.0), [GREYS[0], GREYS[1], bad, GREYS[2]], count=4, workers=2)
    assert [next(maps).shape, next(maps).shape] == [(6, 9), (7, 9)]
    with pytest.raises(ValueError, match="an image it cannot bear"):
        next(maps)


@pytest.mark.usefixtures("eager")
def test_no_more_images_are_read_than_the_processes_can_hold() -> None:
    read = []

    def watched() -> Iterator[Grey]:
        for number, grey in enumerate(GREYS * 4):
            read.append(number)
            yield grey

    maps = score_maps(Bright(), watched(), count=36, workers=2)
    next(maps)
    next(maps)
    assert len(read) <= 1 + 2 * 2
    maps.close()


@pytest.mark.usefixtures("eager")
def test_a_users_own_detector_is_found_by_the_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        textwrap.dedent("""
            from bench.models.detector import Detector
            from bench.models.network import model

            class Mine(Detector):
                def score(self, grey):
                    return grey * 2

            @model("Mine", cite="none", source="mine", licence="MIT", recipe="")
            def build(*, channels):
                return Mine(rule="fixed", level=3.0, channels=channels)
        """)
    )
    monkeypatch.setattr(MODELS, "_entries", dict(find_models()._entries))
    load_plugin(plugin)
    assert plugin.resolve() in loaded_plugins()
    try:
        maps = list(score_maps(build_model("Mine", channels=1), GREYS[:4], count=4, workers=2))
    finally:
        for name in registry._PLUGINS:
            del sys.modules[name]
    assert [np.array_equal(scores, 2 * grey) for scores, grey in zip(maps, GREYS, strict=False)] == [True] * 4
