"""Comparison of given predictions: several folders or runs against one set of masks, on the same images.

`score_methods` scores each and stores it as a run of a suite is stored, so that reports are made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.characters import refuse_steering, show_steering
from bench.data.catalogue.file_names import counted
from bench.data.catalogue.splits import read_list
from bench.errors import DataError, RequestError, StoreError
from bench.metrics.counting.counts import Counts, CountTable
from bench.progress import Progress, Silent
from bench.protocols.scorings import SCORINGS, NamedScoring, with_prints, write_records
from bench.scoring.given import given_result, given_row
from bench.scoring.read_folder import Maps, Renamed, few, listed_names, maps_digest, match_names, open_maps, with_suffix
from bench.scoring.request import FILES, SCORES_FILE, ScoreRequest, chosen_scorings, with_changes
from bench.scoring.score import SAME_FILES, Scored
from bench.scoring.truths import ExamplePicture, GivenMethod, MaskFiles, MethodScores, Truths, run_masks, shown_names
from bench.store.files import (
    RESULT_FILE,
    Manifest,
    manifest_path,
    read_manifest,
    read_result,
    write_arrays,
    write_manifest,
    write_result,
)
from bench.types import Experiment, ImageList, Input, Predictions, Row, RunResult

SUITE = "comparison"
"""The name that a comparison's manifest has, as that of a suite."""

FOLDERS_OF_MASKS = ("masks", "mask", "gt", "labels", "label", "ground_truth", "groundtruth")
"""Names of folders that say nothing of the dataset, which then is that of the folder above."""

SHOWN = 3
"""Methods that a title names."""


@dataclass(frozen=True)
class CompareRequest:
    """Predictions to compare, and the rules to score them by.

    Attributes:
        predictions: folders or files of maps, or runs' folders, in the order of the tables' lines.
        masks: folder or file of masks; None takes those of the runs' dataset.
        labels: a name for each of the predictions; default those of their folders, and of a run that of its suite.
        scoring, protocol: name of the rules; default `native`, of runs alone their own.
        changes: fields of the scoring that are replaced, by path, as in `scoring.threshold`.
        images, names: folder of images, and file of the names to score.
        suffix, mask_suffix: endings of the names of predictions and masks, as `_Pred`.
        common: True to take the images that all have, where they have different ones.
        dataset: name of the dataset in tables; default that of the folder of masks.
        data: folder that holds the datasets.
        out: folder that takes the report.
    """

    predictions: tuple[Path, ...]
    masks: Path | None = None
    labels: tuple[str, ...] = ()
    scoring: str = ""
    protocol: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    images: Path | None = None
    names: Path | None = None
    suffix: str = ""
    mask_suffix: str = ""
    common: bool = False
    dataset: str = ""
    data: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        if len(self.predictions) < 2:
            found = " and ".join(str(path) for path in (*self.predictions, self.masks) if path is not None)
            raise RequestError(
                f"compare: {found} alone, expected at least two folders of predictions and then the folder of masks; "
                "dfinet-bench score scores one"
            )
        if self.labels and len(self.labels) != len(self.predictions):
            raise RequestError(
                f"--label: {len(self.labels)} given for {len(self.predictions)} folders of predictions, "
                "expected one for each, in their order"
            )
        if self.scoring and self.protocol:
            raise RequestError("--scoring and --protocol both name a scoring; give one of them")
        if self.out is not None and self.out.exists() and not self.out.is_dir():
            raise RequestError(f"--out {self.out}: a file, expected a folder")
        inputs = [path for path in (*self.predictions, self.masks, self.images) if path is not None]
        if self.out is not None and self.out.resolve() in [path.resolve() for path in inputs]:
            raise RequestError(f"--out {self.out}: holds what is compared; name another folder")
        if self.out is not None and (self.out / RESULT_FILE).is_file():
            raise RequestError(f"--out {self.out}: a run's folder; name another folder")
        refuse_steering(list(self.labels), "--label")
        refuse_steering(self.dataset, "--dataset")
        of_masks = {
            "--images": self.images,
            "--suffix": self.suffix,
            "--mask-suffix": self.mask_suffix,
            "--dataset": self.dataset,
        }
        if self.masks is None and (given := [option for option, value in of_masks.items() if value]):
            raise RequestError(f"{given[0]} goes with a folder of MASKS, not with runs alone, which know their own")


@dataclass(frozen=True)
class Compared:
    """The outcome of scoring: the manifest of what was stored, and notes on how files were read, as sentences."""

    manifest: Manifest
    notes: tuple[str, ...] = ()


def split_masks(paths: Sequence[Path]) -> tuple[tuple[Path, ...], Path | None]:
    """Predictions and masks of the command's words: the last one is the masks, unless all are runs' folders."""
    if all(is_run(path) for path in paths):
        return tuple(paths), None
    return tuple(paths[:-1]), paths[-1]


def is_run(path: Path) -> bool:
    """True for the folder of a run."""
    return (path / RESULT_FILE).is_file()


Choose = Callable[[Sequence[str], Sequence[Counts]], Iterable[str]]
"""The names of the images to show, from the names of all and every method's counts."""


def score_methods(
    request: CompareRequest,
    root: Path,
    *,
    columns: Sequence[str] = (),
    choose: Choose = shown_names,
    progress: Progress | None = None,
) -> Compared:
    """Score all predictions on the same images, and store each with its integers below `root` as a run of a suite.

    Args:
        columns: metric ids of the tables' columns, for the manifest.
        choose: chooses the images that are stored to be shown.

    Raises:
        BenchError: in one line, for whatever cannot be compared.
    """
    methods = name_methods(request)
    named = _choose_scoring(request, methods)
    with ExitStack() as stack:
        truths = _open_truths(request, methods, stack)
        files = [stack.enter_context(open_maps(method.place)) for method in methods]
        maps = [with_suffix(one, request.suffix, "--suffix") for one in files]
        places = [truths.match(one) for one in maps]
        chosen, left_out = _choose_images(request, methods, maps, truths, places)
        views = [
            Renamed(one, {name: own[mask] for name, mask in chosen.items()})
            for one, own in zip(maps, places, strict=True)
        ]
        found: list[MethodScores] = []
        for method, view in zip(methods, views, strict=True):
            found.append(truths.score(method, view, chosen, named, progress or Silent()))
            _refuse_other_sizes(methods[0], found[0].scored.table, method, found[-1].scored.table, named)
        counts = [one.scored.table.round(0) for one in found]
        shown = {name: chosen[name] for name in choose(tuple(chosen), counts)}
        images, notes, rows = truths.image_list(chosen), [*left_out], []
        for method, view, one, all_files in zip(methods, views, found, files, strict=True):
            pictures = truths.pictures(method, view, shown, is_binary=one.scored.is_binary)
            notes += [f"{method.label}: {note}" for note in _notes_of(one.scored, request, method)]
            result = _result_of(method, one, images, maps_digest(all_files), truths.environment())
            rows.append(_store(root, result, one, pictures))
    if not truths.has_pictures:
        notes.append("no pictures and no contrast, for want of the images; give them with --images DIR")
    manifest = Manifest(SUITE, _title(methods, images, is_part=bool(left_out)), tuple(rows), columns=tuple(columns))
    write_manifest(root, manifest)
    return Compared(manifest, tuple(notes))


def name_methods(request: CompareRequest) -> tuple[GivenMethod, ...]:
    """The methods of a request with the names that tables give them.

    Raises:
        RequestError: when two would have one name.
        DataError: when what is there are no predictions.
    """
    methods: list[GivenMethod] = []
    for number, place in enumerate(request.predictions):
        if (place / SCORES_FILE).is_file():
            raise DataError(
                f"{place}: holds scores, expected predictions; dfinet-bench report NAME --from {place} makes a report "
                "of scores, with one --from for each method"
            )
        if manifest_path(place, "").parent.is_dir():
            raise DataError(f"{place}: holds the runs of suites, expected predictions; name each run as {place}/KEY")
        run = read_result(place) if is_run(place) else None
        label = request.labels[number] if request.labels else _default_label(place, run)
        twin = next((method for method in methods if method.label == label), None)
        if twin is not None:
            raise RequestError(
                f"{twin.place} and {place} are both called {label!r}, expected a name for each; "
                "give --label NAME once for each folder, in their order"
            )
        methods.append(GivenMethod(label, place, run))
    return tuple(methods)


def _default_label(place: Path, run: RunResult | None) -> str:
    """A folder's name; of a run the label that its suite gives it, else its model's name."""
    if run is None:
        resolved = place.resolve()
        return show_steering(resolved.stem if resolved.is_file() else resolved.name)
    for path in sorted((place.parent / "suites").glob("*.json")):
        try:
            rows = read_manifest(place.parent, path.stem).rows
        except StoreError:
            continue
        if label := next((row.title for row in rows if row.key == run.key), ""):
            return label
    return run.model.name


def _choose_scoring(request: CompareRequest, methods: Sequence[GivenMethod]) -> NamedScoring:
    """The rules that are asked for; otherwise `native`, or of runs alone their own.

    Raises:
        RequestError: when runs were scored under different rules and none are asked for.
    """
    if request.masks is not None or request.scoring or request.protocol:
        asked = ScoreRequest(
            request.predictions[0],
            request.masks or request.predictions[0],
            scorings=(request.scoring,) if request.scoring else (),
            protocol=request.protocol,
            changes=request.changes,
        )
        return chosen_scorings(asked)[0]
    own = [(method.label, method.run.scoring) for method in methods if method.run is not None]
    (label, scoring), *others = own
    for other, its in others:
        if replace(its, name="") != replace(scoring, name=""):
            raise RequestError(
                f"{label!r} was scored as {scoring.name} and {other!r} as {its.name}, expected one rule for all; "
                "name it with --scoring"
            )
    known = SCORINGS.get(scoring.name) if scoring.name in SCORINGS else None
    named = known if known is not None and known.scoring == scoring else with_prints(scoring)
    return with_changes(named, request.changes)


def _open_truths(request: CompareRequest, methods: Sequence[GivenMethod], stack: ExitStack) -> Truths:
    if request.masks is None:
        return run_masks(methods, request.data)
    files = stack.enter_context(open_maps(request.masks))
    dataset = request.dataset or _dataset_name(request.masks)
    truths = with_suffix(files, request.mask_suffix, "--mask-suffix")
    return MaskFiles(truths, dataset, maps_digest(files), request.images)


def _dataset_name(masks: Path) -> str:
    """The folder's name, or that of the folder above one that is only called masks.

    >>> _dataset_name(Path("/data/NUAA-SIRST/masks")), _dataset_name(Path("/data/mine"))
    ('NUAA-SIRST', 'mine')
    """
    resolved = masks.resolve()
    if resolved.name.lower() in FOLDERS_OF_MASKS and resolved.parent.name:
        return show_steering(resolved.parent.name)
    return show_steering(resolved.stem if resolved.is_file() else resolved.name)


def _choose_images(
    request: CompareRequest,
    methods: Sequence[GivenMethod],
    maps: Sequence[Maps],
    truths: Truths,
    places: Sequence[Mapping[str, str]],
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The images to score, by the name that the first method has for each, with their masks' names; and a note.

    Raises:
        DataError: when the methods have different images, and the common ones are not asked for.
    """
    wanted = _listed_masks(request.names, truths) if request.names is not None else None
    everything = truths.names if wanted is None else wanted
    gaps = [*_gaps(methods, maps, everything, places, is_listed=wanted is not None)]
    common = [mask for mask in everything if all(mask in own for own in places)]
    if not common:
        raise DataError(
            f"no image has a mask and a prediction of every method: {'; '.join(gaps)}; give all the same names, or say "
            "how they end by --suffix and --mask-suffix"
        )
    if gaps and not request.common:
        raise DataError(
            f"different images: {'; '.join(gaps)}; add what is missing, or compare the {len(common)} that all have: "
            "--common"
        )
    if wanted is None:
        names = {own: mask for mask, own in places[0].items()}
        common_masks = set(common)
        common = [names[own] for own in maps[0].names if own in names and names[own] in common_masks]
    chosen = {places[0][mask]: mask for mask in common}
    note = f"compared on the {counted(len(chosen), 'image')} that all have: {'; '.join(gaps)}"
    return chosen, (note,) if gaps else ()


def _listed_masks(path: Path, truths: Truths) -> list[str]:
    names = listed_names(read_list(path))
    if not names:
        raise DataError(f"{path}: no names, expected one a line")
    found = match_names(names, truths.names)
    if absent := [name for name in names if name not in found]:
        raise DataError(f"{path}: {len(absent)} of {len(names)} listed images have no mask ({few(absent)})")
    return [found[name] for name in names]


def _gaps(
    methods: Sequence[GivenMethod],
    maps: Sequence[Maps],
    masks: Sequence[str],
    places: Sequence[Mapping[str, str]],
    *,
    is_listed: bool,
) -> Iterator[str]:
    """Sentences on masks without a prediction, of all methods that lack the same, and on predictions without a mask."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for method, own in zip(methods, places, strict=True):
        lacking.setdefault(tuple(mask for mask in masks if mask not in own), []).append(repr(method.label))
    for absent, labels in lacking.items():
        if absent:
            verb = "lacks" if len(labels) == 1 else "lack"
            yield f"{' and '.join(labels)} {verb} {len(absent)} of {counted(len(masks), 'image')} ({few(absent)})"
    for method, own_maps, own in zip(methods, maps, places, strict=True):
        matched = set(own.values())
        lonely = [] if is_listed else [name for name in own_maps.names if name not in matched]
        if lonely:
            yield f"{method.label!r} has {counted(len(lonely), 'prediction')} without a mask ({few(lonely)})"


def _refuse_other_sizes(
    one: GivenMethod, first: CountTable, other: GivenMethod, second: CountTable, named: NamedScoring
) -> None:
    """Raise DataError unless both were compared with their masks at the same sizes."""
    differ = np.flatnonzero((first.sizes != second.sizes).any(axis=1))
    if len(differ):
        at = differ[0]
        sizes = [f"{table.sizes[at][0]}x{table.sizes[at][1]}" for table in (first, second)]
        raise DataError(
            f"{first.names[at]}: {sizes[0]} (height x width) of {one.label!r} and {sizes[1]} of {other.label!r}, "
            f"expected one size, for {named.scoring.name} brings masks to the maps; bring the maps to one size, "
            "or choose a scoring at native resolution"
        )


def _notes_of(scored: Scored, request: CompareRequest, method: GivenMethod) -> Iterator[str]:
    is_same = request.masks is not None and method.place.resolve() == request.masks.resolve()
    if is_same and request.suffix == request.mask_suffix:
        yield SAME_FILES
    yield from scored.notes
    if scored.is_binary:
        yield "every prediction is a mask of 0 and 1, so that it has one threshold and no curves"


def _result_of(
    method: GivenMethod, found: MethodScores, images: ImageList, digest: str, environment: Mapping[str, Any]
) -> RunResult:
    """The result of a method as of a run; of a run it keeps the cost, and what was learnt from."""
    scored, run = found.scored, method.run
    if scored.is_binary:
        scored.counted.curves = None  # of one threshold
    given = Predictions(method.label, digest, scored.is_binary, place=str(method.place))
    start = run.experiment.start if run else Experiment.start
    experiment = Experiment(given, images, Input("pillow-grey", 1), start=start)
    result = given_result(experiment, scored.named.scoring, scored.scores, environment)
    if run is None:
        return result
    return replace(
        result,
        status=run.status,
        model=replace(run.model, ablates="", choices=(), reported=()),
        costs=run.costs,
        epochs=run.epochs,
        best_epoch=run.best_epoch,
        optimistic=run.optimistic,
        tuned=run.tuned,
        leaked=run.leaked,
    )


def _store(root: Path, result: RunResult, found: MethodScores, pictures: Sequence[ExamplePicture]) -> Row:
    """Write a method's files as those of a run, its result last, and return its row."""
    folder = root / result.key
    for name in (*FILES, "examples"):
        (folder / f"{name}.npz").unlink(missing_ok=True)  # of an earlier comparison under other rules
    write_arrays(folder / "counts.npz", found.scored.table.to_arrays())
    found.scored.counted.write_details(folder)
    if found.records:
        write_records(folder, found.records)
    if pictures:
        write_arrays(folder / "examples.npz", _example_arrays(pictures))
    write_result(folder, result)
    return given_row(result)


def _example_arrays(pictures: Sequence[ExamplePicture]) -> dict[str, NDArray[Any]]:
    """The contents of `examples.npz`, as a run of one round writes it."""
    arrays: dict[str, NDArray[Any]] = {"names": np.array([each.name for each in pictures])}
    for number, each in enumerate(pictures):
        arrays |= {f"image_{number}": each.grey, f"mask_{number}": each.mask, f"rounds_{number}": each.levels[None]}
    return arrays


def _title(methods: Sequence[GivenMethod], images: ImageList, *, is_part: bool) -> str:
    labels = [method.label for method in methods]
    who = f"{', '.join(labels[:-1])} and {labels[-1]}" if len(labels) <= SHOWN else counted(len(labels), "method")
    return f"{who} compared" + (f" on the {counted(images.count, 'image')} that all have" if is_part else "")
