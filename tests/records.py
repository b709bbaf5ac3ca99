"""Small complete records that tests start from."""

from __future__ import annotations

from bench.types import (
    Experiment,
    ImageList,
    Input,
    ModelInfo,
    Recipe,
    Row,
    RunResult,
    Score,
    Scoring,
    Selection,
    Training,
)

IMAGES = ImageList("synthetic", "bench", "test", digest="d" * 64, count=80)
INPUT = Input("pillow-grey", 1, mean=100.0, std=30.0, multiple=32)
RECIPE = Recipe("adam", lr=1e-3, epochs=2, batch=4, loss="soft-iou", augmentation="basicirstd", patch=64)
TRAINING = Training("ACM", IMAGES, INPUT, RECIPE, Selection("last"), seed=42)
EXPERIMENT = Experiment(TRAINING, IMAGES, INPUT)
INFO = ModelInfo("ACM", cite="Dai 2021", source="the port", licence="none stated", recipe="basicirstd")
ROW = Row("ACM", "ACM", "synthetic", "bench", "native", Scoring("native"), seed=42, key=EXPERIMENT.key)
SCORES = {
    "IoU/pooled": Score(0.5, "fraction", "higher"),
    "legacy:Fa/equal-area": Score(2e-5, "fraction", "lower"),
    "Pd/centroid-3px": Score(None, "fraction", "higher", reason="no targets in the list"),
}
RESULT = RunResult(
    key=EXPERIMENT.key,
    status="done",
    experiment=EXPERIMENT,
    scoring=ROW.scoring,
    protocol="native",
    model=INFO,
    scores=SCORES,
    rounds=(SCORES, SCORES),
    environment={"torch": "2.13.0", "cuda": None},
    times={"train_s": 1.5},
)
