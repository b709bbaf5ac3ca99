#!/usr/bin/env bash
# pyirstdmetrics 1.0.2 (NumPy 1.26.4): MatchingBasedMetrics with OPDCMatching counts an object that is not there on
# every image whose mask has no target, and on every image whose prediction is empty.
# A good guess: a right silence (no target, nothing predicted) counts nothing and leaves the mean hIoU as it was.
# Seen: it counts one missed target and one false alarm; beside one perfect image hIoU falls from 1 to 1/3.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyirstdmetrics==1.0.2 numpy==1.26.4 scipy==1.13.1 scikit-image==0.24.0
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import py_irstd_metrics as metrics


def total(*pairs):
    matching = metrics.OPDCMatching(overlap_threshold=0.5, distance_threshold=3)
    counted = metrics.MatchingBasedMetrics(matching_method=matching)
    for prediction, mask in pairs:
        counted.update(prediction, mask)
    objects = {name: np.asarray(getattr(counted, name)).tolist() for name in ("tp_objs", "fn_objs", "fp_objs")}
    return objects, round(float(np.asarray(counted.get()["hiou"]).ravel()[0]), 6)


target = np.zeros((32, 32), bool)
target[10:13, 10:13] = True
found, silent = target.astype(float), np.zeros((32, 32))
nothing = np.zeros((32, 32), bool)

alone, beside = total((found, target)), total((found, target), (silent, nothing))
print("pyirstdmetrics", version("pyirstdmetrics"))
print("one image, its target found exactly:", *alone)
print("with an image that has no target, and of which nothing is predicted:", *beside)
assert alone == ({"tp_objs": [1], "fn_objs": [0], "fp_objs": [0]}, 1.0), alone
assert beside == ({"tp_objs": [1], "fn_objs": [1], "fp_objs": [1]}, 0.333333), beside
PYTHON
