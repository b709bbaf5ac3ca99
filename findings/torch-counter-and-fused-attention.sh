#!/usr/bin/env bash
# torch 2.13.0: multiply-adds of attention by torch.utils.flop_counter, in evaluation on a CPU.
# A good guess: a layer costs the same however it is written, and what the counter cannot count it says.
# Seen: over 1024 tokens of width 32 with 4 heads, the products written out count 71,303,168 multiply-adds, the same by
# scaled_dot_product_attention 4,194,304, by nn.MultiheadAttention 0: the fused operators that a CPU takes have no formula,
# and the counter is silent about it. With the plain path forced (SDPBackend.MATH, the fast path off) all three agree.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

TOKENS, WIDTH, HEADS = 1024, 32, 4
tokens = torch.randn(1, TOKENS, WIDTH)
layer = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
into, out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)


def heads():
    return (x.view(1, TOKENS, HEADS, WIDTH // HEADS).transpose(1, 2) for x in into(tokens).chunk(3, -1))


def written_out():
    q, k, v = heads()
    return out(((q @ k.transpose(-1, -2)).softmax(-1) @ v).transpose(1, 2).reshape(tokens.shape))


def fused():
    return out(F.scaled_dot_product_attention(*heads()).transpose(1, 2).reshape(tokens.shape))


def module():
    return layer(tokens, tokens, tokens, need_weights=False)[0]


@torch.no_grad()
def multiply_adds(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


right = 4 * TOKENS * WIDTH**2 + 2 * TOKENS**2 * WIDTH
found = [multiply_adds(run) for run in (written_out, fused, module)]
torch.backends.mha.set_fastpath_enabled(False)
with sdpa_kernel(SDPBackend.MATH):
    plain = [multiply_adds(run) for run in (written_out, fused, module)]
print("torch", torch.__version__)
print("by hand:", right)
print("products, scaled_dot_product_attention, MultiheadAttention:", found)
print("the same with the plain path forced:", plain)
assert torch.__version__.startswith("2.13.0")
assert found == [right, 4 * TOKENS * WIDTH**2, 0]
assert plain == [right] * 3
PYTHON
