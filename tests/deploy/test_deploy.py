"""The files for clusters: syntax by real checkers, commands against the command line, and the script as it runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_docs import check_command

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/slurm/suite.sbatch"
IMAGES = sorted((ROOT / "deploy/docker").iterdir())
each_image = pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)


def checked(program: str, *words: str) -> None:
    """Run a checker, which comes with the tests' packages."""
    found = shutil.which(program, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([found, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def commands_in_text(text: str) -> list[str]:
    """The words behind each `dfinet-bench`, continued lines and all, with variables as one word."""
    whole = text.replace("\\\n", " ")
    lines = re.findall(r"^(?!#)dfinet-bench (run .*?)(?: &)?$", whole, re.MULTILINE)
    images = re.findall(r"^#   docker run.* dfinet-bench:\w+ (.*)$", whole, re.MULTILINE)
    return [re.sub(r'"\$@"', "quick", line) for line in lines] + images


def test_the_script_is_bash_that_its_checkers_take() -> None:
    checked("bash", "-n", str(SCRIPT))
    checked("shellcheck", str(SCRIPT))


@each_image
def test_an_image_is_what_its_checker_takes_and_starts_our_command(path: Path, tmp_path: Path) -> None:
    checked("hadolint", "--failure-threshold", "warning", str(path))
    shutil.copy(path, tmp_path / "Dockerfile")
    parsed = pytest.importorskip("dockerfile_parse").DockerfileParser(str(tmp_path))
    assert re.fullmatch(r"python:3\.11-slim-\w+", parsed.baseimage)
    orders = [(order["instruction"], order["value"]) for order in parsed.structure]
    assert ("ENTRYPOINT", '["dfinet-bench"]') in orders
    assert ("COPY", ". .") in orders
    assert any(name == "RUN" and "--constraint constraints.txt" in value for name, value in orders)


@pytest.mark.parametrize("path", [SCRIPT, *IMAGES], ids=lambda path: path.name)
def test_every_command_and_option_exists(path: Path) -> None:
    found = commands_in_text(path.read_text(encoding="utf-8"))
    assert found
    for command in found:
        check_command(command)


def test_slurm_is_given_options_that_fit_each_other() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    options = dict(shlex.split(line)[1].partition("=")[::2] for line in re.findall("^#SBATCH .*", text, re.MULTILINE))
    hours, minutes, _ = map(int, options["--time"].split(":"))
    budget = int(re.findall(r"MINUTES:-(\d+)", text)[0])
    assert "--requeue" in options
    assert options["--open-mode"] == "append"  # a task that is queued again keeps what it said
    assert options["--signal"].startswith("B:USR1@")
    assert budget < 60 * hours + minutes - int(options["--signal"].partition("@")[2]) / 60


PROGRAM = """#!/bin/bash
echo "run $*" >> calls
while [ "$#" -gt 0 ]; do [ "$1" = --log-file ] && log=$2; shift; done
mkdir -p "$(dirname "$log")"
trap 'echo terminated >> calls; exit 143' TERM
{body}
"""


def started(folder: Path, body: str) -> subprocess.Popen[str]:
    """The script as Slurm starts it, with programs that note how they are called."""
    programs = {"dfinet-bench": PROGRAM.format(body=body), "scontrol": '#!/bin/bash\necho "scontrol $*" >> calls\n'}
    (folder / "bin").mkdir()
    for name, text in programs.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    slurm = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "10", "SLURM_ARRAY_TASK_ID": "2", "SLURM_RESTART_COUNT": "1"}
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    given = {**os.environ, **slurm, "PATH": path, "RUNS": "shared"}
    return subprocess.Popen(["bash", str(SCRIPT), "quick", "table-main"], cwd=folder, env=given, text=True)


RUN = (
    "run run quick table-main --runs shared --data data --device cuda --mlflow off --budget 225 "
    "--log-file shared/logs/10_2.1.log"
)


@pytest.mark.parametrize(
    ("body", "code", "calls"),
    [
        ("exit 0", 0, [RUN]),
        ("exit 1", 1, [RUN]),
        (
            'echo "note: 3 of 9 rows not reached within the time budget of 225 min; …" >> "$log"',
            0,
            [RUN, "scontrol requeue 10_2"],
        ),
    ],
    ids=["done", "failed", "over budget"],
)
def test_a_task_is_queued_again_only_if_there_is_more_to_do(
    body: str, code: int, calls: list[str], tmp_path: Path
) -> None:
    assert started(tmp_path, body).wait(timeout=30) == code
    assert (tmp_path / "calls").read_text().splitlines() == calls


def test_the_time_limit_stops_the_run_and_queues_the_task_again(tmp_path: Path) -> None:
    process = started(tmp_path, "touch runs-now; while true; do sleep 0.05; done")
    until = time.monotonic() + 30
    while not (tmp_path / "runs-now").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=30) == 143
    assert (tmp_path / "calls").read_text().splitlines() == [RUN, "terminated", "scontrol requeue 10_2"]
