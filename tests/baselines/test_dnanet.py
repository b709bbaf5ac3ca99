"""DNANet: its heads and how they are learnt from, its backbones, its first weights, and BasicIRSTD's checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baselines.dnanet import DNANet
from bench.errors import RequestError
from bench.models.network import Batch, build_model, parameter_count
from bench.weights.load import load_model
from tests.parity import rule


def filled(channels: int = 3) -> DNANet:
    network = DNANet(channels=channels)
    rule.fill(network, gain=1.0)
    return network.eval()


def test_the_judged_logits_are_the_last_heads() -> None:
    network, image = filled(), rule.image(33, 47, channels=3)
    with torch.no_grad():
        heads = network.heads(image)
        assert [tuple(logits.shape) for logits in heads] == [(1, 1, 33, 47)] * 4
        assert torch.equal(network(image), heads[-1])


def test_the_training_loss_is_the_mean_over_four_heads() -> None:
    network, image = filled(), rule.image(32, 48, channels=3)
    mask = rule.binary_mask(32, 48)

    def weighed(logits: Tensor, mask: Tensor) -> Tensor:
        return (logits * mask).sum()

    batch = Batch(image, mask, None, torch.tensor([0]), ("one",), ((32, 48),), None)
    with torch.no_grad():
        by_hand = sum((logits * mask).sum().item() for logits in network.heads(image)) / 4
        assert network.training_loss(batch, weighed, epoch=1).item() == pytest.approx(by_hand, rel=1e-5)


def test_padding_by_the_network_equals_padding_before_it() -> None:
    network, image = filled(), rule.image(30, 20, channels=3)
    with torch.no_grad():
        padded = nn.functional.pad(image, (0, 12, 0, 2))
        assert torch.equal(network(image), network(padded)[..., :30, :20])


@pytest.mark.parametrize(
    ("backbone", "blocks"), [("resnet-10", [1, 1, 1, 1]), ("resnet-18", [2, 2, 2, 2]), ("resnet-34", [3, 4, 6, 3])]
)
def test_a_backbone_says_how_many_blocks_the_nodes_of_a_row_have(backbone: str, blocks: list[int]) -> None:
    network = DNANet(backbone=backbone)
    rows = [[f"conv{row}_{column}" for column in range(5 - row)] for row in range(5)]
    found = [{len(network.get_submodule(node)) for node in row} for row in rows]  # type: ignore[arg-type]
    assert found == [{1}, *({count} for count in blocks)]


def test_an_unknown_backbone_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"DNANet: no backbone is called 'resnet_18'; did you mean resnet-18"):
        DNANet(backbone="resnet_18")


def test_first_kernels_are_xavier_normal_and_first_biases_are_torchs() -> None:
    torch.manual_seed(0)
    network = DNANet()
    convolution = network.get_submodule("conv4_0.1.conv1")
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    fan = 256 * 9
    kernels = convolution.weight * fan**0.5  # 589,824 of variance 2 / (fan + fan), made 1
    assert kernels.std().item() == pytest.approx(1, abs=0.005)
    assert kernels.abs().max() > 4  # torch's own are uniform within 1
    assert 0.9 < (convolution.bias * fan**0.5).abs().max() <= 1


def test_a_checkpoint_of_basicirstd_fits_with_its_one_channel(tmp_path: Path) -> None:
    network, image = filled(channels=1), rule.image(16, 16, channels=1)
    state = {f"model.{key}": tensor for key, tensor in network.state_dict().items()}
    torch.save({"epoch": 400, "state_dict": state}, tmp_path / "DNANet.pth.tar")
    with torch.no_grad():
        assert torch.equal(load_model("DNANet", tmp_path / "DNANet.pth.tar")(image), network(image))


def test_a_narrow_network_has_no_wider_node_and_the_widest_is_the_published_one() -> None:
    narrow = build_model("DNANet", channels=1, settings={"backbone": "resnet-10", "widest": 16})
    assert {module.out_channels for module in narrow.modules() if isinstance(module, nn.Conv2d)} == {1, 16}
    full, same = build_model("DNANet", channels=3), build_model("DNANet", channels=3, settings={"widest": 256})
    assert parameter_count(full) == parameter_count(same)
    with pytest.raises(RequestError, match="widest is 8, expected at least 16 channels"):
        build_model("DNANet", channels=1, settings={"widest": 8})
