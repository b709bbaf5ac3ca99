"""DFINet-Bench: which infrared small target detector is better, by how much, under exactly which rules."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench._version import __version__

if TYPE_CHECKING:
    from bench.api import ComparisonResult as ComparisonResult
    from bench.api import SuiteResult as SuiteResult
    from bench.api import bundle_suite as bundle_suite
    from bench.api import compare as compare
    from bench.api import gate as gate
    from bench.api import report as report
    from bench.api import run_suite as run_suite
    from bench.api import score as score
    from bench.errors import BenchError as BenchError
    from bench.metrics.counting.counts import Counts as Counts
    from bench.metrics.registry import metric as metric
    from bench.metrics.statistic import HarmonicMean as HarmonicMean
    from bench.metrics.statistic import Ratio as Ratio
    from bench.metrics.statistic import mean_over_images as mean_over_images
    from bench.models.detector import Detector as Detector
    from bench.models.detector import Grey as Grey
    from bench.models.detector import ScoreMap as ScoreMap
    from bench.models.network import Batch as Batch
    from bench.models.network import Segmenter as Segmenter
    from bench.models.network import model as model
    from bench.weights.load import load_model as load_model

ROOMS = {
    "BenchError": "bench.errors",
    "SuiteResult": "bench.api",
    "ComparisonResult": "bench.api",
    "compare": "bench.api",
    "run_suite": "bench.api",
    "score": "bench.api",
    "bundle_suite": "bench.api",
    "gate": "bench.api",
    "report": "bench.api",
    "load_model": "bench.weights.load",
    "Batch": "bench.models.network",
    "Segmenter": "bench.models.network",
    "model": "bench.models.network",
    "Detector": "bench.models.detector",
    "Grey": "bench.models.detector",
    "ScoreMap": "bench.models.detector",
    "Counts": "bench.metrics.counting.counts",
    "metric": "bench.metrics.registry",
    "Ratio": "bench.metrics.statistic",
    "HarmonicMean": "bench.metrics.statistic",
    "mean_over_images": "bench.metrics.statistic",
}
"""Where each public name lives. Plugins import them from here, so that their imports survive every move."""

__all__ = ["ROOMS", "__version__", *ROOMS]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import bench` stays light."""
    if name in ROOMS:
        return getattr(import_module(ROOMS[name]), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
