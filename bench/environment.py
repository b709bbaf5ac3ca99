"""Describe the environment that a number was made in: versions, processor, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from bench._version import __version__
from bench.input_files import parse_json

COMMIT_FILE = "bundle-commit.json"
"""A file beside the packages that tells the commit and the flag where there is no checkout: in a bundle."""


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions, processors and the commit, as plain JSON types."""
    commit, dirty = commit_of_code()
    return {
        "dfinet_bench": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "device": device_name(device),
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": commit,
        "dirty": dirty,
    }


def device_name(device: torch.device) -> str:
    """The processor's name with, for a CPU, the threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{cpu_name()}, {torch.get_num_threads()} threads"


def cpu_name() -> str:
    """The processor's model as the system names it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit_of_code() -> tuple[str | None, bool | None]:
    """The checkout's commit and a flag for uncommitted changes, or those of a bundle; None outside of both."""
    root = Path(__file__).resolve().parent.parent
    if (told := root / COMMIT_FILE).is_file():
        known = parse_json(told.read_text(encoding="utf-8"))
        return known["commit"], known["dirty"]
    if not (root / ".git").exists():
        return None, None
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    outputs = []
    for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *words],
                capture_output=True,
                text=True,
                timeout=10,
                env=environment,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None, None
        outputs.append(done.stdout.strip())
    return outputs[0], bool(outputs[1])
