"""Prediction: every round in one pass, padding cut off."""

from __future__ import annotations

import fakes
import numpy as np
import pytest
import torch
from fakes import INPUT, Echo, synthetic_frames

from bench.data.images.frames import Frame, Frames
from bench.data.images.start_masks import STARTS
from bench.errors import DataError
from bench.metrics.counting.levels import quantise
from bench.models.network import Segmenter, build_model
from bench.prediction.predict import Prediction, batch_size, choose_examples, predict, prediction_of
from bench.types import Input

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fake_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register_fakes(monkeypatch)


def make_frame(height: int, width: int, *, name: str = "made-up", level: int = 255) -> Frame:
    """A frame whose top left 2 x 3 pixels are a target of that mask level."""
    grey = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    mask = np.zeros((height, width), np.uint8)
    mask[:2, :3] = level
    return Frame(name, grey, grey, mask)


def predictions_of(
    network: torch.nn.Module, frames: Frames, input: Input, rounds: int = 1, start: str = "otsu"
) -> list[Prediction]:
    """All predictions, on the CPU."""
    return list(predict(network, frames, input=input, rounds=rounds, device=CPU, start=start))  # type: ignore[arg-type]


@pytest.mark.parametrize("input", [INPUT, Input("pillow-grey", 1, size=(48, 64))])
@pytest.mark.parametrize("model", ["Dot", "Echo", "TopHat"])
def test_frames_without_masks_are_predicted_as_those_with_masks(model: str, input: Input) -> None:
    network, labelled = build_model(model, channels=1), synthetic_frames("test", 3)
    plain = Frames("mine", [Frame(frame.name, frame.image, frame.grey) for frame in labelled])
    for one, other in zip(*(predictions_of(network, f, input) for f in (plain, labelled)), strict=True):
        assert one.name == other.name
        assert np.array_equal(one.rounds, other.rounds)


def test_the_ground_truth_is_no_start_for_a_frame_without_a_mask() -> None:
    grey = np.zeros((32, 32), np.uint8)
    with pytest.raises(DataError, match="image plain: no ground-truth mask"):
        predictions_of(
            build_model("Echo", channels=1), Frames("mine", [Frame("plain", grey, grey)]), INPUT, start="ground-truth"
        )


def test_every_round_comes_out_of_one_pass() -> None:
    passes: list[int] = []
    network = build_model("Echo", channels=1)
    assert isinstance(network, Echo)
    network.conv.register_forward_hook(lambda module, given, made: passes.append(len(made)))
    frames = synthetic_frames("test", 3)
    found = predictions_of(network, frames, INPUT, rounds=4)
    assert passes == [3, 3, 3, 3], "one batch of three images, four rounds"
    assert [one.name for one in found] == list(frames.names)
    assert [one.rounds.shape for one in found] == [(4, 128, 128)] * 3
    mask = torch.from_numpy(frames[0].start()).float()[None, None]
    image = torch.from_numpy((frames[0].image.astype(np.float32) - np.float32(INPUT.mean)) / np.float32(INPUT.std))
    for number in range(4):
        with torch.no_grad():
            mask = torch.sigmoid(network.conv(torch.cat([image[None, None], mask], 1)))
        # one level of 65536 for the order of additions in batches of another size
        difference = quantise(mask[0, 0].numpy()).astype(int) - found[0].rounds[number].astype(int)
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("size", "device", "expected"),
    [((256, 256), "cpu", 1), ((128, 512), "cpu", 1), ((255, 256), "cpu", 8), ((256, 256), "meta", 8), (None, "cpu", 8)],
)
def test_a_cpu_predicts_large_images_one_by_one(size: tuple[int, int] | None, device: str, expected: int) -> None:
    frames = synthetic_frames("test", 3)  # of 128 x 128 pixels
    found = batch_size(frames, input=Input("pillow-grey", 1, size=size), device=torch.device(device))
    assert found == expected
    assert batch_size([], input=INPUT, device=CPU) == 8


def test_a_network_without_feedback_has_one_round_whatever_is_asked() -> None:
    (found,) = predictions_of(build_model("Dot", channels=1), synthetic_frames("test", 1), INPUT, rounds=8)
    assert found.rounds.shape == (1, 128, 128)
    assert found.start is None


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("given", [INPUT, Input("pillow-grey", 1, size=(24, 40), multiple=32)])
def test_the_named_start_mask_reaches_the_network_and_comes_back(start: str, given: Input) -> None:
    frames = synthetic_frames("test", 3)
    found = predictions_of(build_model("Parrot", channels=1), frames, given, rounds=1, start=start)
    for frame, one in zip(frames, found, strict=True):
        size = given.size or (128, 128)
        expected = STARTS.get(start)(frame, size)
        assert one.start is not None
        assert np.array_equal(one.start, expected)
        width = size[1] + -size[1] % 32
        said = np.zeros((size[0], width), np.uint8)
        said[:, : size[1]] = expected
        assert np.array_equal(one.rounds[0] > 32768, said[:, ::-1][:, : size[1]]), "turned over, padding and all"


def test_an_unknown_start_mask_is_refused_where_one_is_needed() -> None:
    with pytest.raises(LookupError, match="no start mask is called 'noize'; did you mean noise"):
        predictions_of(build_model("Parrot", channels=1), synthetic_frames("test", 1), INPUT, start="noize")
    assert predictions_of(build_model("Dot", channels=1), synthetic_frames("test", 1), INPUT, start="noize")


def test_padding_is_cut_off_and_changes_no_order() -> None:
    """Equal maps come from batches of equal size: with two threads, torch rounds a batch of two otherwise than one."""
    sizes = [(20, 10), (32, 32), (33, 10), (20, 10), (32, 32)]
    frames = Frames("synthetic", [make_frame(*size, name=f"image {i}") for i, size in enumerate(sizes)])
    network = build_model("Dot", channels=1)
    found = predictions_of(network, frames, INPUT)
    assert [one.rounds.shape[1:] for one in found] == sizes
    assert [one.name for one in found] == [f"image {i}" for i in range(5)]
    alone = predictions_of(network, frames[2:3], INPUT)[0]
    assert np.array_equal(alone.rounds, found[2].rounds)
    assert np.array_equal(found[0].rounds, found[3].rounds)
    assert np.array_equal(found[1].rounds, found[4].rounds)


def test_with_a_resized_input_the_map_has_the_networks_size() -> None:
    resized = Input("pillow-grey", 1, size=(24, 40), multiple=32)
    (found,) = predictions_of(build_model("Dot", channels=1), synthetic_frames("test", 1), resized)
    assert found.rounds.shape == (1, 24, 40)


def test_a_faint_prediction_comes_as_probabilities_too() -> None:
    """One 16th is the highest probability of a faint map; the last round decides."""
    low, high = np.full((1, 2, 2), 1e-6, np.float32), np.full((1, 2, 2), 0.0626, np.float32)
    found = prediction_of("low", low)
    assert found.rounds.tolist() == [[[1, 1], [1, 1]]]
    assert found.faint is not None
    assert np.array_equal(found.faint, low)
    assert prediction_of("high", high).faint is None
    assert prediction_of("falls", np.concatenate([high, low])).faint is not None
    assert prediction_of("rises", np.concatenate([low, high])).faint is None


def test_a_probability_that_is_no_number_names_its_image() -> None:
    frames = synthetic_frames("test", 2)
    with pytest.raises(ValueError, match=f"image {frames.names[0]}: probabilities hold NaN"):
        predictions_of(build_model("MapBreaks", channels=1), frames, INPUT)


def test_predicting_puts_dropout_to_rest() -> None:
    network = build_model("Echo", channels=1).train()
    frames = synthetic_frames("test", 1)
    first, second = (predictions_of(network, frames, INPUT, rounds=2)[0].rounds for _ in range(2))
    assert np.array_equal(first, second)


def blank_frame(name: str) -> Frame:
    """A frame without a target."""
    blank = np.zeros((4, 4), np.uint8)
    return Frame(name, blank, blank, blank)


def test_examples_are_images_with_targets_spread_over_the_list() -> None:
    shown = [make_frame(4, 4, name=f"t{i}") for i in range(7)]
    frames = Frames("synthetic", [one for frame in shown for one in (blank_frame(f"blank {frame.name}"), frame)])
    assert choose_examples(frames, count=4) == ("t0", "t2", "t4", "t6")
    assert choose_examples(frames, count=7) == tuple(f"t{i}" for i in range(7))
    assert choose_examples(frames, count=100) == tuple(f"t{i}" for i in range(7))


def test_without_a_target_any_image_is_an_example() -> None:
    frames = Frames("synthetic", [blank_frame(name) for name in "abc"])
    assert choose_examples(frames, count=2) == ("a", "c")


class Slow(fakes.Dot):
    """A network whose predictor says that every pixel is a target."""

    def predictor(self) -> Segmenter:
        return Sure()


class Sure(Segmenter):
    def forward(self, image: torch.Tensor, start: torch.Tensor | None = None) -> torch.Tensor:
        return torch.full_like(image, 50.0)


def test_predictions_are_those_of_the_predictor() -> None:
    (found,) = predict(Slow(1), synthetic_frames("test", 1), input=INPUT, rounds=1, device=torch.device("cpu"))
    assert (found.rounds == 65535).all()
