"""The fast form of DFINet on a GPU in half precision, as two captured CUDA graphs: one an image, one a round."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor

from bench.errors import RequestError
from dfinet.fast_network import FastDFINet
from dfinet.feedback_network import RoundByRound

WARM_UPS = 3
"""Runs before a capture, in which libraries choose kernels and allocate memory."""


@dataclass(frozen=True, eq=False)
class CapturedGraphs:
    """CUDA graphs for inputs of one shape, with the tensors that they read and write.

    Attributes:
        image, mask: the inputs.
        logits, following: the outputs of a round: its logits, and the mask for the next round.
        prepare, run_round: the graphs that are replayed once an image, and once a round.
    """

    image: Tensor
    mask: Tensor
    logits: Tensor
    following: Tensor
    prepare: torch.cuda.CUDAGraph
    run_round: torch.cuda.CUDAGraph


class CapturedDFINet(RoundByRound):
    """A DFINet for prediction alone, on a CUDA device, that replays one graph a round.

    Half precision changes logits; where the logit of a gate is next to zero, that flips a pixel of a mask. The effect
    on IoU has to be measured on trained weights.

    Args:
        network: on a CUDA device; it is left as it is.
        dtype: of the arithmetic.

    Raises:
        RequestError: when the network is not on a CUDA device.
    """

    ends_early = True

    def __init__(self, network: FastDFINet, *, dtype: torch.dtype = torch.float16) -> None:
        super().__init__()
        if not network.output.weight.is_cuda:
            raise RequestError("CapturedDFINet: the network is not on a CUDA device, whose graphs are captured")
        self.network, self.dtype = deepcopy(network).to(dtype), dtype
        self.default_rounds = network.default_rounds
        self._captured: dict[torch.Size, CapturedGraphs] = {}

    @torch.no_grad()
    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        """Logits (B, 1, H, W) in float32 of every round, without end.

        Raises:
            RequestError: without a start mask.
        """
        start = self.require_start(start)
        if image.shape not in self._captured:
            self._captured[image.shape] = self._capture(image, start)
        graphs = self._captured[image.shape]
        graphs.image.copy_(image)
        graphs.mask.copy_(start)
        graphs.prepare.replay()
        while True:
            graphs.run_round.replay()
            self.rounds_calculated += 1
            logits = graphs.logits.float()
            yield logits
            if self.ends_early and torch.equal(graphs.following, graphs.mask):
                yield from repeat(logits)
            graphs.mask.copy_(graphs.following)

    def _capture(self, image: Tensor, start: Tensor) -> CapturedGraphs:
        still = image.to(self.dtype).contiguous(memory_format=torch.channels_last)
        mask = start.to(self.dtype)
        side = torch.cuda.Stream(image.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(image.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self.network.run_round(self.network.prepare(still), mask)
        torch.cuda.current_stream(image.device).wait_stream(side)
        prepare, run_round = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(prepare):
            images = self.network.prepare(still)
        with torch.cuda.graph(run_round, pool=prepare.pool()):
            logits = self.network.run_round(images, mask)
            following = torch.sigmoid(logits)
        return CapturedGraphs(still, mask, logits, following, prepare, run_round)
