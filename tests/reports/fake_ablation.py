"""Made-up ablations of DFINet as a real run leaves them: choices as they would be registered, and rows around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.types import Choice, Config, Cost, ModelInfo, Row, RunResult, Setting, freeze_config
from tests.reports.fake_runs import DATASETS, DEVICE, DFINET, measured, result, scores, write_suite

SIGNS = (("True", "✓"), ("False", "✗"))
CHOICES = (
    Choice("dfffm", "DFFFM", True, SIGNS),
    Choice("own_mask", "own mask", "frozen", (("none", "✗"),)),
    Choice("chpp", "CHPP", 2, (("0", "✗"), ("1", "1"), ("2", "2"))),
    Choice("dsfm", "DSFM", True, SIGNS),
    Choice("madrb", "MADRB", True, SIGNS),
    Choice("cdc", "CDC θ", 0.7),
    Choice("attention", "CA", True, SIGNS),
    Choice("residual", "res. block", True, SIGNS),
    Choice("resize", "resize", "nearest"),
    Choice("soft", "soft mask", True, SIGNS),
    Choice("history", "history", True, SIGNS),
    Choice("shortcut", "shortcut", False, SIGNS),
)
FULL = replace(DFINET, choices=CHOICES, config=())
FANET = replace(DFINET, name="FANet", rounds=10, config=(), choices=())

CHANGES: dict[str, dict[str, Setting]] = {
    "no-dfffm": {"dfffm": False},
    "no-own-mask": {"own_mask": "none"},
    "learnt-own-mask": {"own_mask": "learnt"},
    "no-chpp": {"chpp": 0},
    "one-hppm": {"chpp": 1},
    "no-dsfm": {"dsfm": False},
    "no-madrb": {"madrb": False},
    "cdc-0": {"cdc": 0.0},
    "cdc-0.5": {"cdc": 0.5},
    "cdc-1": {"cdc": 1.0},
    "no-attention": {"attention": False},
    "no-residual-block": {"residual": False},
    "max-pool": {"resize": "max-pool"},
    "average-pool": {"resize": "average"},
    "hard-mask": {"soft": False},
    "no-history": {"history": False},
    "shortcut": {"shortcut": True},
    "described": {"own_mask": "learnt", "shortcut": True, "resize": "max-pool"},
}
"""Ablation to the settings it changes."""


def ablation(name: str) -> ModelInfo:
    """The record of `DFINet/<name>`."""
    return replace(FULL, name=f"DFINet/{name}", ablates="DFINet", config=freeze_config(CHANGES[name]))


def variant(info: ModelInfo = FULL, dataset: str = "NUDT-SIRST", *, iou: float = 0.9, **changes: object) -> RunResult:
    """A result of the full network or an ablation with that IoU and a cost of its own."""
    cost = Cost(DEVICE, "float32", (256, 256), info.rounds, 9_300_337, 24_130_000_000, 61.2, 63.0, 16.3)
    return result(info, dataset, found=scores(iou), **{"costs": (cost,), **changes})  # type: ignore[arg-type]


def started(made: RunResult, start: str, *, rounds: int = 0) -> RunResult:
    """The result as of another first feedback mask, or another number of rounds."""
    experiment = replace(made.experiment, start=start, rounds=rounds or made.experiment.rounds)
    return replace(made, experiment=experiment, key=experiment.key)


def iterated(made: RunResult, *ious: float, fa: float = 2e-5) -> RunResult:
    """The result after as many rounds as there are values."""
    rounds = tuple(scores(iou, fa=fa) for iou in ious)
    experiment = replace(made.experiment, rounds=len(ious))
    return replace(made, rounds=rounds, scores=rounds[-1], experiment=experiment, key=experiment.key)


Rows = list[tuple[str, RunResult | None, Row | None]]


def ablation_rows(root: Path, *, datasets: Sequence[str] = tuple(DATASETS), seeds: Sequence[int] = (42,)) -> Rows:
    """FANet, DFINet and its 18 ablations with everything that a run leaves behind."""
    rows: Rows = []
    for number, info in enumerate((FANET, FULL, *map(ablation, CHANGES))):
        for dataset in datasets:
            for seed in seeds:
                made = variant(info, dataset, seed=seed)
                skill = 0.85 - 0.03 * (number % 7) - 0.1 * (info is FANET)
                made = measured(made, root, skill=skill, frames=4, seed=seed + DATASETS[dataset])
                rows.append((info.name, made, None))
    return rows


def start_rows(root: Path, *, datasets: Sequence[str] = tuple(DATASETS)) -> Rows:
    """DFINet from every first feedback mask."""
    rows: Rows = []
    for number, start in enumerate(("otsu", "zeros", "ones", "noise", "ground-truth")):
        for dataset in datasets:
            made = started(variant(FULL, dataset), start)
            skill = 0.95 if start == "ground-truth" else 0.8 - 0.04 * number
            made = measured(made, root, skill=skill, frames=6, seed=DATASETS[dataset])
            rows.append((f"DFINet, {start}", made, None))
    return rows


def write_ablation_suite(root: Path, rows: Rows) -> None:
    """A suite of these rows."""
    write_suite(root, rows, title="Ablation on NUAA-SIRST and NUDT-SIRST")


def config_of(made: RunResult) -> Config:
    """The settings a result was built with."""
    return made.experiment.weights.config
