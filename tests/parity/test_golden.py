"""Every network against the outputs, keys and figures of its reference implementation."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.cost.measure import count_macs, example
from bench.models.losses import get_loss
from bench.models.network import MODEL_PACKAGES, Batch, Segmenter, build_model, find_models, parameter_count
from bench.weights.load import load_model, save_weights
from tests.parity import rule
from tests.parity.goldens import FIGURES, GOLDENS, ONE_CHANNEL_ONLY, WITHOUT_GRADIENT, Figures

HERE = Path(__file__).parent
OF_OURS = sorted(name for name in find_models() if find_models().get(name).build.__module__.startswith(MODEL_PACKAGES))
LEARNING = [name for name in OF_OURS if find_models().get(name).info.recipe]
PUBLISHED = [name for name in LEARNING if not find_models().get(name).info.ablates]


def described(name: str) -> dict[str, int | float]:
    return json.loads((HERE / "golden" / f"{name}.json").read_text())


def build(name: str) -> Segmenter:
    golden = GOLDENS[name]
    return build_model(golden.model, channels=int(described(name)["channels"]), settings=golden.settings).eval()


def filled(name: str) -> Segmenter:
    network, golden = build(name), GOLDENS[name]
    rule.fill(network, gain=float(described(name)["gain"]), replaced=golden.replaced, kept=golden.kept)
    return network


@torch.no_grad()
def run(name: str, network: Segmenter) -> Sequence[Tensor]:
    """What the golden's outputs are held against, in the form they are in."""
    golden, about = GOLDENS[name], described(name)
    height, width = int(about["H"]), int(about["W"])
    image = rule.image(height, width, channels=int(about["channels"]))
    mask = rule.binary_mask(height, width) if golden.mask == "binary" else rule.soft_mask(height, width)
    maps = golden.outputs(network, image, mask)
    return [torch.sigmoid(logits) for logits in maps] if golden.form == "probabilities" else maps


@pytest.mark.parametrize("name", GOLDENS)
def test_outputs_equal_the_reference_implementation(name: str) -> None:
    ours = run(name, filled(name))
    stored = np.load(HERE / "golden" / f"{name}.npz")
    assert len(ours) == len(stored.files)
    for number, output in enumerate(ours):
        golden = stored[f"out{number}"]
        assert tuple(output.shape) == golden.shape
        assert np.abs(output.numpy() - golden).max() <= GOLDENS[name].tolerance


@pytest.mark.parametrize("name", GOLDENS)
def test_keys_and_shapes_equal_the_published_checkpoint_in_order(name: str) -> None:
    ours = [
        f"{key} {tuple(tensor.shape)}"
        for key, tensor in build(name).state_dict().items()
        if not key.endswith("num_batches_tracked")
    ]
    assert ours == (HERE / "keys" / f"{GOLDENS[name].keys}.txt").read_text().splitlines()


@pytest.mark.parametrize("figures", FIGURES, ids=str)
def test_parameters_and_macs_equal_the_reference_implementation(figures: Figures) -> None:
    shapes_alone = torch.device("meta")
    network = build_model(figures.model, channels=figures.channels, settings=figures.settings).eval()
    assert parameter_count(network) == figures.parameters
    network = network.to(shapes_alone)
    image, start = example(network, size=(256, 256), channels=figures.channels, device=shapes_alone)
    with torch.no_grad():
        macs, uncounted = count_macs(network, image, start)
    assert macs == pytest.approx(figures.macs, rel=2e-4)  # the figures have four or five digits
    assert uncounted == ()


def test_every_network_of_ours_that_is_not_an_ablation_has_a_golden_output_and_figures() -> None:
    assert set(PUBLISHED) == {golden.model for golden in GOLDENS.values()} == {figures.model for figures in FIGURES}


@pytest.mark.parametrize("name", GOLDENS)
def test_weights_that_were_saved_make_the_same_outputs_bit_for_bit(name: str, tmp_path: Path) -> None:
    network = filled(name)
    path = save_weights(network, tmp_path / "network.safetensors", metadata={})
    again = load_model(GOLDENS[name].model, path)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(run(name, network), run(name, again), strict=True))


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 1)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", LEARNING)
@torch.no_grad()
def test_any_size_and_either_number_of_channels_come_back_at_the_size_of_the_image(
    name: str, channels: int, size: tuple[int, int]
) -> None:
    if channels == 3 and name in ONE_CHANNEL_ONLY:
        with pytest.raises(ValueError, match="channels is 3, expected 1"):
            build_model(name, channels=channels)
        return
    network = build_model(name, channels=channels).eval()
    logits = next(iter(network.rounds(rule.image(*size, channels=channels), rule.binary_mask(*size))))
    assert logits.shape == (1, 1, *size)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", LEARNING)
def test_every_parameter_gets_a_gradient_but_those_that_cannot(name: str) -> None:
    torch.manual_seed(0)
    network = build_model(name, channels=find_models().get(name).info.channels).train()
    loss = network.training_loss(random_batch(network), get_loss("soft-iou"), epoch=100)
    torch.autograd.backward(loss)
    without = {key: p.numel() for key, p in network.named_parameters() if p.grad is None}
    pattern, count = WITHOUT_GRADIENT.get(name, ("(?!)", 0))
    assert {key for key, _ in network.named_parameters() if re.search(pattern, key)} == set(without)
    assert sum(without.values()) == count


def random_batch(network: Segmenter) -> Batch:
    """Two images of noise with a bright square each, at 96 x 96."""
    noise = torch.Generator().manual_seed(1)
    channels = network.built.channels if network.built else 1
    image, mask = torch.rand(2, channels, 96, 96, generator=noise), torch.zeros(2, 1, 96, 96)
    mask[:, :, 40:44, 50:54] = 1
    return Batch(
        image=image + mask,
        mask=mask,
        start=mask if network.needs_start else None,
        index=torch.arange(2),
        name=("one", "two"),
        size=((96, 96), (96, 96)),
        geometry=None,
    )
