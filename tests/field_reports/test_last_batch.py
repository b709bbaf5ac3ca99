"""A last batch of one image, on which BatchNorm over a 1x1 map cannot train (Fuss-Free-structure#1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Call, caller

OFF = ("--mlflow", "off", "--set", "recipe.epochs=1", "--set", "recipe.batch=4", "--set", "recipe.patch=32")
KEPT = ("--set", "recipe.drop_single=false")
SIX = ("--limit", "train=6,test=1")
"""Six images, of which one is held out: a batch of four, and one image."""


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    for name in ("ACM", "U-Net"):
        Path(f"{name}.toml").write_text(f'datasets = ["synthetic"]\n[[row]]\nmodel = "{name}"\n')
    return caller(monkeypatch, capfd)


def test_a_last_batch_of_one_image_is_refused_before_anything_runs(call: Call) -> None:
    answer = call("run", "ACM.toml", *SIX, *KEPT, *OFF)
    assert answer.code == 2
    assert answer.err == (
        "error: ACM: 5 training images in batches of 4 leave one image for the last batch, on which ACM cannot train; "
        "set recipe.drop_single=true, or another recipe.batch\n"
    )
    assert not Path("runs").exists()


def test_it_is_left_out_by_default(call: Call) -> None:
    assert call("run", "ACM.toml", *SIX, *OFF).code == 0


def test_a_network_that_can_train_on_one_image_is_not_refused(call: Call) -> None:
    assert call("run", "U-Net.toml", *SIX, *KEPT, *OFF, "--set", "settings.width=4").code == 0
