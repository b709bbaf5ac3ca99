"""DFINet's fast rounds on a GPU in half precision, as captured graphs: one an image, one a round."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor

from bench.errors import RequestError
from dfinet.fast_network import FastDFINet, Memory
from dfinet.feedback_network import RoundByRound

WARM_UPS = 3
"""Runs before a capture, in which libraries choose kernels and take their memory."""


@dataclass(frozen=True, eq=False)
class Captured:
    """Graphs for inputs of one shape, with the tensors that they read from and write to.

    Attributes:
        image, mask: what they read.
        logits, fed: what a round writes: its logits, and the mask for the next one.
        remember, again: what is done once an image, and once a round.
    """

    image: Tensor
    mask: Tensor
    logits: Tensor
    fed: Tensor
    remember: torch.cuda.CUDAGraph
    again: torch.cuda.CUDAGraph


class CapturedDFINet(RoundByRound):
    """A DFINet that only predicts, on a CUDA device, without a word from Python inside a round.

    Half precision moves logits; where a gate's logit is next to zero, it flips a pixel of a mask. What comes of it in
    IoU has to be measured on trained weights.

    Args:
        network: on a CUDA device; it is left as it is.
        dtype: of the arithmetic.

    Raises:
        RequestError: when the network is not on a CUDA device.
    """

    def __init__(self, network: FastDFINet, *, dtype: torch.dtype = torch.float16) -> None:
        super().__init__()
        if not network.output.weight.is_cuda:
            raise RequestError("CapturedDFINet: the network is not on a CUDA device, whose graphs are captured")
        self.network, self.dtype = deepcopy(network).to(dtype), dtype
        self.default_rounds = network.default_rounds
        self._captured: dict[torch.Size, Captured] = {}

    @torch.no_grad()
    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        """Logits (B, 1, H, W) in float32 of every round, without end.

        Raises:
            RequestError: without a start mask.
        """
        start = self.asked_for(start)
        if image.shape not in self._captured:
            self._captured[image.shape] = self._capture(image, start)
        graphs = self._captured[image.shape]
        graphs.image.copy_(image)
        graphs.mask.copy_(start)
        graphs.remember.replay()
        while True:
            graphs.again.replay()
            logits = graphs.logits.float()
            yield logits
            if torch.equal(graphs.fed, graphs.mask):
                yield from repeat(logits)
            graphs.mask.copy_(graphs.fed)

    def _capture(self, image: Tensor, start: Tensor) -> Captured:
        still = image.to(self.dtype).contiguous(memory_format=torch.channels_last)
        mask = start.to(self.dtype)
        side = torch.cuda.Stream(image.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(image.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self.network.again(self.network.remember(still), mask)
        torch.cuda.current_stream(image.device).wait_stream(side)
        remember, again = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(remember):
            memory: Memory = self.network.remember(still)
        with torch.cuda.graph(again, pool=remember.pool()):
            logits = self.network.again(memory, mask)
            fed = torch.sigmoid(logits)
        return Captured(still, mask, logits, fed, remember, again)
