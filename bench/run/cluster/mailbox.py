"""A box on the driver's node for the messages of tasks that are still running; it imports nothing of the house.

A task finds it by its name when it first has a letter: a handle among the arguments is unpacked again for every task.
"""

from __future__ import annotations

import asyncio
from typing import Any

Letter = tuple[int, list[Any]]
"""The number of a task and some of its messages, in order."""


class Mailbox:
    """An actor of Ray."""

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self._came = asyncio.Event()

    async def post(self, letter: Letter) -> None:
        """Put a letter in."""
        self._letters.append(letter)
        self._came.set()

    async def take(self) -> list[Letter]:
        """Wait until there is one, and take all out."""
        await self._came.wait()
        self._came.clear()
        letters, self._letters = self._letters, []
        return letters
