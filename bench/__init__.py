"""DFINet-Bench: which infrared small target detector is better, by how much, under exactly which rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.weights.load import load_model as load_model

__version__ = "0.1.0"
__all__ = ["__version__", "load_model"]


def __getattr__(name: str) -> Any:
    """Load what needs torch only when it is asked for, so that `import bench` stays light."""
    if name == "load_model":
        from bench.weights.load import load_model

        return load_model
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
