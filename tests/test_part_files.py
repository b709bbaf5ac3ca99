"""Part files: a file appears whole, and what killed writers left is removed, but never what somebody writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.part_files import ABANDONED, replacing, sweep

WRITES = """
import sys, time
from pathlib import Path
from bench.part_files import replacing

with replacing(Path(sys.argv[1])) as part:
    part.write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def start_writer(path: Path) -> subprocess.Popen[str]:
    writer = subprocess.Popen([sys.executable, "-c", WRITES, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    return writer


def test_a_part_file_stays_while_it_is_written_and_goes_when_its_writer_was_killed(tmp_path: Path) -> None:
    with start_writer(tmp_path / "key/result.json") as writer:
        sweep(tmp_path)
        (part,) = (tmp_path / "key").iterdir()
        assert part.read_text() == "half"
        with replacing(tmp_path / "key/result.json") as own:
            own.write_text("whole")
        assert part.exists()
        writer.kill()
    sweep(tmp_path)
    assert [path.name for path in (tmp_path / "key").iterdir()] == ["result.json"]


def test_writing_a_file_again_removes_what_a_killed_writer_of_it_left(tmp_path: Path) -> None:
    with start_writer(tmp_path / "result.json") as writer:
        writer.kill()
    with replacing(tmp_path / "other.json") as part:
        part.write_text("")
    assert len(list(tmp_path.glob(".result.json.*"))) == 1
    with replacing(tmp_path / "result.json") as part:
        part.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.json", "result.json"]


def test_a_part_file_of_another_machine_is_left_alone_for_a_day(tmp_path: Path) -> None:
    """Locks do not reach other machines in every shared folder."""
    for name, age in ((".a.npz.elsewhere-7-0a.part", ABANDONED - 60), (".b.npz.elsewhere-7-0b.part", ABANDONED + 60)):
        (tmp_path / name).write_text("half")
        then = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (then, then))
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".a.npz.elsewhere-7-0a.part"]


def test_a_part_file_within_another_is_written_in_place(tmp_path: Path) -> None:
    with replacing(tmp_path / "x") as outer, replacing(outer) as inner:
        assert inner == outer
        inner.write_text("whole")
    assert (tmp_path / "x").read_text() == "whole"
