#!/usr/bin/env bash
# safetensors 0.8.0: two saves of the same tensors with the same metadata give different bytes.
# A good guess: a format made for safe exchange of weights writes equal content as equal bytes, so that the SHA-256 of
# a checkpoint file says whether it holds the same weights (tensors are sorted, after all).
# Seen: the keys of __metadata__ come in another order from save to save, within one process; without metadata, or with
# one key, the bytes are equal. A digest of a checkpoint has to be taken of its content, or of one stored file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q safetensors==0.8.0 numpy==2.3.5
"$folder/venv/bin/python" - <<'PYTHON'
import hashlib
import json

import numpy as np
import safetensors
from safetensors.numpy import load, save

tensors = {"head.weight": np.ones((1, 4), np.float32), "head.bias": np.zeros(1, np.float32)}
metadata = {name: "1" for name in ("network", "channels", "dataset", "epoch", "recipe", "seed")}


def kinds(metadata):
    saved = [save(tensors, metadata=metadata) for _ in range(40)]
    headers = [json.loads(one[8 : 8 + int.from_bytes(one[:8], "little")]) for one in saved]
    assert all(header == headers[0] for header in headers), "equal content"
    assert all((load(one)["head.weight"] == 1).all() for one in saved)
    return len({hashlib.sha256(one).hexdigest() for one in saved})


print("safetensors", safetensors.__version__)
found = {count: kinds(dict(list(metadata.items())[:count]) or None) for count in (0, 1, 6)}
print("different files among 40 saves of the same content, by number of metadata keys:", found)
assert found[0] == found[1] == 1, found
assert found[6] > 1, found
PYTHON
