"""Requests of `dfinet-bench score`: their scorings, and the answer as files and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.data.catalogue.splits import read_list
from bench.errors import DataError, RequestError, RuleError
from bench.progress import Progress
from bench.protocols.protocols import PROTOCOLS
from bench.protocols.resolve import fields_of, fitted
from bench.protocols.scorings import NamedScoring, all_scorings, named_scoring, write_records
from bench.records import to_plain
from bench.registry import unknown
from bench.scoring.read_folder import listed_names
from bench.scoring.score import Scored, rescore_run, score_folder
from bench.store.files import RESULT_FILE, write_arrays, write_json
from bench.types import Scoring

SCORES_FILE = "scores.json"
FILES = ("counts", "curves", "distances", "errors", "contrast")
"""The integers that a folder of scores holds."""


@dataclass(frozen=True)
class ScoreRequest:
    """Predictions to score, and the rules to score them by.

    Attributes:
        predictions: folder or file of maps, or a run's folder.
        masks: folder or file of masks; None takes those of a run's dataset.
        scorings, protocol: names; without any, `native`, and every named scoring of a run.
        changes: fields of the scorings that are replaced, by path, as in `scoring.threshold`.
        images, names: folder of images, and file of the names to score.
        suffix, mask_suffix: endings of the names of predictions and masks, as `_Pred`.
        data: folder that holds the datasets.
        out: folder that takes the files.
        record: True to write the run's own record of all scorings again.
    """

    predictions: Path
    masks: Path | None = None
    scorings: tuple[str, ...] = ()
    protocol: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    images: Path | None = None
    names: Path | None = None
    suffix: str = ""
    mask_suffix: str = ""
    data: Path | None = None
    out: Path | None = None
    record: bool = False

    def __post_init__(self) -> None:
        if self.scorings and self.protocol:
            raise RequestError("--scoring and --protocol both name a scoring; give one of them")
        if self.is_of_run and (self.images or self.names):
            raise RequestError("--images and --list go with a folder of MASKS, not with a run, which knows its own")
        if self.is_of_run and (self.suffix or self.mask_suffix):
            raise RequestError("--suffix and --mask-suffix go with folders of PREDICTIONS and MASKS, not with a run")
        if self.out is not None and (self.out / RESULT_FILE).is_file():
            raise RequestError(f"--out {self.out}: a run's folder, whose counts.npz is its own; name another folder")
        if self.out is not None and self.out.exists() and not self.out.is_dir():
            raise RequestError(f"--out {self.out}: a file, expected a folder")
        inputs = [path for path in (self.predictions, self.masks, self.images) if path is not None]
        if self.out is not None and self.out.resolve() in [path.resolve() for path in inputs]:
            raise RequestError(f"--out {self.out}: holds what is scored; name another folder")
        if self.record and (self.scorings or self.protocol or self.changes or not self.is_of_run):
            raise RequestError("--record is of a run under every named scoring: give runs/KEY alone")

    @property
    def is_of_run(self) -> bool:
        """True if masks are those of a run's dataset."""
        return self.masks is None


def score_request(request: ScoreRequest, *, progress: Progress | None = None) -> tuple[Scored, ...]:
    """Score what the request asks for, under each of its scorings.

    Raises:
        BenchError: in one line, for whatever cannot be scored.
    """
    scorings = chosen_scorings(request)
    if request.masks is None:
        if not (request.predictions / RESULT_FILE).is_file():
            raise DataError(
                f"{request.predictions}: no run's folder (no {RESULT_FILE} in it); "
                "name the folder of masks behind it, or a run as runs/KEY"
            )
        return rescore_run(request.predictions, request.data, scorings, progress=progress)
    names = None
    if request.names is not None and not (names := listed_names(read_list(request.names))):
        raise DataError(f"{request.names}: no names, expected one a line")
    return score_folder(
        request.predictions,
        request.masks,
        scorings,
        images=request.images,
        names=names,
        suffix=request.suffix,
        mask_suffix=request.mask_suffix,
        progress=progress,
    )


def chosen_scorings(request: ScoreRequest) -> tuple[NamedScoring, ...]:
    """Choose the scorings that are asked for, each once, with the replaced fields in their name and their rules.

    Raises:
        UnknownNameError: with suggestions, for an unknown scoring or protocol.
        RuleError: when a scoring has no such field, or it cannot take the value.
    """
    if request.protocol:
        PROTOCOLS.get(request.protocol)
        chosen: Sequence[NamedScoring] = [named_scoring(request.protocol)]
    elif request.scorings:
        chosen = [named_scoring(name) for name in dict.fromkeys(request.scorings)]
    else:
        chosen = all_scorings() if request.is_of_run else [named_scoring("native")]
    return tuple(with_changes(named, request.changes) for named in chosen)


def with_changes(named: NamedScoring, changes: Mapping[str, Any]) -> NamedScoring:
    """The scoring with fields replaced, which its name then says.

    Raises:
        RuleError: when there is no such field, or it cannot take the value.

    >>> with_changes(named_scoring("native"), {"scoring.threshold": 0.4}).scoring.name
    'native, threshold 0.4'
    """
    if not changes:
        return named
    known = fields_of("scoring", Scoring)
    del known["scoring.name"]
    for path in changes:
        if path not in known:
            raise RuleError(unknown("setting of a scoring", path, known))
    fields = {path.removeprefix("scoring."): fitted(value, known[path], path=path) for path, value in changes.items()}
    name = ", ".join([named.scoring.name, *(f"{field} {value}" for field, value in fields.items())])
    scoring = replace(named.scoring, name=name, **fields)
    if scoring.ground_truth == named.scoring.ground_truth:
        return replace(named, scoring=scoring)
    return replace(named_scoring("dfinet" if scoring.ground_truth == "soft" else "native"), scoring=scoring)


def scored_json(found: Sequence[Scored]) -> dict[str, Any]:
    """One object for one scoring, `{"scorings": […]}` for several; scores in the forms of `result.json`."""
    records = [{**to_plain(replace(one.record, scores=one.scores)), "notes": list(one.notes)} for one in found]
    return records[0] if len(records) == 1 else {"scorings": records}


def write_scored(found: Sequence[Scored], folder: Path) -> list[Path]:
    """Write `scores.json`, and the integers: in the folder itself, of several scorings in one of each's name."""
    for name in FILES:
        (folder / f"{name}.npz").unlink(missing_ok=True)  # of an earlier call, which may have been of other scorings
    written = [write_json(folder / SCORES_FILE, scored_json(found))]
    for one in found:
        own = folder if len(found) == 1 else folder / one.named.name
        written.append(write_arrays(own / "counts.npz", one.table.to_arrays()))
        written += one.counted.write_details(own)
    return written


def write_record(found: Sequence[Scored], folder: Path) -> Path:
    """Write a run's `scorings.json`.

    Raises:
        RequestError: when the run's own scores are not reproduced, since the record would stand for other predictions.
    """
    if found_otherwise := [one.contradiction for one in found if one.contradiction]:
        raise RequestError(f"{folder}: scorings.json is not written: {found_otherwise[0]}")
    return write_records(folder, [one.record for one in found])
