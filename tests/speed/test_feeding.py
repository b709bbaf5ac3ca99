"""How many training images a second are fed, beside the usual form: both, in one run, printed.

`OMP_NUM_THREADS=2 pytest -m speed --log-cli-level=INFO tests/speed/test_feeding.py` prints the table, on an idle
machine: what else runs takes more from threads that wait for each other than from processes that do not. The usual
form is a torch DataLoader with two workers that stay, whose dataset decodes each file (Pillow, or OpenCV where the
recipe is DFINet's) and augments it with NumPy and OpenCV. Ours has two threads. Both sides end at a batch of float32
tensors, and both have been through an epoch before they are timed.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.data.batches.loader import Feed
from bench.data.catalogue.splits import list_names
from bench.data.images.frames import Frames, open_frames
from bench.protocols.recipes import RECIPES
from bench.types import Input, Recipe

log = logging.getLogger(__name__)

WORKERS = 2
EPOCHS = 3
Pair = tuple[Tensor, Tensor]
Augment = Callable[[Path, Path, np.random.Generator], Pair]
MEAN, STD = 107.80905, 33.02275
OF_256_PIXELS = ("IRSTD-1k", "NUDT-SIRST")
"""Datasets whose images here are all 256 x 256, for which there are bars; the first one's are made up."""


def basicirstd(image_path: Path, mask_path: Path, generator: np.random.Generator) -> Pair:
    """Pillow, a 256 x 256 crop, half of them on a target, flips and transposition."""
    with Image.open(image_path) as opened:
        image = np.array(opened.convert("L"), dtype=np.float32)
    with Image.open(mask_path) as opened:
        mask = np.array(opened.convert("L")) > 127
    image = (image - MEAN) / STD
    height, width = mask.shape
    if height < 256 or width < 256:
        edges = ((0, max(256 - height, 0)), (0, max(256 - width, 0)))
        image, mask = np.pad(image, edges), np.pad(mask, edges)
    most = mask.shape[0] - 256, mask.shape[1] - 256
    targets = np.flatnonzero(mask) if generator.random() < 0.5 else np.empty(0, int)
    if targets.size:
        pixel = divmod(int(targets[generator.integers(targets.size)]), mask.shape[1])
        top, left = (
            int(generator.integers(max(at - 255, 0), min(at, end) + 1)) for at, end in zip(pixel, most, strict=True)
        )
    else:
        top, left = (int(generator.integers(end + 1)) for end in most)
    image, mask = image[top : top + 256, left : left + 256], mask[top : top + 256, left : left + 256]
    up, right, transpose = generator.random(3) < 0.5
    if up:
        image, mask = image[::-1], mask[::-1]
    if right:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if transpose:
        image, mask = image.T, mask.T
    return (
        torch.from_numpy(np.ascontiguousarray(image))[None],
        torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))[None],
    )


def dfinet(image_path: Path, mask_path: Path, generator: np.random.Generator) -> Pair:
    """OpenCV, rotation, flips and ten holes, each three times in ten, then the network's size."""
    image, mask = cv2.imread(str(image_path), cv2.IMREAD_COLOR), cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert mask is not None
    height, width = mask.shape
    rotate, right, up, dropout = generator.random(4) < 0.3
    if rotate:
        centre = ((width - 1) / 2, (height - 1) / 2)
        matrix = cv2.getRotationMatrix2D(centre, generator.uniform(-35, 35), 1.0)
        image = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        mask = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    if right:
        image, mask = cv2.flip(image, 1), cv2.flip(mask, 1)
    if up:
        image, mask = cv2.flip(image, 0), cv2.flip(mask, 0)
    if dropout:
        for _ in range(10):
            top, left = generator.integers(height - 32 + 1), generator.integers(width - 32 + 1)
            image[top : top + 32, left : left + 32] = 0
    if mask.shape != (256, 256):
        image, mask = cv2.resize(image, (256, 256)), cv2.resize(mask, (256, 256))
    planes = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
    planes /= 255
    return torch.from_numpy(planes), torch.from_numpy(mask.astype(np.float32) / np.float32(255))[None]


@dataclass(frozen=True)
class Case:
    """A recipe on both sides, and how many times as many images are wanted here."""

    augment: Augment
    recipe: Recipe
    input: Input
    least: float


CASES = {
    "basicirstd": Case(basicirstd, RECIPES.get("basicirstd"), Input("pillow-grey", 1, mean=MEAN, std=STD), 4),
    "dfinet": Case(dfinet, RECIPES.get("dfinet"), Input("opencv-bgr", 3, size=(256, 256)), 2),
}


class Usual(Dataset[Pair]):
    """Every image decoded and augmented when it is asked for."""

    def __init__(self, files: list[tuple[Path, Path]], augment: Augment) -> None:
        self.files, self.augment = files, augment

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Pair:
        generator = np.random.default_rng(int(torch.randint(2**62, ()).item()))
        return self.augment(*self.files[row], generator)


def one_thread(worker: int) -> None:
    """As torch gives its workers one thread, so OpenCV: two workers on two processors."""
    cv2.setNumThreads(0)


@dataclass(frozen=True)
class Fed:
    """What an epoch delivered: images, the shapes of a whole batch, and mean level of images and masks."""

    images: int
    shapes: tuple[tuple[int, ...], ...]
    image: float
    mask: float


def deliver(batches: Iterable[Pair]) -> Fed:
    count, shapes, image, mask = 0, set(), 0.0, 0.0
    for one, other in batches:
        count += len(one)
        shapes.add((tuple(one.shape[1:]), tuple(other.shape[1:])))
        image += float(one.mean()) * len(one)
        mask += float(other.mean()) * len(one)
    (shape,) = shapes
    return Fed(count, shape, image / count, mask / count)


def rate(epoch: Callable[[int], Iterable[Pair]], count: int) -> float:
    """Images a second, best of some epochs; the batches are let go as they come."""
    best = 0.0
    for number in range(1, EPOCHS + 1):
        begun = time.perf_counter()
        for _ in epoch(number):
            pass
        torch.cuda.synchronize() if torch.cuda.is_available() else None
        best = max(best, count / (time.perf_counter() - begun))
    return best


@pytest.fixture(scope="module", params=["synthetic 256 x 256", "NUDT-SIRST", "NUAA-SIRST"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, list[str]]:
    """A dataset's name, its root folder, and 320 of its images or all of a smaller list."""
    if request.param.startswith("synthetic"):
        return "IRSTD-1k", write_scenes(tmp_path_factory.mktemp("scenes"), 192), [f"XDU{n}" for n in range(192)]
    root = os.environ.get("DFINET_BENCH_DATA")
    if root is None or not (Path(root) / request.param).is_dir():
        pytest.skip(f"DFINET_BENCH_DATA names no folder with {request.param}")
    return request.param, Path(root), list(list_names(request.param, "basicirstd", "train", 320))


def write_scenes(root: Path, count: int) -> Path:
    """Smooth clutter with a target, as 8-bit PNG."""
    generator = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / "IRSTD-1k" / kind).mkdir(parents=True)
    for number in range(count):
        levels: NDArray[np.float64] = cv2.GaussianBlur(generator.random((256, 256)), (0, 0), 3) * 400 - 100
        mask = np.zeros((256, 256), np.uint8)
        row, column = generator.integers(10, 240, 2)
        mask[row : row + 4, column : column + 3] = 255
        image = np.clip(levels + generator.normal(0, 2, mask.shape) + mask, 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / f"IRSTD-1k/images/XDU{number}.png"), image)
        cv2.imwrite(str(root / f"IRSTD-1k/masks/XDU{number}.png"), mask)
    return root


def usual_form(files: tuple[str, Path, list[str]], case: Case) -> DataLoader[Pair]:
    name, root, names = files
    pairs = [(root / name / "images" / f"{one}.png", root / name / "masks" / f"{one}.png") for one in names]
    return DataLoader(
        Usual(pairs, case.augment),
        batch_size=case.recipe.batch,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
        worker_init_fn=one_thread,
        pin_memory=torch.cuda.is_available(),
    )


def opened(files: tuple[str, Path, list[str]], case: Case) -> Frames:
    name, root, names = files
    return open_frames(name, names, root=root, decoder=case.input.decoder)


def compare(files: tuple[str, Path, list[str]], name: str, device: torch.device) -> float:
    """How many times as many images are fed here; that both sides feed the same is asserted."""
    case = CASES[name]
    loader, frames = usual_form(files, case), opened(files, case)
    feed = Feed(frames, input=case.input, recipe=case.recipe, seed=1, needs_start=False, device=device)

    def usual(epoch: int) -> Iterable[Pair]:
        return ((one.to(device, non_blocking=True), other.to(device, non_blocking=True)) for one, other in loader)

    def ours(epoch: int) -> Iterable[Pair]:
        return ((batch.image, batch.mask) for batch in feed.epoch(epoch))

    one, other = deliver(usual(0)), deliver(ours(0))
    assert (one.images, one.shapes) == (other.images, other.shapes)
    scale = 255 / case.input.std
    assert one.image == pytest.approx(other.image, abs=0.03 * scale)  # 3 % of the range: chance crops and holes
    assert one.mask == pytest.approx(other.mask, rel=0.5)  # targets are few and crops random
    theirs, here = rate(usual, one.images), rate(ours, one.images)
    log.info(
        "%s, %s on %s, images/s: DataLoader %.0f, here %.0f, %.1f times; wanted %s",
        *(name, files[0], device.type, theirs, here, here / theirs, 20 if device.type == "cuda" else case.least),
    )
    return here / theirs


@pytest.mark.speed
@pytest.mark.parametrize("name", CASES)
def test_more_images_are_fed_than_by_the_usual_form(files: tuple[str, Path, list[str]], name: str) -> None:
    """The bars are for images of 256 x 256; NUAA-SIRST's have sizes of their own, and its figures are printed only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(WORKERS)
    try:
        times = compare(files, name, torch.device("cpu"))
    finally:
        torch.set_num_threads(threads)
    if files[0] in OF_256_PIXELS:
        assert times >= CASES[name].least


@pytest.mark.speed
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_is_fed_twenty_times_as_many_images(files: tuple[str, Path, list[str]], name: str) -> None:
    times = compare(files, name, torch.device("cuda"))
    if files[0] in OF_256_PIXELS:
        assert times >= 20
