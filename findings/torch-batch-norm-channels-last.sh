#!/usr/bin/env bash
# torch 2.13.0: BatchNorm2d in training mode on a CPU, on the same map with channels first and with channels last.
# A good guess: the memory format changes speed, and results by rounding alone, about 1e-7.
# Seen: with 8 maps of 256x256, mean 5, deviation 3, outputs and running variance are within 1e-6 of float64 with channels
# first and off by 1e-4 with channels last, where a channel's sum is carried through all pixels in float32. An
# error that grows with the pixels of a batch, so that it is largest where images are large, as infrared frames are.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch import nn

torch.set_num_threads(1)
noise = torch.Generator().manual_seed(0)
first = torch.randn(8, 8, 256, 256, generator=noise) * 3 + 5
last = first.contiguous(memory_format=torch.channels_last)


def error(norm, x, exact, right):
    out = norm(x).double()
    variance = norm.running_var.double()
    return [((a - b).abs().max() / b.abs().max()).item() for a, b in ((out, right), (variance, exact.running_var))]


with torch.no_grad():
    exact = nn.BatchNorm2d(8).double()
    right = exact(first.double())
    with_first, with_last = (error(nn.BatchNorm2d(8), x, exact, right) for x in (first, last))
print("torch", torch.__version__)
print("largest error of output and running variance, channels first: {:.1e} {:.1e}".format(*with_first))
print("largest error of output and running variance, channels last:  {:.1e} {:.1e}".format(*with_last))
assert torch.__version__.startswith("2.13.0")
assert max(with_first) < 1e-6
assert min(with_last) > 2e-5
PYTHON
