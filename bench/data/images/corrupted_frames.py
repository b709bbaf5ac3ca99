"""Frames seen through a corruption."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.images.corruptions import Corruption, parse_corruption
from bench.data.images.frames import Frame
from bench.data.images.lazy_frames import LazyFrames


def as_seen(frames: Sequence[Frame], corruption: str) -> Sequence[Frame]:
    """The frames through the corruption of that name; unchanged where it is empty.

    Raises:
        UnknownNameError: with suggestions, when there is no such corruption.
    """
    if not corruption:
        return frames
    parsed = parse_corruption(corruption)
    return LazyFrames(lambda row: corrupt_frame(frames[row], parsed), range(len(frames)))


def corrupt_frame(frame: Frame, corruption: Corruption) -> Frame:
    """The frame as a sensor with that corruption would have recorded it, at native size before anything is resized.

    A start mask is made from the corrupted image; the ground truth stays the same.
    """
    image = corruption(frame.image, name=frame.name)
    grey = image if frame.grey is frame.image else corruption(frame.grey, name=frame.name)
    return Frame(frame.name, image, grey, frame.mask)
