#!/usr/bin/env bash
# Pillow 13.0.0, OpenCV 5.0.0.93, scikit-image 0.26.0, SciPy 1.17.1: nearest neighbour from 512 x 512 to 256 x 256.
# A good guess: nearest neighbour only picks pixels, so every library makes the same mask of a binary mask, and a test
# set has as many targets (connected components, 8 neighbours) whichever library its masks were resized with.
# Seen: of every two rows and columns Pillow, scikit-image and OpenCV's INTER_NEAREST_EXACT keep the second, OpenCV's
# INTER_NEAREST the first, SciPy's zoom the first in the upper left half and the second in the lower right one. Of one
# mask with 8 targets remain 6, 4 and 1, so that a detection rate is a share of another number of targets in each.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 opencv-python-headless==5.0.0.93 scikit-image==0.26.0 \
  scipy==1.17.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.transform import resize

SIZE = (256, 256)

RESIZES = {
    "Pillow, NEAREST": lambda mask: np.asarray(Image.fromarray(mask).resize(SIZE, Image.Resampling.NEAREST)),
    "OpenCV, INTER_NEAREST": lambda mask: cv2.resize(mask, SIZE, interpolation=cv2.INTER_NEAREST),
    "OpenCV, INTER_NEAREST_EXACT": lambda mask: cv2.resize(mask, SIZE, interpolation=cv2.INTER_NEAREST_EXACT),
    "scikit-image, resize(order=0)": lambda mask: resize(mask, SIZE, order=0, anti_aliasing=False, preserve_range=True),
    "SciPy, zoom(order=0)": lambda mask: ndimage.zoom(mask, 0.5, order=0),
}


def count(mask):
    return ndimage.label(np.asarray(mask) > 127, structure=np.ones((3, 3)))[1]


mask = np.zeros((512, 512), np.uint8)
for row, col in ((101, 51), (101, 151), (101, 401), (401, 151)):  # single pixels in odd rows and columns
    mask[row, col] = 255
mask[100, 300] = mask[400, 300] = 255  # single pixels in even rows and columns
mask[250, 60:63] = mask[251, 60:63] = 255  # two by three pixels, in every resized mask
mask[300, 200] = mask[301, 201] = 255  # two on a diagonal: one target of two pixels

found = {name: resized(mask) for name, resized in RESIZES.items()}
for package in ("pillow", "opencv-python-headless", "scikit-image", "scipy"):
    print(package, version(package))
print("targets at 512 x 512:", count(mask))
for name, small in found.items():
    print(f"targets at 256 x 256, {name}: {count(small)}")
assert count(mask) == 8
assert [count(small) for small in found.values()] == [6, 4, 6, 6, 1]
pillow, opencv, exact, skimage, scipy = found.values()
assert (pillow == mask[1::2, 1::2]).all() and (opencv == mask[::2, ::2]).all()
assert (exact == pillow).all() and (skimage == pillow).all()

ramp = np.tile(np.arange(512, dtype=np.uint16), (512, 1))
kept = ndimage.zoom(ramp, 0.5, order=0)[0].tolist()
assert kept == [*range(0, 256, 2), *range(257, 512, 2)], kept
PYTHON
