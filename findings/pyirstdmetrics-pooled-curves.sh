#!/usr/bin/env bash
# pyirstdmetrics 1.0.2 (NumPy 1.26.4): IoUHandler(sample_based=False) pools all pixels of a list for the score at the
# threshold ("binary"), but its curve over thresholds ("dynamic") is the mean of the images' curves.
# A good guess: with sample_based=False both are pooled, and the curve passes through the score.
# Seen: the curve equals that of sample_based=True; at the threshold of the score it gives another number.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyirstdmetrics==1.0.2 numpy==1.26.4 scipy==1.13.1 scikit-image==0.24.0
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import py_irstd_metrics as metrics

large = np.zeros((32, 32), bool)
large[4:20, 4:20] = True
small = np.zeros((32, 32), bool)
small[8:10, 8:10] = True
half_of_small = small.astype(float)
half_of_small[9] = 0.0

settings = {"with_dynamic": True, "with_binary": True}
scored = metrics.CMMetrics(
    num_bins=11,
    threshold=0.5,
    metric_handlers={
        "pooled": metrics.IoUHandler(sample_based=False, **settings),
        "per image": metrics.IoUHandler(sample_based=True, **settings),
    },
)
for prediction, mask in ((large.astype(float), large), (half_of_small, small)):
    scored.update(prediction, mask)
found = scored.get()
score = {name: round(float(found[name]["binary"]), 4) for name in found}
curve = {name: sorted({round(float(value), 4) for value in np.asarray(found[name]["dynamic"]).ravel()}) for name in found}
print("pyirstdmetrics", version("pyirstdmetrics"))
print("score at 0.5:", score)
print("values on the curve over thresholds:", curve)
assert score == {"pooled": 0.9923, "per image": 0.75}, score  # 258/260, and the mean of 1 and 1/2
assert curve["pooled"] == curve["per image"], curve
assert 0.75 in curve["pooled"] and 0.9923 not in curve["pooled"], curve
PYTHON
