#!/usr/bin/env bash
# pyirstdmetrics 1.0.2 (NumPy 1.26.4): HierarchicalIoUBasedErrorAnalysis shares the attributes fp_area and total_area
# with the other classes of objects, but never adds to them.
# A good guess: after an image with a false alarm they hold its area and the pixels of the image, as in
# MatchingBasedMetrics.
# Seen: they stay [0] and 0, so that a false-alarm rate taken from this class would be 0/0, whatever is predicted.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyirstdmetrics==1.0.2 numpy==1.26.4 scipy==1.13.1 scikit-image==0.24.0
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import py_irstd_metrics as metrics

mask = np.zeros((32, 32), bool)
mask[10:13, 10:13] = True
prediction = mask.astype(float)
prediction[20:22, 25:27] = 1.0  # a false alarm of four pixels

errors = metrics.HierarchicalIoUBasedErrorAnalysis()
matched = metrics.MatchingBasedMetrics(
    matching_method=metrics.OPDCMatching(overlap_threshold=0.5, distance_threshold=3)
)
areas = {}
for kind in (errors, matched):
    kind.update(prediction, mask)
    areas[type(kind).__name__] = np.asarray(kind.fp_area).tolist(), int(kind.total_area)
print("pyirstdmetrics", version("pyirstdmetrics"))
print("area of false alarms, area of all images:", areas)
assert areas["MatchingBasedMetrics"] == ([4], 1024), areas
assert areas["HierarchicalIoUBasedErrorAnalysis"] == ([0], 0), areas
PYTHON
