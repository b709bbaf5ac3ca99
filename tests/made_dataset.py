"""Fixtures of a small dataset folder made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.data.catalogue import cards
from bench.data.catalogue.cards import Card, load_card, read_card

NAMES = ("XDU0", "XDU1", "XDU2")


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """IRSTD-1k's card without what is known of its masks, so that files made by hand can stand in for the dataset."""

    def read(folder: Path) -> Card:
        card = read_card(folder)
        note = "none: no copy of the images was at hand when the card was written"
        return replace(card, digests={}, empty_masks=None, digest_note=note) if card.name == "IRSTD-1k" else card

    monkeypatch.setattr(cards, "read_card", read)
    load_card.cache_clear()
    yield
    load_card.cache_clear()


@pytest.fixture
def made(tmp_path: Path, unmeasured: None) -> Path:
    """A root with IRSTD-1k/images and masks: three frames of 20x30 pixels, one target of 2x3 pixels each."""
    folder = tmp_path / "IRSTD-1k"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number, name in enumerate(NAMES):
        image = np.full((20, 30), 50 + number, np.uint8)
        mask = np.zeros((20, 30), np.uint8)
        image[4:6, 7:10], mask[4:6, 7:10] = 200, 255
        cv2.imwrite(str(folder / "images" / f"{name}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
    return tmp_path
