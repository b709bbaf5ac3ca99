"""The named protocols say what the published code does, value by value, and what is wrong with it."""

from __future__ import annotations

import numpy as np
from aligned import align

import bench.protocols.protocols
from bench.data.catalogue.cards import load_card
from bench.data.images.frames import Frame
from bench.metrics.counting.counts import count_image, counts_of
from bench.metrics.counting.levels import quantise
from bench.metrics.registry import score_counts
from bench.protocols.protocols import BASICIRSTD, DFINET, NATIVE, PROTOCOLS
from bench.protocols.recipes import RECIPES
from bench.types import Input, Recipe, Score, Scoring, Selection


def test_basicirstd_is_as_its_code() -> None:
    """dataset.py, utils.py and train.py of XinyiYing/BasicIRSTD."""
    assert BASICIRSTD.input == Input("pillow-grey", channels=1, multiple=32)
    assert BASICIRSTD.normalisation == "card"
    assert BASICIRSTD.selection == Selection("last")
    assert BASICIRSTD.scoring == Scoring(
        "basicirstd", ground_truth="binary", resolution="native", threshold=0.5, distance=3.0, connectivity=8
    )
    assert RECIPES.get(BASICIRSTD.recipe) == Recipe(
        optimiser="adam",
        lr=5e-4,
        weight_decay=0.0,
        schedule="multistep",
        milestones=(200, 300),
        gamma=0.1,
        epochs=400,
        batch=16,
        drop_single=True,
        shuffle="epoch",
        loss="soft-iou",
        augmentation="basicirstd",
        patch=256,
        positive_crop=0.5,
    )


def test_basicirstd_normalises_with_its_published_constants() -> None:
    published = {"NUAA-SIRST": (101.06385, 34.61961), "NUDT-SIRST": (107.80905, 33.02275)}
    published["IRSTD-1k"] = (87.46619, 39.71953)
    for name, constants in published.items():
        assert (load_card(name).mean, load_card(name).std) == constants
        assert dict(BASICIRSTD.splits)[name] == "basicirstd"
    counts = {name: load_card(name).splits["basicirstd"] for name in published}
    assert [(parts["train"], parts["test"]) for parts in counts.values()] == [(213, 214), (663, 664), (800, 201)]


def test_dfinet_is_as_its_script() -> None:
    """train.py, test.py and utils.py of uisdu/DFINet."""
    assert DFINET.input == Input("opencv-bgr", channels=3, mean=0.0, std=255.0, size=(256, 256), multiple=1)
    assert DFINET.normalisation == "fixed"
    assert DFINET.selection == Selection("best", criterion="loss", on="test", every=1)
    assert DFINET.selection.is_optimistic
    assert DFINET.scoring == Scoring("dfinet", ground_truth="soft", resolution="network", threshold=0.5)
    assert (DFINET.rounds, DFINET.start) == (8, "otsu")
    assert RECIPES.get(DFINET.recipe) == Recipe(
        optimiser="adam",
        lr=7e-5,
        weight_decay=0.0,
        schedule="plateau",
        patience=5,
        gamma=0.1,
        epochs=300,
        batch=10,
        drop_single=False,
        shuffle="once",
        loss="dice-bce",
        augmentation="dfinet",
        patch=None,
        align_start=False,
    )
    nudt = load_card("NUDT-SIRST").splits[str(dict(DFINET.splits)["NUDT-SIRST"])]
    assert (nudt["train"], nudt["val"], nudt["test"]) == (796, 265, 266)


def test_native_is_this_projects_own() -> None:
    assert NATIVE.input == Input("pillow-grey", channels=1, multiple=32)
    assert NATIVE.normalisation == "card"
    assert NATIVE.recipe == "published"
    assert NATIVE.selection == Selection("best", criterion="IoU/pooled", on="held-out")
    assert not NATIVE.selection.is_optimistic
    assert NATIVE.scoring == Scoring("native", ground_truth="binary", resolution="native", threshold=0.5, distance=3.0)
    assert (NATIVE.rounds, NATIVE.start, NATIVE.defects) == (8, "otsu", "")


def test_a_protocol_is_found_under_the_name_it_bears() -> None:
    assert {name: PROTOCOLS.get(name).name for name in PROTOCOLS} == {name: name for name in PROTOCOLS}
    assert set(PROTOCOLS) == {"native", "basicirstd", "dfinet", "lesps", "rpcanet"}


def test_what_is_wrong_with_a_published_protocol_is_said() -> None:
    for word in ("resized bilinearly", "never binarised", "perfect predictor", "test list", "ignore the augmentation"):
        assert word in DFINET.defects
    assert "test images" in BASICIRSTD.defects
    source = bench.protocols.protocols.__doc__ or ""
    assert "`defects` says what is wrong" in source


def perfect_scores(scoring: Scoring, size: tuple[int, int] | None) -> dict[str, Score]:
    """Scores of the mask itself as the prediction, on a 512 x 512 frame with one target of 5 x 5 pixels."""
    mask = np.zeros((512, 512), np.uint8)
    mask[100:105, 200:205] = 255
    grey = np.zeros_like(mask)
    frame = Frame("made-up", grey, grey, mask)
    shape = size or mask.shape
    blank = np.zeros(shape, np.uint16)
    _, truth = align(blank, frame, scoring)
    levels = quantise(truth.astype(np.float64))
    _, again = align(levels, frame, scoring)
    return score_counts(counts_of([count_image(levels, again, scoring=scoring)]), scoring)


def test_a_perfect_prediction_is_perfect_under_native_and_not_under_dfinet() -> None:
    """At 256 the target is 4 pixels of 255, 4 of 128 and one of 64: intersection 4, label and prediction 8 each."""
    native = perfect_scores(NATIVE.scoring, None)
    assert native["IoU/pooled"].value == 1.0
    assert native["Pd/centroid-3px"].value == 1.0
    assert native["Fa/unmatched-area"].value == 0.0
    soft = perfect_scores(DFINET.scoring, DFINET.input.size)
    assert all(name.startswith("legacy:") for name in soft)
    assert soft["legacy:IoU/soft-mask"].value == 4 / (8 + 8 - 4)
    assert soft["legacy:PixAcc/soft-mask"].value == 4 / 9
