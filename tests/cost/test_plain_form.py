"""The plain form: the network's own operators, replayed, and a ratio that a slower network alone raises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain, cycle

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.cost.measure import count_macs, example, one_pass
from bench.cost.plain_form import PlainForm, TimeRatio, least_ratio, record_plain_form, time_beside
from bench.errors import RequestError
from bench.models.network import Segmenter, build_model

CPU = torch.device("cpu")


def network_of(name: str, **settings: int | str) -> Segmenter:
    """A small network with one input channel in evaluation mode."""
    torch.manual_seed(0)
    return build_model(name, channels=1, settings=settings).eval()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("DFINet", {"width": 2}),
        ("ACM", {}),
        ("DNANet", {"backbone": "resnet-10", "widest": 16}),
        ("UIU-Net", {"width": 4}),
    ],
)
def test_the_plain_form_does_the_work_of_the_network(name: str, settings: dict[str, int | str]) -> None:
    network = network_of(name, **settings)
    image, start = example(network, size=(64, 64), channels=1, device=CPU)
    plain = PlainForm(record_plain_form(network, image, start), device=CPU)
    with FlopCounterMode(display=False) as counter:
        plain()
    assert counter.get_total_flops() // 2 == count_macs(network, image, start)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"leaves": [], "steps": [["aten.from_file.default", ["/etc/passwd"], {}, [0]]]}', "not one of torch's that"),
        ('{"leaves": [], "steps": [["mine.exec.default", [], {}, []]]}', "not one of torch's that calculate"),
        ('{"leaves": [], "steps": [["aten.no_such.default", [], {}, []]]}', "no attribute 'no_such'"),
        ('{"leaves": [], "steps": [["aten.relu.default", [{"tensor": 3}], {}, [4]]]}', "cannot be replayed"),
        ('{"leaves": [], "steps": [3]}', "cannot be replayed"),
        ("{}", "cannot be replayed"),
        ("[]", "cannot be replayed"),
        ("{", "not JSON"),
    ],
)
def test_a_broken_plain_form_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        PlainForm(text, device=CPU)
    assert "\n" not in str(refused.value)


def test_a_network_that_takes_what_has_no_text_cannot_be_recorded() -> None:
    class Drawn(Segmenter):
        def forward(self, image: torch.Tensor, start: torch.Tensor | None = None) -> torch.Tensor:
            return image + torch.rand(image.shape, generator=torch.Generator())

    with pytest.raises(RequestError, match="takes Generator, which cannot be recorded"):
        record_plain_form(Drawn(), torch.zeros(1, 1, 8, 8), None)


class Clock:
    """Two clocks that only sides move, that of the wall also where other work holds them up."""

    def __init__(self, held_up: Iterator[float]) -> None:
        self.now, self.own, self.held_up = 0.0, 0.0, held_up

    def side(self, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.own += seconds
            self.now += seconds + next(self.held_up)

        return run


def seconds_lost(seed: int, *, share: float, longest: float) -> Iterator[float]:
    """Seconds that passes lose to other processes: a share of them loses any time up to the longest."""
    generator = np.random.default_rng(seed)
    while True:
        yield float(generator.uniform(0, longest)) if generator.random() < share else 0.0


def ratio_of(
    slower: float, seed: int, monkeypatch: pytest.MonkeyPatch, *, share: float = 0.0, busy: float | None = None
) -> TimeRatio:
    """The least ratio of a side to one of 50 ms, with the gate's limit, under a load of processes beside.

    Args:
        busy: the part of the processors that others take, as the system counts it.
    """
    clock = Clock(seconds_lost(seed, share=share, longest=0.1))
    monkeypatch.setattr("bench.cost.plain_form.time.perf_counter", lambda: clock.now)
    monkeypatch.setattr("bench.cost.plain_form.time.process_time", lambda: clock.own)
    monkeypatch.setattr("bench.cost.plain_form.OtherWork.share", lambda others: busy)
    run, plain = clock.side(0.05 * slower), clock.side(0.05)
    return least_ratio(lambda: time_beside(run, plain, limit=1.15), limit=1.15, attempts=3)


def test_a_planted_slowdown_of_30_percent_is_measured_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ratio_of(1.3, 0, monkeypatch)
    assert found.value == pytest.approx(1.3)
    assert found.low == pytest.approx(1.3)


@pytest.mark.parametrize("seed", range(20))
def test_passes_that_other_work_holds_up_are_no_slowdown(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all passes six in ten take up to three times as long, on either side."""
    assert ratio_of(1.0, seed, monkeypatch, share=0.6).low <= 1.15


@pytest.mark.parametrize("seed", range(20))
def test_a_slowdown_of_30_percent_shows_beside_some_other_work(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ratio_of(1.3, seed, monkeypatch, share=0.1).low > 1.15


def test_a_series_takes_three_times_as_long_where_its_quartile_contradicts_its_median(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In every third pair the plain form is held up: the lower quartile is one of those pairs."""
    pairs = {}
    for lost in (0.0, 0.1):
        held_up = chain((0.0, 0.0), cycle((lost, *[0.0] * 6, lost, *[0.0] * 4)))  # behind one pair to warm up
        clock = Clock(held_up)
        monkeypatch.setattr("bench.cost.plain_form.WARM_UP", 0.0)
        monkeypatch.setattr("bench.cost.plain_form.time.perf_counter", lambda clock=clock: clock.now)
        monkeypatch.setattr("bench.cost.plain_form.time.process_time", lambda clock=clock: clock.own)
        monkeypatch.setattr("bench.cost.plain_form.OtherWork.share", lambda others: 0.0)
        found = time_beside(clock.side(0.065), clock.side(0.05), limit=1.15)
        assert found.value == pytest.approx(1.3)
        pairs[lost] = found.pairs
    assert pairs[0.1] == pytest.approx(3 * pairs[0.0], abs=2)


def test_on_a_busy_machine_a_side_is_timed_by_the_processor_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ratio_of(1.3, 0, monkeypatch, share=0.9, busy=0.9).low == pytest.approx(1.3)
    assert ratio_of(1.0, 0, monkeypatch, share=0.9, busy=0.9).value == pytest.approx(1.0)


def test_recording_leaves_the_network_as_it_was() -> None:
    network = network_of("ACM").train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    text = record_plain_form(network, torch.zeros(1, 1, 32, 32), None)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert json.loads(text)["steps"]


def test_a_plain_form_is_not_timed_on_weights_but_on_shapes() -> None:
    """A record holds no float of a weight, and is small."""
    conv = nn.Conv2d(1, 64, 3)

    class One(Segmenter):
        def forward(self, image: torch.Tensor, start: torch.Tensor | None = None) -> torch.Tensor:
            made: torch.Tensor = conv(image)
            return made

    network = One().eval()
    text = record_plain_form(network, torch.zeros(1, 1, 32, 32), None)
    assert len(text) < 1000
    PlainForm(text, device=CPU)
    with torch.no_grad():
        assert one_pass(network, torch.zeros(1, 1, 32, 32), None, rounds=1) == 1
