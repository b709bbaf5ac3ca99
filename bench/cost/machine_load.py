"""Tell how much of the machine other processes took while something was timed."""

from __future__ import annotations

import os
import time
from pathlib import Path

STATISTICS = Path("/proc/stat")
IDLE = (3, 4)  # idle and waiting for disks, among the columns user, nice, system, idle, iowait, irq, softirq, steal
COLUMNS = 8


class OtherWork:
    """A watch over the processors, from its making on: the share of their time that others than this process took."""

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.perf_counter(), busy_seconds(), time.process_time()

    def share(self) -> float | None:
        """Part of all processors' time since then, in [0, 1]; None where the system does not count it."""
        busy = busy_seconds()
        if busy is None or self._busy is None:
            return None
        wall, own = time.perf_counter() - self._began, time.process_time() - self._own
        others = busy - self._busy - own
        return min(1.0, max(0.0, others / (wall * (os.cpu_count() or 1))))


def busy_seconds() -> float | None:
    """Seconds that all processors together worked since the start of the system, as Linux counts them, or None."""
    try:
        words = STATISTICS.read_text(encoding="ascii").partition("\n")[0].split()[1:]
        ticks = [int(word) for word in words[:COLUMNS]]
        return sum(n for column, n in enumerate(ticks) if column not in IDLE) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None
