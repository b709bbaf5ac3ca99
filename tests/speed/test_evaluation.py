"""How long eight rounds of DFINet over a list take with all metrics, beside the released way; both print their parts.

`OMP_NUM_THREADS=1 pytest -m speed --log-cli-level=INFO tests/speed/test_evaluation.py` prints seconds an image.

The released way: the network as it is written, images one by one, every round from the image again, and the field's
metrics of every image after every round: the map thresholded, pixels of intersection and union, components by
scikit-image for Pd and Fa, per-image precision and recall, a ROC of eleven thresholds. Ours are the calls of
`bench/run/experiment.py`: `predict`, and `RunAccumulator`, which counts every round, the last one under all named
scorings and at all thresholds. They are measured twice: with every round calculated, all of it, and as a run predicts,
where a round whose hard masks repeat takes over encoded features; how many encoders were calculated is printed.
Networks are of width 8 and 32 under weights made up, and of width 8 after a short training.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pytest
import torch
from fakes import make_training
from numpy.typing import NDArray
from skimage import measure

from bench.data.batches.loader import evaluation_batches
from bench.data.catalogue.splits import list_names
from bench.data.images.frames import Frame, Frames, open_frames
from bench.metrics.counting.levels import quantise
from bench.prediction.predict import predict
from bench.protocols.protocols import PROTOCOLS
from bench.scoring.accumulator import RunAccumulator
from bench.training.train import train
from bench.types import Input, Score, Selection, freeze_config
from bench.weights.load import load_model
from dfinet.fast_network import FastDFINet
from dfinet.network import DFINet
from tests.parity import rule
from tests.speed.test_counting import clean

log = logging.getLogger(__name__)

ROUNDS, SIDE = 8, 256
CPU = torch.device("cpu")
INPUT = Input("pillow-grey", 3, mean=80.0, std=15.0, multiple=16)
NATIVE = PROTOCOLS.get("native").scoring
THRESHOLDS = np.arange(11) / 10
TURNS = 2
LEAST = 1.3
"""Times as fast as the released way that eight rounds with all metrics are at least, on a machine with other work."""


@dataclass
class Seconds:
    """Seconds of one side: wall time of its parts, and processor time, which other work on the machine changes less."""

    network: float = 0.0
    scoring: float = 0.0
    processor: float = 0.0

    @property
    def both(self) -> float:
        return self.network + self.scoring

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        began, processor_began = perf_counter(), process_time()
        yield
        setattr(self, part, getattr(self, part) + perf_counter() - began)
        self.processor += process_time() - processor_began


@dataclass
class ReleasedMetrics:
    """The field's sums over a list, for one round."""

    intersection: int = 0
    union: int = 0
    image_ious: list[float] = field(default_factory=list)
    precisions: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)
    targets: int = 0
    matched: int = 0
    false_area: int = 0
    pixels: int = 0
    roc: NDArray[np.int64] = field(default_factory=lambda: np.zeros((4, len(THRESHOLDS)), np.int64))

    def add(self, prob: NDArray[np.float32], mask: NDArray[np.uint8]) -> None:
        """Count one image's map (H, W)."""
        predicted, actual = prob > 0.5, mask > 0
        hits = int(np.logical_and(predicted, actual).sum())
        union = int(np.logical_or(predicted, actual).sum())
        self.intersection, self.union = self.intersection + hits, self.union + union
        self.image_ious.append(hits / (union + np.spacing(1)))
        self.precisions.append((hits + 1e-15) / (predicted.sum() + 1e-15))
        self.recalls.append((hits + 1e-15) / (actual.sum() + 1e-15))
        self._match(predicted, actual)
        for place, threshold in enumerate(THRESHOLDS):
            above = prob > threshold
            self.roc[0, place] += (above & actual).sum()
            self.roc[1, place] += (above & ~actual).sum()
            self.roc[2, place] += (~above & ~actual).sum()
            self.roc[3, place] += (~above & actual).sum()

    def _match(self, predicted: NDArray[np.bool_], actual: NDArray[np.bool_]) -> None:
        """Each target takes the first component, in raster order, that is nearer than 3 px and still free."""
        free = measure.regionprops(measure.label(predicted.astype(np.int64), connectivity=2))
        marked = measure.regionprops(measure.label(actual.astype(np.int64), connectivity=2))
        self.targets += len(marked)
        self.pixels += actual.size
        for target in marked:
            centre = np.array(target.centroid)
            for number, component in enumerate(free):
                if np.linalg.norm(np.array(component.centroid) - centre) < 3:
                    self.matched += 1
                    del free[number]
                    break
        self.false_area += sum(int(component.area) for component in free)

    def scores(self) -> dict[str, float]:
        """IoU, nIoU, Pd and Fa by the ids that this project has for them."""
        return {
            "IoU/pooled": self.intersection / self.union,
            "nIoU/per-image": float(np.mean(self.image_ious)),
            "Pd/centroid-3px": self.matched / self.targets,
            "Fa/unmatched-area": self.false_area / self.pixels,
        }


@torch.no_grad()
def the_released_way(network: DFINet, frames: Frames, seconds: Seconds) -> list[ReleasedMetrics]:
    """Metrics of every round; the loop over rounds is the outer one, and masks are kept from round to round."""
    counted, masks = [ReleasedMetrics() for _ in range(ROUNDS)], {}
    for metrics in counted:
        images = evaluation_batches(frames, input=INPUT, needs_start=True, batch=1)
        for frame in frames:
            with seconds.timed("network"):
                one = next(images)
                prob = torch.sigmoid(network.refine(one.image, masks.get(frame.name, one.start)))
                masks[frame.name] = prob
            with seconds.timed("scoring"):
                metrics.add(prob[0, 0].numpy(), frame.binary_mask)
    return counted


def our_way(network: DFINet, frames: Frames, seconds: Seconds, folder: Path) -> dict[str, Score]:
    """All scores of the last round, by the calls of `bench.run.experiment.predict_and_score`."""
    counted = RunAccumulator(NATIVE)
    predictions = predict(network, frames, input=INPUT, rounds=ROUNDS, device=CPU)
    for frame in frames:
        with seconds.timed("network"):
            one = next(predictions)
        with seconds.timed("scoring"):
            counted.add(frame, one.rounds, faint=one.faint, start=one.start)
    with seconds.timed("scoring"):
        *_, last = counted.write(folder)
    return last


class Kept(DFINet):
    """A DFINet whose predictor is kept, and asked for beforehand; as a run has it, made once."""

    fast: FastDFINet

    def predictor(self) -> FastDFINet:
        return self.fast


def make_network(width: int) -> Kept:
    """DFINet under weights that keep activations near one, with a head of which few pixels are targets."""
    network = Kept(channels=3, width=width)
    rule.fill(network, gain=1.2)
    network.eval()
    network.fast = FastDFINet(network)
    return network


def trained_network(folder: Path) -> Kept:
    """DFINet of width 8, trained for a minute: its masks settle as those of networks in use do."""
    settings = {"width": 8, "history": "none"}
    recipe: dict[str, Any] = {"lr": 2e-2, "batch": 8, "epochs": 5, "patch": 64, "positive_crop": 0.8, "average": 0.98}
    training = make_training("DFINet", selection=Selection("last"), **recipe)
    training = replace(training, input=INPUT, config=freeze_config(settings))
    frames = open_frames("synthetic", list_names("synthetic", "bench", "train"), root=None, decoder="pillow-grey")
    made = train(training, frames, folder=folder)
    network = Kept(channels=3, width=8, history="none")
    network.load_state_dict(load_model("DFINet", made.checkpoint, channels=3, **settings).state_dict())
    network.eval()
    network.fast = FastDFINet(network)
    return network


def mosaics(count: int) -> Frames:
    """Generated frames of 256 x 256: four of the dataset's own each."""
    names = list_names("synthetic", "bench", "test", 4 * count)
    tiles = open_frames("synthetic", names, root=None, decoder="pillow-grey")
    return Frames("mosaics", [mosaic([tiles[4 * n + k] for k in range(4)], f"mosaic-{n}") for n in range(count)])


def mosaic(tiles: list[Frame], name: str) -> Frame:
    def joined(planes: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        return np.vstack([np.hstack(planes[:2]), np.hstack(planes[2:])])

    grey = joined([tile.grey for tile in tiles])
    assert grey.shape == (SIDE, SIDE)
    return Frame(name, grey, grey, joined([255 * tile.binary_mask for tile in tiles]))


@pytest.mark.speed
@pytest.mark.parametrize(
    ("width", "count", "is_trained"), [(8, 16, False), (32, 4, False), (8, 16, True)], ids=["8", "32", "8-trained"]
)
def test_eight_rounds_with_all_metrics(
    benchmark: Any, tmp_path: Path, width: int, count: int, is_trained: bool
) -> None:
    network = trained_network(tmp_path / "training") if is_trained else make_network(width)
    frames, warm_up = mosaics(count), mosaics(2)
    sides: dict[str, list[Seconds]] = {"released": [], "every round whole": [], "as predicted": []}

    def run(side: str, shown: Frames) -> Seconds:
        seconds = Seconds()
        network.fast.ends_early = side == "as predicted"
        network.fast.rounds_calculated = network.fast.encoders_calculated = 0
        if side == "released":
            the_released_way(network, shown, seconds)
        else:
            our_way(network, shown, seconds, tmp_path)
        return seconds

    def turn() -> None:
        for side, taken in sides.items():
            taken.append(run(side, frames))

    for side in sides:
        run(side, warm_up)  # compiles
    assert_scored_alike([(frame, last_maps(network, frame)) for frame in warm_up], tmp_path)
    benchmark.pedantic(turn, rounds=TURNS)
    least = {side: min(taken, key=lambda one: one.processor) for side, taken in sides.items()}
    slow = least["released"]
    for side, fast in least.items():
        log.info(
            "width %d%s, %s: %.3f + %.3f s an image (network + scoring), processor %.3f s; "
            "%.2f times (network %.2f, scoring %.2f), by processor time %.2f",
            *(
                width,
                " trained" if is_trained else "",
                side,
                fast.network / count,
                fast.scoring / count,
                fast.processor / count,
            ),
            *(slow.both / fast.both, slow.network / fast.network, slow.scoring / fast.scoring),
            slow.processor / fast.processor,
        )
    calculated = network.fast.rounds_calculated / count, network.fast.encoders_calculated / count
    log.info("as predicted, of %d rounds an image %.1f were calculated, and %.1f encoders", ROUNDS, *calculated)
    assert slow.processor / least["every round whole"].processor >= LEAST


@pytest.mark.speed
def test_both_ways_score_the_maps_of_a_trained_network_alike(tmp_path: Path) -> None:
    pairs = []
    for seed in range(16):
        levels, mask = clean(np.random.default_rng(seed))
        prob = ((levels - 0.5) / 65536).clip(0).astype(np.float32)
        grey = np.full(mask.shape, 9, np.uint8)
        pairs.append((Frame(f"image-{seed}", grey, grey, 255 * mask), prob))
    assert_scored_alike(pairs, tmp_path)


def assert_scored_alike(pairs: list[tuple[Frame, NDArray[np.float32]]], folder: Path) -> None:
    """The two ways give one IoU, nIoU, Pd and Fa for the same maps (H, W), each the last of eight rounds."""
    released, counted = ReleasedMetrics(), RunAccumulator(NATIVE)
    for frame, prob in pairs:
        released.add(prob, frame.binary_mask)
        counted.add(frame, quantise(np.stack([prob] * ROUNDS)))
    *_, ours = counted.write(folder)
    for name, expected in released.scores().items():
        value = ours[name].value
        assert value is not None
        assert value * scale_of(ours[name]) == pytest.approx(expected, rel=1e-12)  # added up in another order


@torch.no_grad()
def last_maps(network: Kept, frame: Frame) -> NDArray[np.float32]:
    """(H, W) the probabilities of the eighth round."""
    (one,) = evaluation_batches([frame], input=INPUT, needs_start=True)
    *_, logits = islice(network.fast.rounds(one.image, one.start), ROUNDS)
    found: NDArray[np.float32] = torch.sigmoid(logits)[0, 0].numpy()
    return found


def scale_of(score: Score) -> float:
    """The factor from a score's unit to a plain fraction."""
    return 1e-6 if "1e-6" in score.unit else 1.0
