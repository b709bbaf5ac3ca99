"""The wishes of a run on a cluster: which one, and what each experiment gets of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from bench.errors import RequestError

GIB = 2**30


@dataclass(frozen=True)
class ClusterShare:
    """The part of a node that each experiment gets.

    Attributes:
        cpus: processors, and threads of the numerical libraries.
        gpus: may be a fraction; None for one where networks run on CUDA, and none on a CPU.
        memory: GiB that have to be free on the node.
    """

    cpus: int = 1
    gpus: float | None = None
    memory: float = 2.0

    def __post_init__(self) -> None:
        if self.cpus < 1 or self.memory <= 0 or (self.gpus is not None and self.gpus < 0):
            raise RequestError(
                f"--share cpus={self.cpus},gpus={self.gpus},memory={self.memory}: expected at least one processor, "
                "no negative number of GPUs, and some memory"
            )

    def resources(self, device: str) -> dict[str, float]:
        """The same by Ray's names, for networks on that kind of device."""
        gpus = self.gpus if self.gpus is not None else float(device == "cuda")
        return {"CPU": self.cpus, "GPU": gpus, "memory": int(self.memory * GIB)}


@dataclass(frozen=True)
class ClusterRequest:
    """A Ray cluster and the share of each experiment.

    Attributes:
        address: `host:port` of its head, or `auto` for the one that runs on this machine; None for the one that
            $RAY_ADDRESS names, else one of this machine alone that ends with the run.
        share: of each experiment.
    """

    address: str | None = None
    share: ClusterShare = ClusterShare()


def parse_share(text: str) -> ClusterShare:
    """The share that a text names.

    Raises:
        RequestError: for another name, a number that is none, or one that cannot be.

    >>> parse_share("cpus=2,gpus=0.5")
    ClusterShare(cpus=2, gpus=0.5, memory=2.0)
    """
    kinds = {field.name: int if field.name == "cpus" else float for field in fields(ClusterShare)}
    given: dict[str, float] = {}
    for part in text.split(",") if text else []:
        name, _, value = part.strip().partition("=")
        try:
            given[name] = kinds[name](value)
        except (KeyError, ValueError):
            raise RequestError(f"--share {text!r}: expected cpus=N,gpus=X,memory=GIB, or some of them") from None
    return ClusterShare(**given)  # type: ignore[arg-type]
