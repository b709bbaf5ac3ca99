"""The connection to a Ray cluster: refused in one line where there is none, and checked node by node."""

from __future__ import annotations

import io
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import bench
from bench.errors import RequestError
from bench.parallel import THREADS, usable_processors
from bench.part_files import writing
from bench.run.cluster.task import NodeView, view_node
from bench.run.workspace import Workspace
from bench.stop import SIGNALS
from bench.store.files import first_line

log = logging.getLogger(__name__)

OBJECT_STORE = 100 * 2**20
"""Bytes of shared memory of a cluster of this machine alone: no image goes through it. Ray's minimum is 75 MiB."""
REACH = 5.0
"""Seconds to reach the head; Ray itself would try for minutes."""
VIEW = 180.0
"""Seconds for every node to import torch and look at the folders."""
VARIABLES = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", "RAY_USAGE_STATS_ENABLED": "0"}
"""The first hides GPUs from tasks that ask for none; the second sends nothing to Ray's makers."""


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The module `ray`, connected; a cluster that was started here ends with the block, one that was there goes on.

    Lines that Ray prints on standard output, which is for the command's results, are logged as details.

    Raises:
        RequestError: when Ray is not installed, or there is no cluster at the address.
    """
    os.environ.update(VARIABLES)
    try:
        import ray
    except ImportError as error:
        raise RequestError(
            f"--executor ray: Ray is not installed ({first_line(error)}); pip install -e '.[ray]' -c constraints.txt"
        ) from None
    if ray.is_initialized():  # by the script that calls this
        yield ray
        return
    with redirect_stdout(_Details()):
        _connect(ray, address or os.environ.get("RAY_ADDRESS"))
        try:
            yield ray
        finally:
            ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    local = {"num_cpus": usable_processors(), "object_store_memory": OBJECT_STORE, "include_dashboard": False}
    options = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    logging.getLogger("ray").setLevel(logging.ERROR)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    if address not in (None, "local", "auto"):
        _reach(ray, str(address))
    try:
        is_local = address in (None, "local")
        ray.init(address=address or "local", **options, **(local if is_local else {}))
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"  # type: ignore[arg-type]
        where = f"--ray-address {address}" if address else "--executor ray"
        raise RequestError(f"{where}: Ray cannot be reached ({reason}); ray start --head starts a cluster") from None
    finally:
        for number, handler in handlers.items():  # Ray's SIGTERM ends a process without a word
            signal.signal(number, handler)


def _reach(ray: Any, address: str) -> None:
    """Raise RequestError unless a cluster listens there that takes this account."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise RequestError(
            f"--ray-address {address!r}: expected HOST:PORT of the cluster's head, or auto; "
            "run the command on a node of the cluster"
        )
    try:
        socket.create_connection((host, int(port)), timeout=REACH).close()
    except (OSError, OverflowError) as error:
        raise RequestError(
            f"--ray-address {address}: no Ray cluster answers there ({first_line(error)}); "
            "ray start --head --port 6379 starts one"
        ) from None
    _authenticate(ray, address)


def _authenticate(ray: Any, address: str) -> None:
    """Take the account's token where the head asks for one, which Ray itself does for `auto` alone.

    Raises:
        RequestError: when the head takes neither this account's token nor none.
    """
    mode = os.environ.get("RAY_AUTH_MODE")
    modes = (mode,) if mode else ("disabled", "token")
    words = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    for tried in modes:
        environment = {**os.environ, "RAY_AUTH_MODE": tried}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            if tried == "token":
                os.environ["RAY_AUTH_MODE"] = tried
                ray._raylet.Config.initialize("")  # which has read the environment at import
            return
        if tried == modes[0] and "AuthenticationError" not in done.stderr:
            return  # it is no matter of tokens, and Ray says what it is
    raise RequestError(
        f"--ray-address {address}: the cluster asks for a token that this account does not have; copy "
        "~/.ray/auth_token of the account that started its head, or name such a file in RAY_AUTH_TOKEN_PATH"
    )


class _Details(io.TextIOBase):
    """A text stream whose lines are logged as details."""

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.strip():
                log.debug("ray: %s", line)
        return len(text)


def task_variables(threads: int) -> dict[str, str]:
    """The environment of the tasks' processes: this code, and so many threads."""
    paths = [str(Path(bench.__file__).parents[1]), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    kept = {name: value for name, value in os.environ.items() if name.startswith("DFINET_BENCH_")}
    return {
        **kept,
        **VARIABLES,
        **dict.fromkeys(THREADS, str(threads)),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
    }


def fitting_nodes(ray: Any, resources: Mapping[str, float]) -> dict[str, int]:
    """Number of experiments that fit at the same time, by id, on each node where one does."""
    fits = {}
    for node in ray.nodes():
        found = node["Resources"]
        counts = [int(found.get(name, 0) / wanted + 1e-9) for name, wanted in resources.items() if wanted]
        if node["Alive"] and min(counts) > 0:
            fits[node["NodeID"]] = min(counts)
    return fits


def check_nodes(ray: Any, workspace: Workspace, resources: Mapping[str, float], threads: int) -> None:
    """Check that an experiment fits on some node, and that all of those see the folders, with the same versions.

    Raises:
        RequestError: naming the node and the difference.
        WriteError: when the folder of results cannot be written here.
    """
    nodes = fitting_nodes(ray, resources)
    if not nodes:
        raise RequestError(
            f"--executor ray: no node has {_words(resources)} for an experiment, which --share asks for; the largest "
            f"has {_words(_largest(ray))}"
        )
    folders = tuple(folder for folder in (workspace.runs, workspace.data, workspace.weights) if folder is not None)
    proof = workspace.runs / f".seen-{secrets.token_hex(4)}.part"
    with writing(proof):
        proof.parent.mkdir(parents=True, exist_ok=True)
        proof.touch()
    try:
        here = view_node(folders, proof)
        views = _views(ray, list(nodes), folders, proof, threads)
    finally:
        proof.unlink(missing_ok=True)
    for name, view in views:
        check_view(name, view, here)


def _views(
    ray: Any, nodes: list[str], folders: tuple[Path, ...], proof: Path, threads: int
) -> list[tuple[str, NodeView]]:
    """The view of each node, with its host's name, which several may have; one that ends meanwhile is left out."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0, runtime_env={"env_vars": task_variables(threads)})(view_node)
    asked = {
        node: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(folders, proof)
        for node in nodes
    }
    names = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()}
    done, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=VIEW)
    views = []
    for node, answer in asked.items():
        if answer not in done:
            raise RequestError(f"node {names[node]}: no answer within {VIEW:.0f} s; look into its Ray logs")
        try:
            views.append((names[node], ray.get(answer)))
        except ray.exceptions.RayTaskError as error:
            raise RequestError(
                f"node {names[node]}: cannot run this code ({str(error).strip().splitlines()[-1]}); it needs the same "
                "environment as this machine"
            ) from None
        except ray.exceptions.RayError as error:
            log.warning("node %s ended: %s", names[node], first_line(error))
    return views


def check_view(name: str, there: NodeView, here: NodeView) -> None:
    """Raise RequestError, naming the node and the difference, where it is not as this machine."""
    if there.versions != here.versions:
        found, wanted = (", ".join(view.versions) for view in (there, here))
        raise RequestError(
            f"node {name}: has Python, dfinet-bench and torch {found}, this machine {wanted}; use one environment"
        )
    if set(there.missing) - set(here.missing):
        missing = sorted(set(there.missing) - set(here.missing))[0]
        raise RequestError(f"node {name}: {missing} is not there; put it on a file system that all nodes share")
    if there.unwritable:
        raise RequestError(f"node {name}: {there.unwritable}; --runs has to be one folder that all nodes can write")


def _largest(ray: Any) -> dict[str, float]:
    found: list[dict[str, float]] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max(found, key=lambda each: each.get("CPU", 0), default={})


def _words(resources: Mapping[str, float]) -> str:
    """Processors, GPUs and memory in words.

    >>> _words({"CPU": 1, "GPU": 0.5, "memory": 2 * 2**30})
    '1 CPU, 0.5 GPU, 2 GiB of memory'
    """
    cpus, gpus, memory = (resources.get(name, 0) for name in ("CPU", "GPU", "memory"))
    return f"{cpus:g} CPU, {gpus:g} GPU, {memory / 2**30:.3g} GiB of memory"
