"""Costs: MACs against the golden figures and by hand, and what is timed."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.cost import measure
from bench.cost.measure import count_fvcore, example, is_uncounted, measure_cost, time_passes
from bench.models.network import MODEL_PACKAGES, Segmenter, build_model, find_models, take_rounds

CPU = torch.device("cpu")


class OneConv(Segmenter):
    """A 3x3 convolution of two channels to one, without bias, that counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1, bias=False)
        self.calls = 0

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        self.calls += 1
        logits: Tensor = self.conv(image)
        return logits


class Endless(OneConv):
    """The same with endless feedback rounds."""

    needs_start = True

    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        assert start is not None
        while True:
            yield self(image)


def test_macs_of_one_convolution_are_kernel_times_pixels() -> None:
    assert measure_cost(OneConv(), size=(8, 6), channels=2, device=CPU).macs == 2 * 9 * 8 * 6


WIDTH, HEADS, TOKENS = 32, 4, 1024


class Tokens(Segmenter):
    """A patch embedding, one layer over the tokens of a 256 x 256 frame, and a head."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layer = layer
        self.stem, self.head = nn.Conv2d(1, WIDTH, 8, 8), nn.Conv2d(WIDTH, 1, 1)
        self.inner: nn.Module = {
            "MultiheadAttention": nn.MultiheadAttention(WIDTH, HEADS, batch_first=True),
            "TransformerEncoderLayer": nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, batch_first=True),
            "LSTM": nn.LSTM(WIDTH, WIDTH, batch_first=True),
        }.get(layer, nn.ModuleList([nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)]))

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        maps = self.stem(image)
        tokens = maps.flatten(2).transpose(1, 2)
        return self.head(self.through(tokens).transpose(1, 2).view(maps.shape))  # type: ignore[no-any-return]

    def through(self, tokens: Tensor) -> Tensor:
        if self.layer == "MultiheadAttention":
            return self.inner(tokens, tokens, tokens, need_weights=False)[0]  # type: ignore[no-any-return]
        if self.layer == "TransformerEncoderLayer":
            return self.inner(tokens)  # type: ignore[no-any-return]
        if self.layer == "LSTM":
            return self.inner(tokens)[0]  # type: ignore[no-any-return]
        assert isinstance(self.inner, nn.ModuleList)
        q, k, v = (
            each.view(1, TOKENS, HEADS, WIDTH // HEADS).transpose(1, 2) for each in self.inner[0](tokens).chunk(3, -1)
        )
        if self.layer == "products":
            found = (q @ k.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5).softmax(-1) @ v
        else:
            found = F.scaled_dot_product_attention(q, k, v)
        return self.inner[1](found.transpose(1, 2).reshape(tokens.shape))  # type: ignore[no-any-return]


EMBED_AND_HEAD = 64 * TOKENS * WIDTH + TOKENS * WIDTH
ATTEND = 4 * TOKENS * WIDTH**2 + 2 * TOKENS**2 * WIDTH


@pytest.mark.parametrize(
    ("layer", "inner"),
    [
        ("products", ATTEND),
        ("scaled_dot_product_attention", ATTEND),
        ("MultiheadAttention", ATTEND),
        ("TransformerEncoderLayer", ATTEND + 2 * TOKENS * WIDTH * 2 * WIDTH),
    ],
)
def test_attention_costs_the_same_however_it_is_written(layer: str, inner: int) -> None:
    """64ND + ND + 4ND² + 2N²D = 73,433,088. A fused operator has no formula in torch's counter and counted nothing."""
    found = measure_cost(Tokens(layer), size=(256, 256), channels=1, device=CPU, repeats=3)
    assert (found.macs, found.macs_uncounted) == (EMBED_AND_HEAD + inner, ())
    assert EMBED_AND_HEAD + ATTEND == 73_433_088
    assert torch.backends.mha.get_fastpath_enabled()


def test_an_operator_without_a_formula_is_named_and_the_count_is_a_lower_bound() -> None:
    found = measure_cost(Tokens("LSTM"), size=(256, 256), channels=1, device=CPU, repeats=3)
    assert found.macs == EMBED_AND_HEAD
    assert found.macs_uncounted == ("aten.mkldnn_rnn_layer",)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("aten._cdist_forward", True),
        ("aten._fft_r2c", True),
        ("aten._trilinear", True),
        ("aten._native_multi_head_attention", True),
        ("torchvision.deform_conv2d", True),
        ("aten.convolution", False),
        ("aten.addmm", False),
        ("aten.upsample_bilinear2d", False),
        ("aten.mul", False),
        ("aten._softmax", False),
    ],
)
def test_operators_that_multiply_are_told_from_those_that_do_not(operator: str, expected: bool) -> None:
    assert is_uncounted(operator) is expected


def test_rounds_are_timed_and_macs_are_of_one() -> None:
    one, four = (measure_cost(Endless(), size=(8, 6), channels=2, device=CPU, rounds=n) for n in (1, 4))
    assert (one.rounds, four.rounds) == (1, 4)
    assert one.macs == four.macs


def test_a_network_without_feedback_has_one_round_however_many_are_asked_for() -> None:
    assert measure_cost(OneConv(), size=(8, 6), channels=2, device=CPU, rounds=8).rounds == 1


def test_a_record_holds_what_was_measured() -> None:
    found = measure_cost(OneConv(), size=(8, 6), channels=2, device=CPU)
    assert found.parameters == 18
    assert found.size == (8, 6)
    assert found.precision == "float32"
    assert found.device.endswith("threads")
    assert 0 < found.latency_p50 <= found.latency_p95
    assert found.images_per_s > 0
    assert found.peak_memory is None or found.peak_memory >= 0


def test_passes_are_as_many_as_asked_for_while_the_budget_lasts() -> None:
    network = OneConv()
    image, start = example(network, size=(8, 6), channels=2, device=CPU)
    assert len(time_passes(network, image, start, rounds=1, repeats=7, budget=60)) == 7
    assert network.calls == 7


def test_three_passes_are_timed_when_the_budget_is_spent() -> None:
    network = Endless()
    image, start = example(network, size=(8, 6), channels=2, device=CPU)
    assert len(time_passes(network, image, start, rounds=5, repeats=30, budget=0)) == 3
    assert network.calls == 15


def test_measuring_leaves_the_networks_mode_and_statistics_alone() -> None:
    network = build_model("ACM", channels=1).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    measure_cost(network, size=(32, 32), channels=1, device=CPU, repeats=3)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_pass_that_holds_64_mb_shows_in_the_peak_every_time() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, str(Path(__file__).with_name("hungry_passes.py"))]
    ran = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=True
    )
    peaks = json.loads(ran.stdout)
    if peaks is None:
        pytest.skip("this system does not count a resident peak anew")
    assert [peak / 2**20 for peak in peaks if not 60 * 2**20 < peak < 100 * 2**20] == [], peaks


def test_fvcore_counts_one_round() -> None:
    pytest.importorskip("fvcore")
    network = Endless().eval()
    image, start = example(network, size=(8, 6), channels=2, device=CPU)
    with torch.no_grad():
        assert count_fvcore(network, image, start) == (2 * 9 * 8 * 6, ())


def test_fvcore_names_what_it_cannot_count_without_a_word_on_the_log(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fvcore")
    network = build_model("DFINet", channels=1, settings={"width": 2}).eval()
    image, start = example(network, size=(32, 32), channels=1, device=CPU)
    with caplog.at_level(logging.DEBUG), torch.no_grad():
        flops, unsupported = count_fvcore(network, image, start)
    assert flops is not None
    assert flops > 0
    assert "aten::sigmoid" in unsupported
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


def test_without_fvcore_its_count_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure.importlib.util, "find_spec", lambda name: None)
    found = measure_cost(OneConv(), size=(8, 6), channels=2, device=CPU)
    assert (found.flops_fvcore, found.fvcore_unsupported) == (None, ())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_device_is_named_and_its_allocator_asked() -> None:
    found = measure_cost(OneConv(), size=(64, 64), channels=2, device=torch.device("cuda"))
    assert found.device == torch.cuda.get_device_name()
    assert found.peak_memory is not None
    assert found.peak_memory > 2 * 64 * 64 * 4


OF_OURS = sorted(name for name in find_models() if find_models().get(name).build.__module__.startswith(MODEL_PACKAGES))


@pytest.mark.parametrize("name", OF_OURS)
def test_every_model_can_be_measured_and_only_detectors_go_uncounted(name: str) -> None:
    info = find_models().get(name).info
    network = build_model(name, channels=info.channels)
    found = measure_cost(network, size=(32, 32), channels=info.channels, device=CPU, repeats=3, budget=0)
    counts = (found.parameters, found.macs, found.flops_fvcore)
    if info.recipe:
        assert all(count is None or count > 0 for count in counts)
        assert found.macs is not None
    else:
        assert counts == (0, None, None)
    assert found.latency_p50 > 0


class Prepared(OneConv):
    """A network that predicts by another one."""

    def __init__(self) -> None:
        super().__init__()
        self.other = OneConv()

    def predictor(self) -> Segmenter:
        return self.other


def test_a_network_is_counted_as_written_and_timed_as_it_predicts() -> None:
    network = Prepared()
    found = measure_cost(network, size=(8, 6), channels=2, device=CPU, repeats=3, budget=0)
    assert found.macs == 2 * 9 * 8 * 6
    assert network.calls <= 2, "counted by torch's counter and by fvcore's alone"
    assert network.other.calls > 3


class RepeatsItself(Endless):
    """A feedback network whose mask repeats after two rounds."""

    ends_early = True

    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        assert start is not None
        for _ in range(2):
            self.rounds_calculated += 1
            yield self(image)
        while True:
            if not self.ends_early:
                self.rounds_calculated += 1
                self(image)
            yield image[:, :1]


def test_all_rounds_are_timed_and_the_early_end_on_test_images_beside_them() -> None:
    network = RepeatsItself()
    images = [(torch.rand(1, 2, 8, side), torch.zeros(1, 1, 8, side)) for side in (6, 8, 10)]
    found = measure_cost(network, size=(8, 6), channels=2, device=CPU, rounds=8, images=images, repeats=3, budget=0.1)
    assert (found.rounds, found.every_round) == (8, True)
    assert found.early_end is not None
    assert (found.early_end.images, found.early_end.rounds) == (3, 2.0)
    assert found.early_end.images_per_s > 0
    assert found.early_end.size is None
    again = measure_cost(network, size=(8, 6), channels=2, device=CPU, rounds=8, images=images[:1], repeats=3, budget=0)
    assert again.early_end is not None
    assert again.early_end.size == (8, 6)
    assert network.ends_early, "it predicts as before"


def test_a_variant_that_repeats_its_mask_is_timed_with_all_its_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """On noise such a variant ended after 2 of 8 rounds, and its rate stood beside rates of 8 rounds."""
    network = build_model("DFINet", channels=1, settings={"width": 2, "dfffm": "matched", "dsfm": "sum"})
    predictor = network.predictor()
    monkeypatch.setattr(network, "predictor", lambda: predictor)
    image, start = example(network, size=(16, 16), channels=1, device=CPU)
    assert len(take_rounds(predictor, image, start, count=8)) == 8
    assert predictor.rounds_calculated == 2
    monkeypatch.setattr(measure, "warm_up", lambda *_: None)
    found = measure_cost(network, size=(16, 16), channels=1, device=CPU, rounds=8, repeats=3, budget=0)
    passes = (predictor.rounds_calculated - 2) / 8
    assert found.every_round
    assert passes == int(passes)
    assert passes >= 4, "one for the memory, three that are timed"


def test_disturbed_times_are_taken_again_and_marked_if_they_stay_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    # In turns of a series of passes and of the pause behind it.
    shares = iter([0.5, 0.02, 0.02, 0.5, 0.02, 0.5, 0.02, 0.5, 0.02])
    monkeypatch.setattr(measure.OtherWork, "share", lambda self: next(shares))
    monkeypatch.setattr(measure, "time_passes", lambda *_, **__: [0.001, 0.001, 0.001])
    found = [measure_cost(OneConv(), size=(8, 6), channels=2, device=CPU) for _ in range(2)]
    assert [one.others_busy for one in found] == [0.02, 0.5]
    assert found[0].disturbance == ""
    assert found[1].disturbance == "other work took over 10% of the processors while it was timed"


def test_disturbed_times_are_not_taken_again_while_other_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure.OtherWork, "share", lambda self: 0.5)
    series: list[int] = []

    def passes(*_: object, **__: object) -> list[float]:
        series.append(1)
        return [0.001, 0.001, 0.001]

    monkeypatch.setattr(measure, "time_passes", passes)
    found = measure_cost(OneConv(), size=(8, 6), channels=2, device=CPU)
    assert len(series) == 1
    assert found.others_busy == 0.5
    assert found.disturbance


def test_passes_that_differ_widely_are_doubtful() -> None:
    found = measure_cost(OneConv(), size=(8, 6), channels=2, device=CPU)
    steady = replace(found, others_busy=None, latency_p50=2.0, latency_p95=3.0)
    assert steady.disturbance == ""
    assert replace(steady, latency_p95=3.1).disturbance == "one pass in 20 took over 1.5 times as long as the median"


def test_a_record_that_does_not_say_that_all_rounds_were_calculated_is_doubtful() -> None:
    found = measure_cost(OneConv(), size=(8, 6), channels=2, device=CPU)
    old = replace(found, others_busy=None, latency_p50=2.0, latency_p95=2.0, every_round=False)
    assert old.disturbance == ""
    assert replace(old, rounds=8).disturbance == "timed on noise, where the network may have ended early"
