"""Published training losses."""

from __future__ import annotations

import csv

from bench.models.network import find_models
from bench.models.published_curves import CURVES, OUR_NAMES, published_losses


def test_every_curve_has_forty_points_of_ten_epochs() -> None:
    with CURVES.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    keys = {(row["method"], row["dataset"]) for row in rows}
    assert len(keys) == 21
    for model, dataset in keys:
        found = published_losses(OUR_NAMES.get(model, model), OUR_NAMES.get(dataset, dataset))
        assert found is not None
        assert found.epochs == tuple(range(10, 401, 10))
        assert len(found.losses) == 40


def test_a_curve_is_found_by_the_names_of_this_project() -> None:
    found = published_losses("ACM", "NUAA-SIRST")
    assert found is not None
    assert (found.epochs[4], round(found.losses[4], 4)) == (50, 0.9934)
    assert published_losses("DFINet", "NUAA-SIRST") is None
    with CURVES.open(newline="", encoding="utf-8") as file:
        names = {OUR_NAMES.get(row["method"], row["method"]) for row in csv.DictReader(file)}
    assert names - set(find_models()) == {"ISNet"}
