#!/usr/bin/env bash
# thop 0.1.1.post2209072238 (pytorch-OpCounter) with torch 2.13.0: state_dict() after thop.profile().
# A good guess: counting a network's operations leaves the network as it was, so that a checkpoint saved afterwards loads.
# Seen: the profiled module keeps two buffers, total_ops and total_params; so do its parts that hold no layers known to
# thop or were not called, as nn.MultiheadAttention and an unused nn.ModuleList. They enter state_dict(), and
# load_state_dict() of the same network refuses the checkpoint: "Unexpected key(s) in state_dict". The buffers are float64.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/pip" install -q --no-deps thop==0.1.1.post2209072238
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import thop
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 1, 1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.unused = nn.ModuleList([nn.Conv2d(8, 1, 1)])

    def forward(self, image):
        maps = self.stem(image)
        tokens = maps.flatten(2).transpose(1, 2)
        tokens, _ = self.attention(tokens, tokens, tokens)
        return self.head(tokens.transpose(1, 2).reshape(maps.shape))


network = Net()
before = set(network.state_dict())
thop.profile(network, (torch.zeros(1, 1, 16, 16),), verbose=False)
left = {key: tensor.dtype for key, tensor in network.state_dict().items() if key not in before}
try:
    Net().load_state_dict(network.state_dict())
    loaded = True
except RuntimeError as error:
    loaded, words = False, str(error)
print("thop", version("thop"), "torch", torch.__version__)
print("left behind:", sorted(left))
print("loads into the same network:", loaded)
assert sorted(left) == [
    "attention.out_proj.total_ops",
    "attention.out_proj.total_params",
    "attention.total_ops",
    "attention.total_params",
    "total_ops",
    "total_params",
    "unused.total_ops",
    "unused.total_params",
]
assert set(left.values()) == {torch.float64}
assert not loaded and "Unexpected key(s) in state_dict" in words
PYTHON
