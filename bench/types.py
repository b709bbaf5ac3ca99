"""The records everything else passes around: frozen, complete, made of the standard library alone.

Records never look anything up: whoever makes one puts the resolved values in. A record's `identity` is its resolved
content with every field left out that stands at its default, so that a new field with a default changes no old key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from bench.characters import refuse_steering
from bench.errors import RequestError

Better = Literal["higher", "lower"]
Status = Literal["done", "limited", "failed"]
MaskResize = Literal["bilinear", "opencv-nearest"]
Decoder = Literal["pillow-grey", "opencv-grey", "opencv-bgr"]
Matching = Literal["greedy-raster", "nearest", "optimal", "overlap-priority", "overlap", "shooting"]
Setting = bool | int | float | str
Config = tuple[tuple[str, Setting], ...]

Mixed = Literal["refuse", "mark"]
"""What becomes of a table that would mix rules on one dataset: none is made, or each of its rows is marked."""

Absent = Literal["refuse", "leave-out"]
"""What becomes of a suite of which a dataset's images are not there: it does not run, or runs without their rows."""

SCHEMA_VERSION = 1

TUNED = "best"
"""The level of a classical detector's threshold rule that is to be found on the training list."""


BUSY = 0.1
"""Share of the processors' time that, taken by other processes, makes measured times doubtful."""

UNSTEADY = 1.5
"""Ratio of the 95th percentile of measured times to their median, above which they are doubtful."""


def check_numbers(section: str, **ranges: tuple[float | None, bool, str]) -> None:
    """Raise RequestError unless every number is in its range.

    Args:
        section: of the record, for the message.
        ranges: by the field's name its value, whether it is in range, and the range in words. NaN and infinity are in
            none.
    """
    for name, (value, is_in_range, expected) in ranges.items():
        if not is_in_range or (value is not None and not math.isfinite(value)):
            raise RequestError(f"{section}: {name} is {value}, expected {expected}")


def identity(record: Any) -> Any:
    """The content of a record that its key is made of, as plain JSON types."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {
            f.name: identity(getattr(record, f.name))
            for f in dataclasses.fields(record)
            if f.metadata.get("key", True) and getattr(record, f.name) != f.default
        }
    if isinstance(record, tuple):
        return [identity(item) for item in record]
    return record


def key_of(record: Any) -> str:
    """12 hexadecimal digits of the SHA-256 of a record's identity."""
    text = json.dumps(identity(record), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def freeze_config(config: Mapping[str, Setting]) -> Config:
    """A model's settings as a sorted tuple of pairs, so that equal settings are equal records."""
    return tuple(sorted(config.items()))


@dataclass(frozen=True)
class Input:
    """The steps from a file to a tensor: chosen by the training, used again at test.

    The tensor is `(grey level - mean) / std` on the 0 to 255 scale: `mean=0, std=255` is division by 255.

    Attributes:
        decoder: which library decodes, and to what: `pillow-grey` is Pillow's mode L, `opencv-grey` is `cv2.imread` to
            grey levels, `opencv-bgr` to colours.
        channels: channels the network sees; a grey frame is repeated.
        mean, std: grey levels, 0 to 255.
        size: (height, width) in pixels every image is resized to, or None for native size.
        multiple: native-size images are padded (bottom and right, zeros after normalisation) to a multiple of this.
        padding: `least`, or `further`: always up to the next larger multiple, 256 to 288, as LESPS' script does.
        source: where mean and std come from, for the reader.
    """

    decoder: Decoder
    channels: int
    mean: float = 0.0
    std: float = 255.0
    size: tuple[int, int] | None = None
    multiple: int = 1
    padding: Literal["least", "further"] = "least"
    source: str = field(default="", metadata={"key": False})

    def __post_init__(self) -> None:
        if self.decoder == "opencv-bgr" and self.channels != 3:
            raise RequestError(f"input: decoder 'opencv-bgr' gives 3 channels, not channels={self.channels}")
        if self.channels not in (1, 3):
            raise RequestError(f"input: channels is {self.channels}, expected 1 or 3")
        check_numbers(
            "input",
            std=(self.std, self.std > 0, "a positive number of grey levels"),
            mean=(self.mean, 0 <= self.mean <= 255, "a grey level from 0 to 255"),
        )
        if self.multiple < 1 or (self.size is not None and min(self.size) < 1):
            raise RequestError(f"input: size {self.size} and multiple {self.multiple} must be positive")
        if self.padding == "further" and self.size is not None:
            raise RequestError(f"input: padding 'further' is of native-size images, not of size {self.size}")


@dataclass(frozen=True)
class Recipe:
    """The rules of a training: optimiser, schedule, batches, loss, augmentation.

    Attributes:
        optimiser, lr, weight_decay, momentum: the optimiser and its numbers, otherwise torch's defaults.
        schedule: `constant`, `multistep` (milestones, gamma), `plateau` (patience, gamma; the selection list's loss),
            `poly` (power; down to 0) or `cosine` (lr_end; down to it).
        stepped: whether `poly` and `cosine` change the rate every epoch or every iteration.
        milestones: epochs after which the rate is multiplied by gamma.
        warm_up: first epochs of a `cosine` schedule, in which the rate rises linearly; all, when they are that few.
        epochs, batch: passes over the list, images a step.
        drop_single: leave out a last batch of one image (BatchNorm on a 1x1 map cannot train on it).
        shuffle: `epoch` for a new order every epoch, `once` for one fixed order.
        loss: name in bench.models.losses.
        augmentation: name in bench.data.batches.augment: `none`, `basicirstd`, `dfinet`, ….
        patch: side of the square training crop in pixels; None trains on whole (resized) images.
        positive_crop: share of crops that are placed on a target pixel.
        align_start: whether the first feedback mask follows the image's augmentation.
        precision: arithmetic of the forward and backward pass: `float32`, or `bfloat16` where torch's autocast has it;
            weights, optimiser and loss are always float32, and so is every prediction.
        average: the weights that are judged and kept are an exponential moving average over iterations with this decay
            (of the first n, at most n / (n + 9)); 0 keeps the trained weights themselves.
        compiled: steps run through torch.compile, which makes kernels for the network and fuses its layers; needs a
            C++ compiler, on a GPU Triton.
        deterministic: train on one thread of a CPU, and with deterministic kernels on a GPU, so that the weights are
            the same, bit for bit, however many threads there are.
        device: the kind of device that trained: `cpu` or `cuda`.
    """

    optimiser: Literal["adam", "adagrad", "sgd"]
    lr: float
    epochs: int
    batch: int
    loss: str
    augmentation: str
    schedule: Literal["constant", "multistep", "plateau", "poly", "cosine"] = "constant"
    stepped: Literal["epoch", "iteration"] = "epoch"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    patience: int = 5
    power: float = 0.9
    warm_up: int = 0
    lr_end: float = 0.0
    weight_decay: float = 0.0
    momentum: float = 0.0
    drop_single: bool = True
    shuffle: Literal["epoch", "once"] = "epoch"
    patch: int | None = None
    positive_crop: float = 0.5
    align_start: bool = True
    precision: Literal["float32", "bfloat16"] = "float32"
    average: float = 0.0
    compiled: bool = False
    deterministic: bool = False
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise RequestError(f"recipe: epochs={self.epochs} and batch={self.batch} must be at least 1")
        check_numbers(
            "recipe",
            lr=(self.lr, self.lr > 0, "a positive number"),
            weight_decay=(self.weight_decay, self.weight_decay >= 0, "0 or a positive number"),
            momentum=(self.momentum, 0 <= self.momentum < 1, "a number in [0, 1)"),
            gamma=(self.gamma, 0 < self.gamma <= 1, "a number above 0 and at most 1"),
            patience=(self.patience, self.patience >= 0, "0 epochs or more"),
            power=(self.power, self.power > 0, "a positive number"),
            lr_end=(self.lr_end, self.lr_end >= 0, "0 or a positive number"),
            average=(self.average, 0 <= self.average < 1, "a decay in [0, 1)"),
            positive_crop=(self.positive_crop, 0 <= self.positive_crop <= 1, "a share from 0 to 1"),
        )
        if any(epoch < 1 for epoch in self.milestones):
            raise RequestError(f"recipe: milestones are {self.milestones}, expected epochs from 1 on")
        if (self.schedule == "multistep") != bool(self.milestones):
            raise RequestError(f"recipe: schedule {self.schedule!r} does not go with milestones {self.milestones}")
        if self.stepped == "iteration" and self.schedule not in ("poly", "cosine"):
            raise RequestError(f"recipe: schedule {self.schedule!r} is stepped every epoch, not every iteration")
        if self.warm_up < 0 or (self.warm_up and self.schedule != "cosine"):
            raise RequestError(f"recipe: warm_up is {self.warm_up} epochs, expected 0 or more of a cosine schedule")
        if self.momentum and self.optimiser != "sgd":
            raise RequestError(f"recipe: momentum is of optimiser 'sgd', not of {self.optimiser!r}")
        if self.patch is not None and self.patch < 16:
            raise RequestError(f"recipe: patch is {self.patch} pixels, expected at least 16")


@dataclass(frozen=True)
class Selection:
    """Which epoch's weights are kept.

    Attributes:
        rule: `last` epoch, or the `best` one by `criterion` on the selection list.
        criterion: `loss` (lower is better) or `IoU/pooled` (higher is better), of the feedback round that the network
            is judged after: the first one, but for networks that say otherwise.
        on: `held-out` (a stored part of the training list), `val` (the split's own validation list) or `test`.
        every: epochs between two looks at the selection list.
    """

    rule: Literal["last", "best"]
    criterion: Literal["loss", "IoU/pooled"] = "IoU/pooled"
    on: Literal["held-out", "val", "test"] = "held-out"
    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise RequestError(f"selection: every is {self.every}, expected at least 1 epoch")

    @property
    def is_optimistic(self) -> bool:
        """True if the test list took part in the choice of the checkpoint."""
        return self.rule == "best" and self.on == "test"


@dataclass(frozen=True)
class Scoring:
    """The rules of scoring: not part of an experiment's key, so that stored predictions can be scored again.

    Attributes:
        name: what tables call it.
        ground_truth: `binary` masks (grey > 127), or `soft`: the mask resized bilinearly to the network's size and
            never binarised again, as DFINet's script does.
        resolution: `native`: probabilities brought to the image's size; `network`: the mask brought to the network's.
        threshold: a pixel is predicted where its probability is greater than this.
        distance: a target is matched by a predicted component whose centroid is nearer than this, in pixels.
        connectivity: 4 or 8 neighbours make a component.
        matching: `greedy-raster`: targets in raster order each take the first free component near enough;
            `nearest`: the nearest pair first, then the nearest of the rest; `optimal`: as many pairs as can be, of
            those choices the one with the least total distance; `overlap-priority`: the choice of least total
            distance among all, of which pairs with an IoU of at least 0.5 are kept, then one among the rest, of which
            pairs near enough are kept; `overlap`: a target is found when a predicted pixel lies on it, a component is
            a false alarm when none of its pixels lies on a target;
            `shooting`: a target is found when a predicted pixel is at most 1 px from it (3 x 3), a predicted pixel is
            a false alarm when it is more than 4 px from all of them (9 x 9).
        normalise: `none`; `min-max`: every map is stretched to [0, 1] before it meets the threshold, as UIU-Net's
            script does; or `max`: every map is divided by its highest probability, as RPCANet's script does.
        mask_resize: how a mask is brought to the network's size: `bilinear`, by OpenCV and then cut at 127, or
            `opencv-nearest`, OpenCV's nearest neighbour, which takes the pixel at or before the exact place.
    """

    name: str
    ground_truth: Literal["binary", "soft"] = "binary"
    resolution: Literal["native", "network"] = "native"
    threshold: float = 0.5
    distance: float = 3.0
    connectivity: Literal[4, 8] = 8
    matching: Matching = "greedy-raster"
    normalise: Literal["none", "min-max", "max"] = "none"
    mask_resize: MaskResize = "bilinear"

    def __post_init__(self) -> None:
        if self.ground_truth == "soft" and self.resolution != "network":
            raise RequestError("scoring: ground_truth 'soft' exists only at resolution 'network'")
        if self.mask_resize != "bilinear" and (self.ground_truth == "soft" or self.resolution != "network"):
            raise RequestError(
                f"scoring: mask_resize {self.mask_resize!r} is of binary ground truth at resolution 'network'"
            )
        check_numbers(
            "scoring",
            threshold=(self.threshold, 0 <= self.threshold < 1, "a probability in [0, 1)"),
            distance=(self.distance, self.distance > 0, "a positive number of pixels"),
        )


@dataclass(frozen=True)
class ImageList:
    """A list of images of one dataset, by the digest of its names.

    Attributes:
        dataset: name of the card.
        split: who published the list: `basicirstd`, `dfinet`, `sirst-v1`, ….
        part: `train`, `val`, `held-out`, `test`.
        digest: SHA-256 of the names, one a line, in order (after `limit`).
        count: names in the list (after `limit`).
        limit: how many of the list's names were asked for in a trial; None is all.
    """

    dataset: str
    split: str
    part: str
    digest: str
    count: int
    limit: int | None = None


@dataclass(frozen=True)
class Protocol:
    """A named bundle of rules, from which a suite makes experiments.

    Attributes:
        name: what tables call it.
        splits: per dataset, the split it uses; a dataset that is not named uses its card's default.
        input: how images are read; `normalisation` says whether mean and std come from the dataset's card.
        normalisation: `card`: mean and std are those of the dataset's card; `fixed`: those of `input`.
        recipe: name in bench.protocols.recipes, or `published`: each network's own.
        selection, scoring: which weights, which judge.
        start: first feedback mask at test time, a name in bench.data.images.start_masks; training starts from `otsu`.
        rounds: feedback rounds at test time.
        defects: what is wrong with it, for the reader; empty where nothing is known to be.
    """

    name: str
    input: Input
    recipe: str
    selection: Selection
    scoring: Scoring
    normalisation: Literal["card", "fixed"] = "card"
    splits: Config = ()
    start: str = "otsu"
    rounds: int = 8
    defects: str = ""


@dataclass(frozen=True)
class Training:
    """Everything that determines trained weights."""

    model: str
    images: ImageList
    input: Input
    recipe: Recipe
    selection: Selection
    seed: int
    config: Config = ()
    selection_images: ImageList | None = None

    def __post_init__(self) -> None:
        if self.input.size is None and self.recipe.patch is None:
            raise RequestError(
                "training: input.size and recipe.patch are both unset, so images of different sizes cannot be batched"
            )
        if self.input.size is not None and self.recipe.patch is not None:
            raise RequestError(
                f"training: input.size {self.input.size} resizes and recipe.patch {self.recipe.patch} crops; choose one"
            )
        needs_list = self.selection.rule == "best" or self.recipe.schedule == "plateau"
        if needs_list and self.selection_images is None:
            raise RequestError("training: selection 'best' and schedule 'plateau' need selection_images")

    @cached_property
    def key(self) -> str:
        return key_of(self)


@dataclass(frozen=True)
class Weights:
    """Weights somebody else made, by the digest of their file. Stands where a training would.

    Attributes:
        path: the file, where the suite gives it.
        name: of a published checkpoint in bench/weights/catalogue.toml, whose file is looked for; otherwise empty.
        learnt_from: its training lists, as far as they are known.
    """

    model: str
    sha256: str
    config: Config = ()
    path: str = field(default="", metadata={"key": False})
    name: str = field(default="", metadata={"key": False})
    learnt_from: tuple[ImageList, ...] = field(default=(), metadata={"key": False})


@dataclass(frozen=True)
class Method:
    """A classical detector: nothing to learn but, if its level is to be the best one, the level of its threshold.

    Attributes:
        images, input: the training list that the level is chosen on, and how it is read; None where it is given.
    """

    model: str
    config: Config = ()
    images: ImageList | None = None
    input: Input | None = None

    @cached_property
    def key(self) -> str:
        return key_of(self)


@dataclass(frozen=True)
class Predictions:
    """Predictions somebody made, by the digest of their files. Stands where a training would.

    Attributes:
        model: the name that tables give to the method.
        is_binary: whether every one is a mask of 0 and 1, which has one threshold and no curve.
        place: the folder or file, as it was named.
    """

    model: str
    sha256: str
    is_binary: bool = False
    config: Config = ()
    place: str = field(default="", metadata={"key": False})


@dataclass(frozen=True)
class Experiment:
    """Everything that determines predictions.

    Attributes:
        rounds: feedback rounds; 1 without feedback.
        start: first feedback mask, a name in bench.data.images.start_masks; empty for networks without feedback.
        corruption: of the test images, `kind@level` in bench.data.images.corruptions; empty for none.
    """

    weights: Training | Weights | Method | Predictions
    images: ImageList
    input: Input
    rounds: int = 1
    start: str = "otsu"
    corruption: str = ""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise RequestError(f"experiment: rounds is {self.rounds}, expected at least 1")

    @cached_property
    def key(self) -> str:
        """Folder name, resume key and MLflow tag."""
        return key_of(self)

    @property
    def model(self) -> str:
        return self.weights.model

    @property
    def training_key(self) -> str:
        """Key of the training, or of the tuning of a detector, that makes the weights; empty where nothing is learnt.

        It is the folder's name under `trainings`.
        """
        if isinstance(self.weights, Training):
            return self.weights.key
        return self.weights.key if isinstance(self.weights, Method) and self.weights.images else ""

    @property
    def is_limited(self) -> bool:
        """True if a trial limit shortened the training or the test list."""
        learnt_from = self.weights.images if isinstance(self.weights, Training | Method) else None
        return any(images is not None and images.limit is not None for images in (self.images, learnt_from))


@dataclass(frozen=True)
class Reported:
    """A published number with the rules and source it was published under.

    Attributes:
        weights: name of the published checkpoint that it is of, where that is known here; otherwise empty.
    """

    dataset: str
    split: str
    metric: str
    value: float
    source: str
    rules: str = ""
    note: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        refuse_steering(vars(self), "published number")


@dataclass(frozen=True)
class Choice:
    """A design choice of a network: a setting of its builder, with what tables say of its values.

    Attributes:
        setting: the builder's argument.
        head: what stands above its column of an ablation table.
        default: its value in the full network; a setting that stands at it is left out of keys.
        words: values, as text, with what tables print for them, such as ✓ and ✗; others print themselves.
    """

    setting: str
    head: str
    default: Setting
    words: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        refuse_steering(vars(self), "design choice")

    def describe(self, value: Setting) -> str:
        """The text that a table prints for a value.

        >>> Choice("chpp", "CHPP", 2, (("0", "✗"), ("2", "✓"))).describe(0)
        '✗'
        """
        return dict(self.words).get(str(value), str(value))


@dataclass(frozen=True)
class ModelInfo:
    """A network's record for tables and citations.

    Attributes:
        name: as in its paper.
        cite: authors, title, venue, year.
        source: the public repository or file the implementation is equal to.
        licence: of that source; `none stated` where there is none.
        ablates: the network this is a variant of, or empty.
        recipe: its published recipe in bench.protocols.recipes; empty for a classical detector, which learns nothing.
        channels: input channels of its published form.
        rounds: feedback rounds of its published test; 1 without feedback.
        config: the settings of its published form; what an experiment was built with is its own `config`.
        choices: its design choices, which its ablations are told apart by.
        reported: published numbers.
    """

    name: str
    cite: str
    source: str
    licence: str
    recipe: str
    channels: int = 1
    rounds: int = 1
    ablates: str = ""
    config: Config = ()
    choices: tuple[Choice, ...] = ()
    reported: tuple[Reported, ...] = ()

    def __post_init__(self) -> None:
        refuse_steering(vars(self), "model")


@dataclass(frozen=True)
class Score:
    """One metric's value: a plain fraction, or null with the reason."""

    value: float | None
    unit: str
    better: Better
    reason: str = ""


def doubt_of_times(others_busy: float | None, median: float, high: float) -> str:
    """Reason in words not to trust measured times; empty where there is none.

    Args:
        others_busy: share of the processors that other processes took meanwhile; None if unknown.
        median, high: of the times the median and the 95th percentile, in one unit.
    """
    if others_busy is not None and others_busy > BUSY:
        return f"other work took over {BUSY:.0%} of the processors while it was timed"
    if high > UNSTEADY * median:
        return f"one pass in 20 took over {UNSTEADY:g} times as long as the median"
    return ""


@dataclass(frozen=True)
class EarlyEnd:
    """The time that a feedback network takes on test images where it stops calculating once a mask repeats.

    Attributes:
        images: test images that were timed, spread over the list, one at a time and each at its own size.
        rounds: mean number of feedback rounds calculated.
        images_per_s: images divided by the seconds they took.
        size: (height, width) of the images as the network sees them; None where they differ.
    """

    images: int
    rounds: float
    images_per_s: float
    size: tuple[int, int] | None = None

    @property
    def words(self) -> str:
        """The images that were timed, in words.

        >>> EarlyEnd(images=8, rounds=2.5, images_per_s=9.9, size=(256, 256)).words
        '8 test images of 256 × 256 pixels'
        """
        pixels = "different sizes" if self.size is None else f"{self.size[0]} × {self.size[1]} pixels"
        return f"{self.images} test image{'s' if self.images > 1 else ''} of {pixels}"


@dataclass(frozen=True)
class Cost:
    """The cost of one forward pass with all feedback rounds, measured on one device.

    Attributes:
        device: name of the processor it was measured on.
        precision: arithmetic.
        size: (height, width) of the input in pixels; batch is 1.
        rounds: feedback rounds in the pass.
        parameters: numbers in `parameters()`, dead ones included.
        macs: multiply-accumulates of one round by `macs_counter`; None for classical detectors, which are not made of
            operators that it counts.
        macs_uncounted: operators of the round that multiply and that the counter has no formula for; with any, `macs`
            is a lower bound.
        flops_fvcore: fvcore's count of one round, in multiply-accumulates as well, or None without fvcore.
        fvcore_unsupported: operators fvcore could not count.
        latency_p50, latency_p95: milliseconds an image, all rounds.
        images_per_s: 1000 / mean latency.
        every_round: True where each timed pass calculated all of its rounds; files of before that was recorded have
            False, for a network that repeats its mask may have stopped sooner.
        others_busy: share of all processors' time that other processes took meanwhile, in [0, 1]; None if unknown.
        early_end: time on test images, for a network that stops once its mask repeats.
        peak_memory: bytes; on a CPU the growth of the process's resident set, on a GPU the allocator's peak.
    """

    device: str
    precision: str
    size: tuple[int, int]
    rounds: int
    parameters: int
    macs: int | None
    latency_p50: float
    latency_p95: float
    images_per_s: float
    macs_counter: str = "torch FlopCounterMode / 2"
    macs_uncounted: tuple[str, ...] = ()
    flops_fvcore: int | None = None
    fvcore_unsupported: tuple[str, ...] = ()
    peak_memory: int | None = None
    every_round: bool = False
    others_busy: float | None = None
    early_end: EarlyEnd | None = None

    @property
    def disturbance(self) -> str:
        """Reason not to trust the times, in words; empty where there is none.

        Other processes took more than a tenth of the processors, or the slowest passes half as long again as most, or
        not every round may have been calculated.
        """
        if doubt := doubt_of_times(self.others_busy, self.latency_p50, self.latency_p95):
            return doubt
        if self.rounds > 1 and not self.every_round:
            return "timed on noise, where the network may have ended early"
        return ""


@dataclass(frozen=True)
class RunResult:
    """The outcome of one experiment under one scoring: the content of `result.json`.

    Attributes:
        scores: metric id to score, final round.
        rounds: the same for every round, first to last.
        epochs: epochs trained and the one whose weights were kept (0 for given weights).
        optimistic: whether the weights were chosen on the test list.
        tuned: of a classical detector, the level its threshold rule was used at, given or found on the training list.
        leaked: test images that the weights learnt from; 0 where no list is known to share one.
        training: `training_key` of the experiment, for readers of the file.
    """

    key: str
    status: Status
    experiment: Experiment
    scoring: Scoring
    protocol: str
    model: ModelInfo
    scores: Mapping[str, Score] = field(default_factory=dict)
    rounds: tuple[Mapping[str, Score], ...] = ()
    costs: tuple[Cost, ...] = ()
    reason: str = ""
    epochs: int = 0
    best_epoch: int = 0
    optimistic: bool = False
    tuned: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)
    leaked: int = 0
    training: str = ""
    schema: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Row:
    """One line of a suite: an experiment's key with what tables call it.

    Attributes:
        label: as the table prints it; several seeds of one label become mean and deviation.
        key: of the experiment.
        split: publisher of the test list.
        leaked: test images that its weights learn from, which the suite allows; tables mark it.
        corruption: of the test images, `kind@level`; empty for none.
        trained_on: the dataset it learnt from, where the suite says so; empty where it is that of the test list, or
            nothing was learnt.
    """

    label: str
    model: str
    dataset: str
    split: str
    protocol: str
    scoring: Scoring
    seed: int
    key: str
    leaked: int = 0
    corruption: str = ""
    trained_on: str = ""

    @property
    def is_transferred(self) -> bool:
        """True if the test dataset is not the training dataset."""
        return self.trained_on not in ("", self.dataset)

    @property
    def title(self) -> str:
        """Its label; where it learnt from another dataset, with that: `ACM (trained on NUAA-SIRST)`."""
        return f"{self.label} (trained on {self.trained_on})" if self.is_transferred else self.label

    @property
    def test_set(self) -> str:
        """The dataset it is tested on, a corruption included: `NUDT-SIRST + drift@2`."""
        return f"{self.dataset} + {self.corruption}" if self.corruption else self.dataset
