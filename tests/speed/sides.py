"""Processes that benchmarks compare: each works once for every line it is sent, and answers with a line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.parallel import THREADS

FOLDER = Path(__file__).parent


class Side:
    """A process that runs a script of this folder until the stack is closed.

    Args:
        script: its file's name.
        words: the script's arguments.
        path: folders to import from.
        threads: of the numerical libraries; None for what they choose.
        variables: further ones of its environment.
    """

    def __init__(
        self,
        stack: ExitStack,
        script: str,
        *words: object,
        path: tuple[Path, ...],
        threads: int | None,
        **variables: str,
    ) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in THREADS}
        if threads is not None:
            environment |= dict.fromkeys(THREADS, str(threads))
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
        started = subprocess.Popen(
            [sys.executable, str(FOLDER / script), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment | variables,
        )
        self._process = stack.enter_context(started)  # at its end the pipes are closed, which ends the process

    def begin(self) -> None:
        """Let it work."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Its next answer."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self) -> Any:
        """The answer to a line."""
        self.begin()
        return self.answer()
