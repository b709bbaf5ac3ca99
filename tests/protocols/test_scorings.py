"""The named scorings: one source with the protocols, ids that exist, and the file a run's judgements are kept in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli.catalogue import list_scorings
from bench.errors import StoreError
from bench.metrics.ids import id_under
from bench.protocols.protocols import PROTOCOLS
from bench.protocols.scorings import (
    HEADS,
    SCORINGS,
    STANDARD_IDS,
    NamedScoring,
    ScoringRecord,
    all_scorings,
    describe_rules,
    named_scoring,
    prints_of,
    read_records,
    with_prints,
    write_records,
)
from bench.types import Matching, Score, Scoring


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocols_scoring_is_a_named_one(name: str) -> None:
    assert named_scoring(name).scoring is PROTOCOLS.get(name).scoring


def test_every_matching_rule_has_a_scoring() -> None:
    assert {one.scoring.matching for one in all_scorings()} == set(Matching.__args__)  # type: ignore[attr-defined]


def test_a_scoring_is_called_as_it_is_registered() -> None:
    assert [one.name for one in all_scorings()] == list(SCORINGS) == [one.scoring.name for one in all_scorings()]
    assert all(one.whose for one in all_scorings())


def test_what_a_code_base_prints_is_named_by_the_ids_of_its_rules() -> None:
    assert named_scoring("native").printed_ids() == {
        "IoU": "IoU/pooled",
        "nIoU": "nIoU/per-image",
        "F1": "F1/pooled",
        "Pd": "Pd/centroid-3px",
        "Fa": "Fa/unmatched-area",
    }
    assert named_scoring("dnanet").printed_ids()["Fa"] == "legacy:Fa/equal-area"
    assert named_scoring("dfinet").printed_ids()["F1"] == "legacy:F1/soft-mask"
    assert named_scoring("uiunet").printed_ids() == {"IoU": "IoU/pooled"}
    four = named_scoring("four-neighbours")
    assert four.printed_ids()["Pd"] == id_under("Pd/centroid-3px", four.scoring)


def test_uiunets_scoring_stretches_and_cuts_at_022() -> None:
    scoring = named_scoring("uiunet").scoring
    assert (scoring.threshold, scoring.normalise, scoring.resolution) == (0.22, "min-max", "network")


def test_an_unknown_scoring_is_answered_with_the_nearest() -> None:
    with pytest.raises(LookupError, match="no scoring is called 'dnanets'; did you mean dnanet"):
        named_scoring("dnanets")


def test_a_head_that_no_table_has_is_refused() -> None:
    with pytest.raises(ValueError, match="scoring mine: prints AUC, expected some of IoU, nIoU, F1, Pd, Fa"):
        NamedScoring("mine", Scoring("mine"), {"AUC": "AUC/roc-pixels"}, "me")


def test_a_scoring_of_ones_own_prints_what_this_project_prints() -> None:
    assert tuple(with_prints(Scoring("mine", threshold=0.3)).prints) == HEADS
    soft = with_prints(Scoring("mine", ground_truth="soft", resolution="network"))
    assert soft.prints["IoU"] == "legacy:IoU/soft-mask"
    assert "nIoU" not in soft.prints


def test_a_run_prints_what_the_code_base_of_its_scoring_prints_besides() -> None:
    assert prints_of(named_scoring("native").scoring) == tuple(STANDARD_IDS.values())
    rpcanet = named_scoring("rpcanet").scoring
    assert prints_of(rpcanet)[-2:] == ("Fa/unmatched-area-overlap", "Fa/background-pixels")
    assert "Fa/background-pixels" not in prints_of(replace(rpcanet, threshold=0.4))


def test_rules_are_told_as_they_are_counted() -> None:
    assert describe_rules(Scoring("a")) == (
        "masks binary (grey > 127), native resolution, probability > 0.5, "
        "centroids nearer than 3 px matched greedy-raster, 8-connectivity"
    )
    assert "targets matched by overlap" in describe_rules(Scoring("a", matching="overlap"))
    assert "3 px" not in describe_rules(Scoring("a", matching="shooting"))
    assert "probability stretched to [0, 1] > 0.22" in describe_rules(named_scoring("uiunet").scoring)


def test_the_list_says_whose_a_scoring_is_and_what_is_wrong_with_it() -> None:
    rows = {row["name"]: row for row in list_scorings()}
    assert list(rows) == list(SCORINGS)
    assert rows["native"]["defects"] == "none known"
    assert "as large as any matched component" in str(rows["basicirstd-2023"]["defects"])
    assert rows["uiunet"]["prints"] == "IoU IoU/pooled"


JUDGED = ScoringRecord(
    Scoring("native"), {"IoU": "IoU/pooled"}, 2, 3, {"IoU/pooled": Score(0.5, unit="fraction", better="higher")}
)


def test_recorded_judgements_come_back_as_they_were(tmp_path: Path) -> None:
    write_records(tmp_path, [JUDGED, replace(JUDGED, scoring=named_scoring("uiunet").scoring)])
    first, second = read_records(tmp_path)
    assert first == JUDGED
    assert second.scoring == named_scoring("uiunet").scoring


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "schema None, expected 1; record it again with dfinet-bench score"),
        ("{", "not a JSON file"),
        ('{"schema": 1, "scorings": [{"scoring": {"name": "a"}}]}', "ScoringRecord"),
        ('{"schema": 1, "scorings": 3}', "expected a list"),
    ],
)
def test_a_broken_record_is_one_line(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "scorings.json").write_text(content)
    with pytest.raises(StoreError, match=said) as raised:
        read_records(tmp_path)
    assert "\n" not in str(raised.value)
