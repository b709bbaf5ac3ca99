"""DFINet as first released: its DSFM by hand, and that it is another network than the later one."""

from __future__ import annotations

import pytest
import torch

from bench.errors import CheckpointError
from bench.models.network import build_model
from bench.weights.load import fill
from dfinet.blocks import Feedback
from dfinet.released_2026_01 import LearntDSFM


@pytest.mark.parametrize(("reading", "factor"), [(-100.0, 0.9 + 0.2), (0.0, 0.9 + 0.2 * 1.5), (100.0, 0.9 + 0.2 * 2)])
@torch.no_grad()
def test_dsfm_of_two_equal_maps_is_nine_tenths_plus_two_tenths_that_the_reading_of_the_mask_can_double(
    reading: float, factor: float
) -> None:
    block = LearntDSFM(8).eval()
    block.fmask[3].weight.zero_()
    block.fmask[3].bias.fill_(reading)
    x = torch.rand(2, 8, 4, 4)
    torch.testing.assert_close(block(x, x, Feedback.mean_pooled(torch.ones(2, 1, 8, 8), (4, 4))), x * factor)


def test_the_mask_leaves_the_weights_of_the_fusion_alone() -> None:
    """Unlike in the later release, where the mask scales what the weights are chosen from."""
    block = LearntDSFM(8).eval()
    low, high = torch.rand(2, 1, 8, 4, 4)
    masks = (Feedback.mean_pooled(torch.full((1, 1, 4, 4), value), (4, 4)) for value in (0.0, 1.0))
    with torch.no_grad():
        outs = [block(low, high, mask) for mask in masks]
        gates = [block.fmask(torch.full((1, 1, 4, 4), value)) for value in (0.0, 1.0)]
    torch.testing.assert_close(outs[1] - outs[0], 0.1 * (low + high) * (gates[1] - gates[0]))


def test_checkpoints_of_the_two_releases_do_not_fit_each_other() -> None:
    one, other = (build_model(name, channels=3, settings={"width": 2}) for name in ("DFINet", "DFINet@2026-01"))
    with pytest.raises(CheckpointError, match=r"missing \(d1\.b1\.fmask.*unexpected \(d1\.b1\.alpha.*output\.weight"):
        fill(other, one.state_dict(), source="DFINet's")
