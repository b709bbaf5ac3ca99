"""Real masks as their own predictions, through files: perfect under every scoring that is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.protocols.scorings import all_scorings
from bench.scoring.score import score_folder

pytestmark = pytest.mark.realdata

SAME = "predictions and masks are the same files, so that masks were scored against themselves"
IMAGES = {"NUDT-SIRST": 1327, "NUAA-SIRST": 427}


@pytest.mark.parametrize("dataset", IMAGES)
def test_masks_as_predictions_are_perfect_under_every_scoring(real_data: Path, dataset: str) -> None:
    masks = real_data / dataset / "masks"
    for found in score_folder(masks, masks, all_scorings(), images=real_data / dataset / "images"):
        values = {head: found.scores[id].value for head, id in found.named.printed_ids().items()}
        assert found.images == IMAGES[dataset]
        assert found.notes == (SAME,)
        assert values.pop("Fa", 0.0) == 0.0, found.named.name
        assert set(values.values()) == {1.0}, found.named.name


def test_the_command_says_so_too(real_data: Path) -> None:
    masks = str(real_data / "NUDT-SIRST" / "masks")
    command = [sys.executable, "-m", "bench", "score", masks, masks, "--json"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    scores = {name: found["scores"][name]["value"] for name in ("IoU/pooled", "Pd/centroid-3px", "Fa/unmatched-area")}
    assert scores == {"IoU/pooled": 1.0, "Pd/centroid-3px": 1.0, "Fa/unmatched-area": 0.0}
    assert (found["images"], found["notes"]) == (1327, [SAME])
