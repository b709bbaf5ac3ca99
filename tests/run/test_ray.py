"""Experiments as tasks of a real Ray cluster: the numbers of one process, and deaths of every part of it survived."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from bench.errors import RequestError, WriteError
from bench.models.network import MODELS
from bench.registry import load_plugin
from bench.run.cluster.request import ClusterRequest, ClusterShare, parse_share
from bench.run.local import run_all
from bench.run.ray import run_on_ray
from bench.run.workspace import Session, Workspace
from bench.suites.expand import Job, expand
from bench.suites.suite import Limit, load_suite
from bench.types import RunResult

ROOT = Path(__file__).parents[2]
PLUGIN = """
import os, signal, time
from pathlib import Path

import torch
from torch import nn

from bench.models.network import Segmenter, model

PAPER = {"cite": "none", "source": "tests", "licence": "MIT", "recipe": "basicirstd"}
NOTES = Path(__file__).parent


class Tiny(Segmenter):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 1, 1)

    def forward(self, image, start=None):
        return self.last(torch.relu(self.first(image)))

    def training_loss(self, batch, loss, *, epoch):
        with (NOTES / type(self).__name__).open("a") as notes:
            notes.write(f"{epoch} {os.environ['OMP_NUM_THREADS']} {os.environ.get('CUDA_VISIBLE_DEVICES')!r}\\n")
        self.live_through(epoch)
        return super().training_loss(batch, loss, epoch=epoch)

    def live_through(self, epoch):
        pass


class Dies(Tiny):
    def live_through(self, epoch):
        if epoch == 2:
            os._exit(0)


class DiesOnce(Tiny):
    def live_through(self, epoch):
        if epoch == 2 and not (NOTES / "died").exists():
            (NOTES / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Quits(Tiny):
    def live_through(self, epoch):
        raise SystemExit(0)


class Hangs(Tiny):
    def live_through(self, epoch):
        if epoch == 2 and not (NOTES / "node").exists():
            import ray
            (NOTES / "node.part").write_text(ray.get_runtime_context().get_node_id())
            (NOTES / "node.part").rename(NOTES / "node")
            time.sleep(600)


class Slow(Tiny):
    def live_through(self, epoch):
        time.sleep(0.5)


for kind in (Tiny, Dies, DiesOnce, Quits, Hangs, Slow):
    model(kind.__name__, **PAPER)(lambda *, channels, kind=kind: kind())
"""
SUITE = """
title = "On a cluster"
plugins = ["tiny.py"]
datasets = ["synthetic"]
{more}

[set]
"recipe.patch" = 32
"recipe.epochs" = 3

{rows}
"""
STORE = 80 * 2**20
needs_mounts = pytest.mark.skipif(
    subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0,
    reason="needs the right to mount",
)
SMALL = ClusterShare(memory=0.2)


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, one_thread: None, own_networks: None) -> None:
    """Networks of a plugin."""
    (tmp_path / "tiny.py").write_text(PLUGIN)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head that takes no experiments, and two nodes with room for one each; the first says that it has a GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE})
    for gpus in (1, 0):
        made.add_node(num_cpus=1, num_gpus=gpus, object_store_memory=STORE)
    yield made
    ray.shutdown()
    made.shutdown()


def jobs_of(folder: Path, *models: str, more: str = "") -> list[Job]:
    rows = "".join(f'[[row]]\nmodel = "{model}"\n' for model in models)
    (folder / "tasks.toml").write_text(SUITE.format(more=more, rows=rows))
    load_plugin(folder / "tiny.py")
    suite = load_suite(str(folder / "tasks.toml"))
    return expand(suite, info_of=lambda name: MODELS.get(name).info, limit=Limit(train=7, test=3))


def session_of(runs: Path, cluster: Cluster | None = None, **live: Any) -> Session:
    address = "local" if cluster is None else cluster.address
    return Session(Workspace.open(runs), cluster=ClusterRequest(address, SMALL), **live)


def epochs(folder: Path, model: str) -> list[str]:
    """The epochs that a network was trained in, each as often as it began; seven images are one batch."""
    return [line.split()[0] for line in (folder / model).read_text().splitlines()]


def assert_equal_to_one_process(folder: Path, jobs: list[Job], results: list[RunResult | None]) -> None:
    plain = run_all(jobs, session_of(folder / "plain"))
    for one, other in zip(results, plain, strict=True):
        assert one is not None
        assert other is not None
        assert (one.status, one.rounds) == (other.status, other.rounds)
        assert one.environment["threads"] == 1
        assert [stretch["threads"] for stretch in one.environment["trained_with"]] == [1]
        files = [folder / runs / one.key / "predictions.npz" for runs in ("runs", "plain")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_ray_gives_the_numbers_of_one_process_and_a_model_that_exits_is_one_failed_row(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, "Tiny", "Quits", more='corruptions = ["clean", "drift@5"]')
    assert [job.row.model for job in jobs] == ["Tiny", "Tiny", "Quits", "Quits"]
    handler = signal.getsignal(signal.SIGTERM)
    results = run_on_ray(jobs, session_of(tmp_path / "runs"))
    assert signal.getsignal(signal.SIGTERM) is handler
    assert not ray.is_initialized()
    assert [result and result.reason for result in results[2:]] == ["PluginError: the model called sys.exit(0)"] * 2
    assert epochs(tmp_path, "Tiny") == ["1", "2", "3"]  # two experiments, one training
    assert epochs(tmp_path, "Quits") == ["1", "1"]  # each of two experiments, once
    assert not [path for path in tmp_path.rglob(".*") if path.name.startswith(".lock")]
    assert_equal_to_one_process(tmp_path, jobs[:2], results[:2])


@pytest.mark.slow
def test_a_killed_process_goes_on_from_its_last_epoch_and_one_that_always_dies_is_a_failed_row(
    tmp_path: Path, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    jobs = jobs_of(tmp_path, "Dies", "DiesOnce", "Tiny")
    results = run_on_ray(jobs, session_of(tmp_path / "runs", cluster))
    died, *others = results
    assert died is not None
    assert died.status == "failed"
    assert "its task died 3 times without an epoch in between, last: WorkerCrashedError" in died.reason
    assert "WorkerCrashedError" in (tmp_path / "runs" / died.key / "error.log").read_text()
    assert epochs(tmp_path, "Dies") == ["1", "2", "2", "2"]
    assert epochs(tmp_path, "DiesOnce") == ["1", "2", "2", "3"]
    shown = {line.split()[2] for name in ("Dies", "Tiny") for line in (tmp_path / name).read_text().splitlines()}
    assert shown == {"''"}  # the node's GPU is hidden from experiments that ask for none
    assert_equal_to_one_process(tmp_path, jobs[1:], others)


@pytest.mark.slow
def test_the_experiment_of_a_removed_node_goes_on_from_its_last_epoch_on_another(
    tmp_path: Path, cluster: Cluster
) -> None:
    jobs = jobs_of(tmp_path, "Hangs")
    nodes = {node.node_id: node for node in cluster.worker_nodes}

    def remove() -> None:
        while not (tmp_path / "node").exists():
            time.sleep(0.05)
        cluster.remove_node(nodes[(tmp_path / "node").read_text()], allow_graceful=False)
        removed.set()

    removed = threading.Event()
    threading.Thread(target=remove, daemon=True).start()
    results = run_on_ray(jobs, session_of(tmp_path / "runs", cluster))
    assert removed.is_set()
    assert epochs(tmp_path, "Hangs") == ["1", "2", "2", "3"]
    assert_equal_to_one_process(tmp_path, jobs, results)


def command(address: str) -> list[str]:
    words = ["run", "tasks.toml", "--executor", "ray", "--ray-address", address, "--share", "memory=0.2"]
    return [sys.executable, "-m", "bench", *words, "--limit", "train=7,test=3", "--mlflow", "off", "--json"]


def started(folder: Path, cluster: Cluster) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("DFINET_BENCH_WORKERS", None)
    pipe = subprocess.PIPE
    return subprocess.Popen(command(cluster.address), cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_is_killed_or_stopped_goes_on_with_the_same_command(
    tmp_path: Path, cluster: Cluster, number: int
) -> None:
    jobs_of(tmp_path, "Slow", more="seeds = [1, 2]")
    first = started(tmp_path, cluster)
    while len(list(tmp_path.glob("runs/trainings/*/state.pt"))) < 2 and first.poll() is None:
        time.sleep(0.02)
    first.send_signal(number)
    out, said = first.communicate(timeout=60)
    if number == signal.SIGTERM:
        assert first.returncode == 143, said
        where = r"(after epoch \d of 3 )?\(Slow on synthetic\)"  # one may have begun to predict
        assert re.fullmatch(rf"stopped {where}, {where}; the same command goes on", said.splitlines()[-1]), said
        assert "after epoch" in said
    again = started(tmp_path, cluster)
    out, said = again.communicate(timeout=240)
    assert again.returncode == 0, said
    results = [row["result"] for row in json.loads(out)["results"]]
    assert [result["status"] for result in results] == ["limited", "limited"]
    begun = epochs(tmp_path, "Slow")
    assert begun.count("1") == 2
    assert len(begun) <= 8  # each of two trainings begins one epoch again at most
    third = started(tmp_path, cluster)
    out, said = third.communicate(timeout=240)
    assert third.returncode == 0, said
    assert epochs(tmp_path, "Slow") == begun


@pytest.mark.slow
def test_two_drivers_on_one_folder_run_nothing_twice_and_a_changed_suite_runs_what_is_new(
    tmp_path: Path, cluster: Cluster
) -> None:
    jobs_of(tmp_path, "Slow", more="seeds = [1, 2, 3]")
    drivers = [started(tmp_path, cluster) for _ in range(2)]
    outs = [driver.communicate(timeout=280) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], outs
    assert outs[0][0] == outs[1][0]
    assert sorted(epochs(tmp_path, "Slow")) == ["1"] * 3 + ["2"] * 3 + ["3"] * 3
    jobs_of(tmp_path, "Slow", "Tiny", more="seeds = [1, 2]")
    more = started(tmp_path, cluster)
    _, said = more.communicate(timeout=200)
    assert more.returncode == 0, said
    assert (len(epochs(tmp_path, "Slow")), len(epochs(tmp_path, "Tiny"))) == (9, 6)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", r"--ray-address 127\.0\.0\.1:1: no Ray cluster answers there \(.*refused\); ray start --head"),
        ("head", r"--ray-address 'head': expected HOST:PORT of the cluster's head, or auto"),
        ("ray://head:10001", r"--ray-address 'ray://head:10001': expected HOST:PORT"),
    ],
)
def test_no_cluster_at_the_address_is_one_line(tmp_path: Path, address: str, said: str) -> None:
    jobs = jobs_of(tmp_path, "Tiny")
    with pytest.raises(RequestError, match=said):
        run_on_ray(jobs, Session(Workspace.open(tmp_path / "runs"), cluster=ClusterRequest(address)))


def test_without_ray_one_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = jobs_of(tmp_path, "Tiny")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RequestError, match=r"Ray is not installed .*; pip install -e '\.\[ray\]' -c constraints\.txt"):
        run_on_ray(jobs, Session(Workspace.open(tmp_path / "runs")))


@pytest.mark.slow
def test_a_share_that_fits_nowhere_and_a_folder_that_takes_no_file_are_one_line(
    tmp_path: Path, cluster: Cluster
) -> None:
    jobs = jobs_of(tmp_path, "Tiny")
    session = session_of(tmp_path / "runs", cluster)
    session.cluster = ClusterRequest(cluster.address, ClusterShare(cpus=64))
    with pytest.raises(RequestError, match="no node has 64 CPU, 0 GPU, 2 GiB of memory for an experiment"):
        run_on_ray(jobs, session)
    with pytest.raises(WriteError, match=r"/proc/runs.*: cannot be written"):
        run_on_ray(jobs, session_of(Path("/proc/runs"), cluster))


@pytest.mark.slow
def test_no_task_that_waits_at_ray_begins_after_the_budget(tmp_path: Path, cluster: Cluster) -> None:
    jobs = jobs_of(tmp_path, "Slow", more="seeds = [1, 2, 3, 4, 5]")
    results = run_on_ray(jobs, session_of(tmp_path / "runs", cluster), budget=0.5)
    assert sum(result is not None for result in results) == 2  # the cluster has room for two
    assert epochs(tmp_path, "Slow").count("1") == 2


@contextmanager
def head_of(home: Path, **variables: str) -> Iterator[str]:
    """The address of a head that an account with that home folder has started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["start", "--head", "--block", "--port", str(port), "--num-cpus", "1", "--object-store-memory", str(STORE)]
    words += [
        "--include-dashboard",
        "false",
        "--temp-dir",
        tempfile.mkdtemp(prefix="ray-"),
    ]  # sockets need a short name
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", *words],
        env={**account(home), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert head.stdout is not None
    with head, head.stdout as said:
        try:
            while "Ray runtime started" not in (line := said.readline()):
                assert line, "the head ended"
            threading.Thread(target=said.read, daemon=True).start()
            yield f"127.0.0.1:{port}"
        finally:
            head.terminate()
            head.wait(60)


def account(home: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**plain, "HOME": str(home), "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_a_cluster_with_or_without_a_token_is_reached_and_a_missing_one_is_one_line(tmp_path: Path) -> None:
    """Ray secures a head where the account has a token, which an earlier run on this machine's own Ray leaves."""
    jobs_of(tmp_path, "Tiny")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    (tmp_path / "other").mkdir()

    def run(address: str, home: Path) -> subprocess.CompletedProcess[str]:
        words = command(address)
        return subprocess.run(
            words, cwd=tmp_path, env=account(home), capture_output=True, text=True, timeout=200, check=False
        )

    with head_of(tmp_path) as address:
        refused = run(address, tmp_path / "other")
        assert refused.returncode == 2
        assert re.fullmatch(r"error: .* asks for a token that this account does not have; copy .*\n", refused.stderr)
        done = run(address, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["result"]["status"] for row in json.loads(done.stdout)["results"]] == ["limited"]
    shutil.rmtree(tmp_path / "runs")
    with head_of(tmp_path, RAY_AUTH_MODE="disabled") as address:
        done = run(address, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Unauthenticated" not in done.stderr


@contextmanager
def node_with_read_only(folder: Path, cluster: Cluster) -> Iterator[None]:
    """A further node, which sees the folder but cannot write to it: it has mounts of its own."""
    mounts = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"
    start = (
        f"-m ray.scripts.scripts start --address {cluster.address} --num-cpus 2 --object-store-memory {STORE} --block"
    )
    words = ["unshare", "--mount", "bash", "-c", f"{mounts} && exec {sys.executable} {start}"]
    before = len(ray.nodes())
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as node:
        try:
            while len(ray.nodes()) == before:
                if node.poll() is not None:
                    pytest.fail(node.communicate()[0])
                time.sleep(0.1)
            yield
        finally:
            node.terminate()
            node.communicate(timeout=60)


@needs_mounts
@pytest.mark.slow
def test_a_node_that_cannot_write_the_folder_of_results_is_named_before_anything_runs(
    tmp_path: Path, cluster: Cluster
) -> None:
    jobs = jobs_of(tmp_path, "Tiny")
    (tmp_path / "runs").mkdir()
    ray.init(address=cluster.address)
    with (
        node_with_read_only(tmp_path / "runs", cluster),
        pytest.raises(
            RequestError,
            match=r"node .*: .*/runs: Read-only file system; --runs has to be one folder that all nodes can write",
        ),
    ):
        run_on_ray(jobs, session_of(tmp_path / "runs", cluster))
    assert not list((tmp_path / "runs").iterdir())
    (done,) = run_on_ray(jobs, session_of(tmp_path / "runs", cluster))
    assert done is not None
    assert done.status == "limited"


@needs_mounts
@pytest.mark.slow
def test_a_disk_that_is_full_ends_the_run_with_one_line_and_the_same_command_goes_on(
    tmp_path: Path, cluster: Cluster
) -> None:
    jobs = jobs_of(tmp_path, "Tiny", more="seeds = [1, 2]")
    runs = tmp_path / "runs"
    runs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", runs], check=True)
    try:
        first = run_on_ray(jobs[:1], session_of(runs, cluster))
        (runs / "filler").write_bytes(bytes(shutil.disk_usage(runs).free - 2**14))
        kept = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
        with pytest.raises(WriteError, match="cannot be written, no space left on device; make room and run the same"):
            run_on_ray(jobs, session_of(runs, cluster))
        assert {path: path.read_bytes() for path in kept} == kept
        (runs / "filler").unlink()
        results = run_on_ray(jobs, session_of(runs, cluster))
        assert results[0] == first[0]
        assert_equal_to_one_process(tmp_path, jobs, results)
        assert epochs(tmp_path, "Tiny") == ["1", "2", "3"] * 4  # two here, two in one process
    finally:
        subprocess.run(["umount", runs], check=True)


@pytest.mark.parametrize("text", ["cpus", "cpus=1.5", "cpus=0", "gpus=-1", "memory=0", "disk=3", "cpus=1,,"])
def test_a_share_that_cannot_be_is_one_line(text: str) -> None:
    with pytest.raises(RequestError, match="--share"):
        parse_share(text)
