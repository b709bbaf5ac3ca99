"""Metric ids: the rule is MLflow's own, and leaves room for what rounds and scorings add."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import RESULT

from bench.errors import RequestError
from bench.metrics.ids import LONGEST_ID, OWN_NAMES, check_id, id_under
from bench.metrics.registry import METRICS, find_metrics, metric
from bench.metrics.statistic import Ratio
from bench.store.mlflow_values import result_metrics
from bench.types import Cost, Scoring


def mlflow_takes(name: str) -> bool:
    """MLflow's own verdict on a metric's name."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_metric

    try:
        _validate_metric(name, 0.5, 0, 0)
        Metric(name, 0.5, 0, 0)
    except MlflowException:
        return False
    return True


def is_refused(name: str) -> bool:
    try:
        check_id(name)
    except RequestError:
        return True
    return False


@pytest.mark.parametrize(
    "name",
    [
        "IoU@0.5",
        "F1(pooled)",
        "Pd,3px",
        "Pd%",
        "a//b",
        "/a",
        "a/",
        "../a",
        "a/./b",
        "",
        ".",
        "a\nb",
        "x\n",
        "..a",
        "x" * 251,
    ],
)
def test_an_id_that_mlflow_refuses_is_refused(name: str) -> None:
    assert is_refused(name)


def test_every_id_of_the_project_is_one_that_mlflow_takes() -> None:
    for name in find_metrics():
        check_id(name)
        assert mlflow_takes(f"round/{name}")


@given(st.text(alphabet="ab/.: _-é@(%\n", max_size=8))
def test_what_is_accepted_mlflow_takes_and_what_is_refused_it_does_not(name: str) -> None:
    if name.endswith("\n"):
        assert is_refused(name)  # MLflow's pattern passes over a last line break
    else:
        assert is_refused(name) == (not mlflow_takes(name))


def test_the_longest_id_has_room_for_rounds_and_rules() -> None:
    longest = "a" * LONGEST_ID
    check_id(longest)
    scoring = Scoring("far", matching="overlap-priority", distance=1.2345e-05, connectivity=4)
    assert mlflow_takes(f"round/{id_under(longest, scoring)}")


def test_names_of_other_numbers_in_mlflow_are_refused() -> None:
    for name in OWN_NAMES:
        with pytest.raises(RequestError, match="name other numbers in MLflow"):
            check_id(f"{name}/mine")
    assert set(OWN_NAMES) >= {"cost", "FLOPs", "FPS", "round", "time", "train"}
    cost = Cost("CPU", "float32", (8, 8), 1, 3, 10, 1.0, 1.0, 1000.0)
    names = [name for name, _, _ in result_metrics(replace(RESULT, costs=(cost,)))]
    shown = {name.partition("/")[0] for name in set(names) - set(RESULT.scores)}
    assert shown == set(OWN_NAMES) - {"train"}


def test_a_refused_metric_is_not_registered() -> None:
    before = set(find_metrics())
    with pytest.raises(RequestError, match=r"metric 'IoU@0.5': expected family/rule of letters"):

        @metric("IoU@0.5", unit="fraction", better="higher")
        def _at_half(counts):  # type: ignore[no-untyped-def]
            return Ratio.of(counts.matched, counts.targets)

    assert set(METRICS) == before
