"""Counts made on a device: equal, count for count, to those of bench.metrics, on a CPU as on a GPU."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from bench.metrics.counting.components import find_components
from bench.metrics.counting.counts import Counts, count_image, counts_of
from bench.training import counts_on_device
from bench.training.counts_on_device import DeviceCounts, HostCounts
from bench.types import Scoring

Flags = NDArray[np.bool_]
NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=(pytest.mark.gpu, NO_CUDA))]


def counted_here(predicted: Flags, mask: Flags, **rule: Any) -> Counts:
    q = np.where(predicted, 65535, 0).astype(np.uint16)
    scoring = Scoring("native", **rule)
    return counts_of([count_image(p, m.astype(np.uint8), scoring=scoring) for p, m in zip(q, mask, strict=True)])


def counted_there(predicted: Flags, mask: Flags, *, device: str, split: int, **rule: Any) -> Counts:
    counts = DeviceCounts(**rule)
    for part in (slice(0, split), slice(split, None)):
        if len(predicted[part]):
            counts.add(torch.from_numpy(predicted[part]).to(device), torch.from_numpy(mask[part]).to(device))
    return counts.counts()


def assert_equal(one: Counts, other: Counts) -> None:
    for field in dataclasses.fields(Counts):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    connectivity=st.sampled_from([4, 8]),
    distance=st.sampled_from([1.0, 3.0, 5.0]),
)
def test_counts_on_a_device_are_those_of_the_host(
    device: str, data: st.DataObject, shape: tuple[int, int, int], connectivity: Any, distance: float
) -> None:
    predicted, mask = (data.draw(hnp.arrays(np.bool_, shape)) for _ in range(2))
    rule = {"connectivity": connectivity, "distance": distance}
    there = counted_there(predicted, mask, device=device, split=data.draw(st.integers(0, shape[0])), **rule)
    assert_equal(there, counted_here(predicted, mask, **rule))
    on_host = HostCounts(**rule)
    on_host.add(torch.from_numpy(predicted), torch.from_numpy(mask))
    assert_equal(on_host.counts(), there)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_large_noisy_maps_are_counted_alike(device: str, share: float) -> None:
    generator = np.random.default_rng(3)
    predicted, mask = generator.random((3, 96, 130)) < share, generator.random((3, 96, 130)) < 0.003
    assert_equal(counted_there(predicted, mask, device=device, split=2), counted_here(predicted, mask))


def test_a_winding_component_is_one() -> None:
    spiral = np.zeros((41, 41), bool)
    for ring in range(0, 20, 2):
        spiral[ring, ring : 41 - ring] = spiral[ring : 41 - ring, 40 - ring] = True
        spiral[40 - ring, ring : 41 - ring] = spiral[ring + 2 : 41 - ring, ring] = True
        spiral[ring + 2, ring : ring + 2] = True
    found = counts_on_device.find_device_components(torch.from_numpy(spiral[None]), connectivity=4)
    assert found.area.tolist() == find_components(spiral, connectivity=4).areas.tolist() == [int(spiral.sum())]


def test_padding_is_no_part_of_an_image() -> None:
    predicted, mask = np.ones((1, 4, 4), bool), np.zeros((1, 4, 4), bool)
    mask[0, 1, 1] = True
    inside = torch.zeros((1, 4, 4), dtype=torch.bool)
    inside[:, :2, :3] = True
    for counts in (DeviceCounts(), HostCounts()):
        counts.add(torch.from_numpy(predicted), torch.from_numpy(mask), inside=inside)
        assert_equal(counts.counts(), counted_here(predicted[:, :2, :3], mask[:, :2, :3]))


def test_no_batch_is_no_image() -> None:
    assert len(DeviceCounts().counts()) == 0


def test_maps_of_another_kind_are_refused() -> None:
    flags = torch.zeros((1, 4, 4), dtype=torch.bool)
    with pytest.raises(ValueError, match=r"prediction is torch.float32 of shape \(1, 4, 4\), expected torch.bool"):
        DeviceCounts().add(flags.float(), flags)
    with pytest.raises(ValueError, match=r"mask is torch.bool of shape \(1, 4, 5\)"):
        DeviceCounts().add(flags, torch.zeros((1, 4, 5), dtype=torch.bool))
