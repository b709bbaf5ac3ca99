"""Suites: what their files may say, what they expand to, and lists that must not meet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.data.catalogue import overlaps, splits
from bench.data.catalogue.cards import load_card
from bench.data.catalogue.overlaps import shared_images
from bench.data.catalogue.splits import image_list, list_names
from bench.errors import LeakError, SuiteError, UnknownNameError
from bench.models.network import find_models
from bench.store.files import read_manifest, read_result
from bench.suites.expand import Job, expand, manifest_of
from bench.suites.leak_check import count_leaked, refuse_shared_images
from bench.suites.suite import Limit, load_suite, parse_limit, restricted, suite_names, suite_stem
from bench.types import Experiment, ModelInfo, Training, Weights
from bench.weights.catalogue import published_weights

MODELS = {
    "Net": ModelInfo("Net", cite="none", source="tests", licence="MIT", recipe="basicirstd", config=(("width", 4),)),
    "Loop": ModelInfo("Loop", cite="none", source="tests", licence="MIT", recipe="dfinet", channels=3, rounds=8),
}


RESULTS = Path(__file__).parents[2] / "results"


def info_of(name: str) -> ModelInfo:
    """One of two networks that exist here alone."""
    if name not in MODELS:
        raise UnknownNameError(f"no model is called {name!r}; did you mean Net?")
    return MODELS[name]


def write_suite(folder: Path, text: str, name: str = "mine.toml") -> str:
    """A suite file, by its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def jobs_of(folder: Path, text: str, **options: Any) -> list[Job]:
    """What a suite file expands to."""
    return expand(load_suite(write_suite(folder, text)), info_of=info_of, **options)


def training_of(job: Job) -> Training:
    """The training behind a job."""
    assert isinstance(job.experiment.weights, Training)
    return job.experiment.weights


SMALL = 'datasets = ["synthetic"]\n[[row]]\nmodel = "Net"\n'


def test_a_suite_says_what_its_file_says(tmp_path: Path) -> None:
    text = """
        title = "A title"
        protocol = "basicirstd"
        datasets = ["synthetic", "NUDT-SIRST"]
        seeds = [1, 2]
        [set]
        "recipe.epochs" = 5
        [[row]]
        model = "Net"
        [[row]]
        model = "Net"
        label = "Net (width 8)"
        settings = { width = 8 }
        set = { "recipe.epochs" = 7 }
    """
    suite = load_suite(write_suite(tmp_path, text))
    assert (suite.name, suite.title, suite.protocol) == ("mine", "A title", "basicirstd")
    jobs = expand(suite, info_of=info_of, overrides={"recipe.lr": 0.25})
    assert [(job.row.dataset, job.row.label, job.row.seed) for job in jobs] == [
        (dataset, label, seed)
        for dataset in ("synthetic", "NUDT-SIRST")
        for label in ("Net", "Net (width 8)")
        for seed in (1, 2)
    ]
    assert [training_of(job).recipe.epochs for job in jobs] == [5, 5, 7, 7] * 2
    assert {training_of(job).recipe.lr for job in jobs} == {0.25}
    assert [dict(training_of(job).config)["width"] for job in jobs] == [4, 4, 8, 8] * 2
    assert len({job.row.key for job in jobs}) == 8
    assert jobs[4].row.split == "basicirstd"


def test_the_command_line_beats_the_row_and_the_row_beats_the_suite(tmp_path: Path) -> None:
    text = SMALL + 'set = { "recipe.epochs" = 7 }\n[set]\n"recipe.epochs" = 5\n"recipe.batch" = 2\n'
    (job,) = jobs_of(tmp_path, text)
    assert (training_of(job).recipe.epochs, training_of(job).recipe.batch) == (7, 2)
    (job,) = jobs_of(tmp_path, text, overrides={"recipe.epochs": 9}, device="cuda")
    assert (training_of(job).recipe.epochs, training_of(job).recipe.device) == (9, "cuda")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("datasets = [", "not a readable TOML file"),
        ('datasets = ["synthetic"]', r"no \[\[row\]\]"),
        ('row = ["Net"]\ndatasets = ["synthetic"]', "'Net', expected"),
        ('[[row]]\nmodel = "Net"', "'datasets' is missing"),
        ('datasets = []\n[[row]]\nmodel = "Net"', "at least one"),
        ('datasets = "synthetic"\n[[row]]\nmodel = "Net"', "expected list"),
        ('datasets = ["synthetic", "synthetic"]\n[[row]]\nmodel = "Net"', "different values"),
        ('datasets = [3]\n[[row]]\nmodel = "Net"', "expected str"),
        ('datasets = ["synthetic"]\n[[row]]\nlabel = "x"', "'model' is missing"),
        ('datasets = ["synthetic"]\n[[row]]\nmodel = 3', "expected str"),
        (SMALL + 'lable = "x"', "did you mean label"),
        ('dataset = ["synthetic"]\n' + SMALL, "did you mean datasets"),
        ('seeds = ["a"]\n' + SMALL, "expected int"),
        ("seeds = [true]\n" + SMALL, "expected int"),
        ("seeds = [-1]\n" + SMALL, "whole numbers from 0"),
        (SMALL + '[[row]]\nmodel = "Net"', "two rows are labelled 'Net'"),
        (SMALL + "settings = { width = [8] }", r"settings.width is \[8\]"),
        (SMALL + "settings = { day = 2026-01-01 }", "settings.day"),
        (SMALL + "settings = 8", "expected dict"),
        (SMALL + "set = 8", "expected dict"),
        ('mixed = "maybe"\n' + SMALL, "'mixed' is 'maybe', expected refuse or mark"),
        ("splits = { synthetic = 3 }\n" + SMALL, "'synthetic' is 3, expected str"),
        (SMALL + 'datasets = ["NUDT-SIRST"]', "row 'Net': dataset 'NUDT-SIRST' is none of the suite's"),
        (SMALL + "datasets = []", "at least one"),
        (SMALL + "protocol = 3", "expected str"),
        (SMALL + 'weights = "LESPS-ACM-full"', "weights 'LESPS-ACM-full' are of ACM, not of model 'Net'"),
        (SMALL + 'weights = "lesps-acm-full"', "no such file, and no published .*; did you mean LESPS-ACM-full"),
    ],
)
def test_a_suite_that_is_written_wrong_is_refused_in_one_line(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SuiteError, match=named) as caught:
        load_suite(write_suite(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path}/mine.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b.toml", ".hidden.toml", "ä%.toml", "$(x).toml"])
def test_a_file_whose_name_makes_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SuiteError, match="becomes a folder"):
        load_suite(write_suite(tmp_path, SMALL, name))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"none\.toml: no such file"):
        load_suite(str(tmp_path / "none.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(SuiteError, match="not a readable TOML file"):
        load_suite(str(tmp_path / "folder.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SuiteError, match="not a readable TOML file"):
        load_suite(str(tmp_path / "binary.toml"))


def test_an_unknown_suite_is_answered_with_the_nearest() -> None:
    with pytest.raises(SuiteError, match="no suite is called 'quik'; did you mean quick"):
        load_suite("quik")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (SMALL.replace("Net", "Nett"), "suite mine: no model is called 'Nett'; did you mean Net"),
        (SMALL.replace("synthetic", "syntetic"), "no dataset is called 'syntetic'; did you mean synthetic"),
        ('protocol = "nativ"\n' + SMALL, "no protocol is called 'nativ'; did you mean native"),
        (SMALL + '[set]\n"recipe.epoch" = 1', "did you mean recipe.epochs"),
        (SMALL + '[set]\n"recipe.optimiser" = "lamb"', "expected 'adam' or 'adagrad' or 'sgd'"),
        (SMALL + '[set]\n"selection.on" = "val"', "synthetic's split 'bench' is called 'val'"),
        (SMALL + '[set]\n"input.size" = [64, 64]', "input.size .* resizes and recipe.patch 256 crops"),
        (SMALL + '[set]\n"recipe.patch" = "none"', "input.size and recipe.patch are both unset"),
        (SMALL + 'weights = "none.safetensors"', "none.safetensors: no such file"),
        (SMALL.replace("synthetic", "SIRST-Aug"), "SIRST-Aug: its card has no mean and std"),
        (SMALL + 'protocol = "nativ"', "no protocol is called 'nativ'; did you mean native"),
        (SMALL + 'splits = { syntetic = "bench" }', "no dataset is called 'syntetic'; did you mean synthetic"),
        ('splits = { syntetic = "bench" }\n' + SMALL, "no dataset is called 'syntetic'; did you mean synthetic"),
        (SMALL + 'splits = { synthetic = "bank" }', "no split of synthetic is called 'bank'; there are bench"),
    ],
)
def test_what_does_not_exist_or_does_not_fit_is_refused_in_one_line(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SuiteError, match=named) as caught:
        jobs_of(tmp_path, text)
    assert str(caught.value).startswith("suite mine: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_that_comes_with_the_project_expands(name: str) -> None:
    jobs = expand(load_suite(name), info_of=lambda model: find_models().get(model).info)
    assert jobs
    assert not any(job.experiment.is_limited for job in jobs)


def test_five_start_masks_of_dfinet_are_five_experiments_of_one_training() -> None:
    jobs = expand(load_suite("table-rounds"), info_of=lambda model: find_models().get(model).info)
    for dataset in ("NUAA-SIRST", "NUDT-SIRST"):
        of_dfinet = [job for job in jobs if (job.row.model, job.row.dataset) == ("DFINet", dataset)]
        starts = [job.experiment.start for job in of_dfinet]
        assert starts == ["otsu", "zeros", "ones", "noise", "ground-truth"]
        assert len({job.row.key for job in of_dfinet}) == 5
        assert len({training_of(job).key for job in of_dfinet}) == 1
    assert len({job.row.key for job in jobs}) == len(jobs) == 14
    main = expand(load_suite("table-main"), info_of=lambda model: find_models().get(model).info)
    shared = {job.row.key for job in jobs} & {job.row.key for job in main}
    assert len(shared) == 6, "DFINet, FANet and DFINet@2026-01 as published are those of the main table"


def test_a_start_mask_is_set_for_a_suite_a_row_or_on_the_command_line(tmp_path: Path) -> None:
    rows = '[[row]]\nmodel = "Net"\n[[row]]\nmodel = "Loop"\n'
    text = f'datasets = ["synthetic"]\n{rows}[[row]]\nmodel = "Loop"\nlabel = "off"\nset = {{ start = "zeros" }}\n'
    assert [job.experiment.start for job in jobs_of(tmp_path, text)] == ["", "otsu", "zeros"]
    assert [job.experiment.start for job in jobs_of(tmp_path, text + '[set]\nstart = "ones"\n')] == [
        "",
        "ones",
        "zeros",
    ]
    said = jobs_of(tmp_path, text, overrides={"start": "noise"})
    assert [job.experiment.start for job in said] == ["", "noise", "noise"]
    assert said[0].row.key == jobs_of(tmp_path, text)[0].row.key


def test_the_stored_results_still_answer_the_suite_they_were_made_by() -> None:
    jobs = expand(load_suite("quick"), info_of=lambda model: find_models().get(model).info)
    assert [job.row.key for job in jobs] == [row.key for row in read_manifest(RESULTS, "quick").rows]


@pytest.mark.parametrize("folder", sorted(path.parent for path in RESULTS.glob("*/result.json")), ids=lambda p: p.name)
def test_every_stored_result_lies_under_the_key_of_its_experiment(folder: Path) -> None:
    result = read_result(folder)
    assert result.experiment.key == result.key == folder.name


def test_limits_are_shared_out_between_learning_and_holding_out(tmp_path: Path) -> None:
    (job,) = jobs_of(tmp_path, SMALL, limit=parse_limit("train=64,test=5"))
    training = training_of(job)
    assert training.selection_images is not None
    assert (training.images.part, training.images.count, training.images.limit) == ("fit", 51, 51)
    assert (training.selection_images.part, training.selection_images.count) == ("held-out", 13)
    assert (job.experiment.images.part, job.experiment.images.count) == ("test", 5)
    assert job.experiment.is_limited
    assert manifest_of(load_suite("quick"), [job]).limited
    assert list_names("synthetic", "bench", "fit")[:51] == list_names("synthetic", "bench", "fit", 51)


def test_a_limit_greater_than_the_list_takes_all_of_it_and_is_still_a_limit(tmp_path: Path) -> None:
    (whole,) = jobs_of(tmp_path, SMALL)
    (limited,) = jobs_of(tmp_path, SMALL, limit=Limit(train=1000))
    assert training_of(limited).images.digest == training_of(whole).images.digest
    assert limited.experiment.is_limited
    assert limited.row.key != whole.row.key


def test_without_selection_the_whole_training_list_is_learnt_from(tmp_path: Path) -> None:
    (job,) = jobs_of(tmp_path, SMALL + '[set]\n"selection.rule" = "last"', limit=Limit(train=10))
    assert (training_of(job).images.part, training_of(job).images.count) == ("train", 10)
    assert training_of(job).selection_images is None


def test_a_plateau_schedule_needs_a_selection_list_also_where_the_last_epoch_is_kept(tmp_path: Path) -> None:
    text = SMALL.replace("Net", "Loop") + '[set]\n"selection.rule" = "last"'
    (job,) = jobs_of(tmp_path, text)
    chosen = training_of(job).selection_images
    assert chosen is not None
    assert (training_of(job).images.part, chosen.part) == ("fit", "held-out")


def test_the_list_that_chooses_is_the_one_the_rules_name(tmp_path: Path) -> None:
    text = 'datasets = ["NUDT-SIRST"]\nprotocol = "dfinet"\n[[row]]\nmodel = "Loop"\n'
    for on, count in (("test", 266), ("val", 265), ("held-out", 159)):
        (job,) = jobs_of(tmp_path, text, overrides={"selection.on": on})
        training = training_of(job)
        assert training.selection_images is not None
        assert (training.selection_images.part, training.selection_images.count) == (on, count)
        assert (training.images.part, training.images.count) == (
            ("fit", 796 - 159) if on == "held-out" else ("train", 796)
        )
        assert training.selection.is_optimistic is (on == "test")
    (job,) = jobs_of(tmp_path, text, limit=Limit(train=8, test=4))
    assert training_of(job).selection_images == job.experiment.images


@pytest.mark.parametrize(
    ("text", "expected"), [("", Limit()), ("train=32", Limit(train=32)), (" test=4 , train=2", Limit(2, 4))]
)
def test_a_limit_is_read(text: str, expected: Limit) -> None:
    assert parse_limit(text) == expected


@pytest.mark.parametrize("text", ["32", "train", "train=", "train=0", "train=-3", "train=x", "val=3", "train=1"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SuiteError, match="--limit"):
        parse_limit(text)


def test_given_weights_are_tested_once_whatever_the_seeds(tmp_path: Path) -> None:
    (tmp_path / "mine.bin").write_bytes(b"weights")
    (job,) = jobs_of(tmp_path, "seeds = [1, 2]\n" + SMALL + 'weights = "mine.bin"')
    weights = job.experiment.weights
    assert isinstance(weights, Weights)
    assert weights.sha256 == hashlib.sha256(b"weights").hexdigest()
    assert weights.path == str(tmp_path / "mine.bin")
    assert job.row.seed == 1


def test_where_given_weights_lie_does_not_change_the_key(tmp_path: Path) -> None:
    keys = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        (folder / "mine.bin").write_bytes(b"weights")
        (job,) = jobs_of(folder, SMALL + 'weights = "mine.bin"')
        keys.append(job.row.key)
    assert keys[0] == keys[1]


def published_jobs(folder: Path, text: str) -> list[Job]:
    """What a suite of published checkpoints expands to, with the project's own networks."""
    return expand(load_suite(write_suite(folder, text)), info_of=lambda name: find_models().get(name).info)


def test_rows_have_protocols_datasets_and_splits_of_their_own(tmp_path: Path) -> None:
    text = """
        datasets = ["NUAA-SIRST", "NUDT-SIRST"]
        protocol = "lesps"
        mixed = "mark"
        splits = { NUDT-SIRST = "dfinet" }
        [[row]]
        model = "Net"
        [[row]]
        model = "Net"
        label = "other"
        protocol = "rpcanet"
        set = { "recipe.patch" = "none" }
        datasets = ["NUAA-SIRST"]
        splits = { NUAA-SIRST = "basicirstd" }
    """
    jobs = jobs_of(tmp_path, text, overrides={"recipe.epochs": 1})
    assert [(job.row.label, job.row.dataset, job.row.protocol, job.row.split) for job in jobs] == [
        ("Net", "NUAA-SIRST", "lesps", "basicirstd"),
        ("other", "NUAA-SIRST", "rpcanet", "basicirstd"),
        ("Net", "NUDT-SIRST", "lesps", "dfinet"),
    ]
    assert [job.row.scoring.name for job in jobs] == ["lesps", "rpcanet", "lesps"]
    assert manifest_of(load_suite(str(tmp_path / "mine.toml")), jobs).mixed == "mark"


def test_on_another_dataset_rows_with_datasets_of_their_own_are_left_out(tmp_path: Path) -> None:
    text = 'datasets = ["synthetic", "NUDT-SIRST"]\n[[row]]\nmodel = "Net"\ndatasets = ["synthetic"]\n'
    suite = load_suite(write_suite(tmp_path, text + '[[row]]\nmodel = "Loop"\n'))
    assert [row.label for row in restricted(suite, datasets=["NUDT-SIRST"]).rows] == ["Loop"]
    assert [row.label for row in restricted(suite, datasets=["synthetic"]).rows] == ["Net", "Loop"]
    alone = load_suite(write_suite(tmp_path, text))
    with pytest.raises(SuiteError, match="suite mine: no row is of NUDT-SIRST, each has datasets of its own"):
        restricted(alone, datasets=["NUDT-SIRST"])


def test_a_published_checkpoint_is_planned_without_its_file(tmp_path: Path) -> None:
    row = '[[row]]\nmodel = "ACM"\nweights = "LESPS-ACM-full"\n'
    jobs = published_jobs(tmp_path, 'datasets = ["NUAA-SIRST", "NUDT-SIRST"]\nseeds = [1, 2]\n' + row)
    assert [job.row.dataset for job in jobs] == ["NUAA-SIRST", "NUDT-SIRST"], "once whatever the seeds"
    entry = published_weights("LESPS-ACM-full")
    for job in jobs:
        weights = job.experiment.weights
        assert isinstance(weights, Weights)
        assert (weights.sha256, weights.name, weights.path) == (entry.sha256, "LESPS-ACM-full", "")
        assert weights.learnt_from == (image_list("SIRST3", "basicirstd", "train"),)
        assert (job.experiment.input.mean, job.experiment.input.std) == (95.010, 41.511), "as it was trained"
        assert job.row.leaked == 0
        assert job.row.trained_on == ""


def test_a_published_checkpoint_is_not_tested_on_images_that_it_has_learnt_from(tmp_path: Path) -> None:
    row = '[[row]]\nmodel = "RPCANet"\nweights = "RPCANet-SIRST"\n'
    with pytest.raises(SuiteError, match="NUAA-SIRST/sirst-v1/train, which is learnt from, and NUAA-SIRST/basicirstd"):
        published_jobs(tmp_path, f'datasets = ["NUAA-SIRST"]\n{row}')
    (job,) = published_jobs(tmp_path, f'datasets = ["NUAA-SIRST"]\nallow_leak = true\n{row}')
    assert job.row.leaked == 172, "122 of them in its train list, 50 in its val list"


def test_where_a_suite_names_training_sets_a_checkpoint_has_its_own(tmp_path: Path) -> None:
    row = 'trained_on = ["synthetic-sky"]\n[[row]]\nmodel = "ACM"\nweights = "LESPS-ACM-full"\n'
    (job,) = published_jobs(tmp_path, f'datasets = ["NUDT-SIRST"]\n{row}')
    assert (job.row.trained_on, job.row.title) == ("SIRST3", "ACM (trained on SIRST3)")


def test_one_experiment_under_two_scorings_in_one_suite_is_refused(tmp_path: Path) -> None:
    text = SMALL + '[[row]]\nmodel = "Net"\nlabel = "strict"\nset = { "scoring.threshold" = 0.75 }\n'
    with pytest.raises(SuiteError, match="rows 'Net' and 'strict' are one experiment on synthetic under two scorings"):
        jobs_of(tmp_path, text)


@pytest.mark.parametrize(
    ("protocol", "dataset", "model", "training", "experiment"),
    [
        ("native", "NUAA-SIRST", "Net", "ae9b760670cf", "ffa0d986f30a"),
        ("native", "NUDT-SIRST", "Loop", "770c14c67056", "2e5873171a1d"),
        ("basicirstd", "NUAA-SIRST", "Net", "8dc05b88d049", "a94c3cf495ca"),
        ("dfinet", "NUDT-SIRST", "Loop", "5d208438f9d0", "59e890eb2079"),
    ],
)
def test_keys_stay_what_they_are(
    protocol: str, dataset: str, model: str, training: str, experiment: str, tmp_path: Path
) -> None:
    """Stored results are found by these. A change that moves them orphans every result that anybody has: it must be
    meant, and its commit must say why (a rule of a protocol changed, or what a key is made of)."""
    text = f'protocol = "{protocol}"\ndatasets = ["{dataset}"]\n[[row]]\nmodel = "{model}"\n'
    (job,) = jobs_of(tmp_path, text)
    assert (training_of(job).key, job.row.key) == (training, experiment)


@pytest.fixture
def list_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Lists of the synthetic dataset that a test may change."""
    folder = tmp_path / "synthetic" / "splits" / "bench"
    folder.mkdir(parents=True)
    for part in ("train", "held-out", "test"):
        (folder / f"{part}.txt").write_text("\n".join(list_names("synthetic", "bench", part)))
    monkeypatch.setattr(splits, "datasets_root", lambda: tmp_path)
    splits._full_list.cache_clear()
    yield folder
    splits._full_list.cache_clear()


def test_a_test_image_in_the_training_list_is_refused_before_anything_runs(tmp_path: Path, list_folder: Path) -> None:
    jobs_of(tmp_path, SMALL)
    train = (list_folder / "train.txt").read_text().split()
    test = (list_folder / "test.txt").read_text().split()
    learnt = next(name for name in train if name not in (list_folder / "held-out.txt").read_text())
    (list_folder / "test.txt").write_text("\n".join([*test[:10], learnt, *test[11:]]))
    splits._full_list.cache_clear()
    with pytest.raises(SuiteError) as caught:
        jobs_of(tmp_path, SMALL)
    assert str(caught.value) == (
        "suite mine: synthetic/bench/fit, which is learnt from, and synthetic/bench/test, which is tested on, share "
        f"1 images, the first {learnt!r}; choose lists that share none, or pass --allow-leak "
        "and every table will say so"
    )
    jobs_of(tmp_path, SMALL, limit=Limit(test=10))


def test_a_test_image_in_the_list_that_chooses_is_refused(tmp_path: Path, list_folder: Path) -> None:
    test = (list_folder / "test.txt").read_text().split()
    held_out = (list_folder / "held-out.txt").read_text().split()
    (list_folder / "test.txt").write_text("\n".join([*held_out[:3], *test[3:]]))
    splits._full_list.cache_clear()
    with pytest.raises(SuiteError, match=f"bench/held-out, .* share 3 images, the first '{held_out[0]}'"):
        jobs_of(tmp_path, SMALL)


def test_lists_of_two_publishers_that_overlap_are_refused(tmp_path: Path) -> None:
    """The facts name 417 images of BasicIRSTD's NUDT-SIRST test list in DFINet's training list."""
    (job,) = jobs_of(tmp_path, 'datasets = ["NUDT-SIRST"]\nprotocol = "dfinet"\n[[row]]\nmodel = "Loop"\n')
    test = image_list("NUDT-SIRST", "basicirstd", "test")
    shared = shared_images(training_of(job).images, test)
    assert len(shared) == 417
    with pytest.raises(
        LeakError, match=f"dfinet/train, .*basicirstd/test, .* share 417 images, the first '{shared[0]}'"
    ):
        refuse_shared_images(Experiment(training_of(job), test, job.experiment.input))


def test_a_leak_that_is_allowed_is_counted_on_every_row_and_changes_no_key(tmp_path: Path, list_folder: Path) -> None:
    names = (list_folder / "test.txt").read_text().split()
    learnt = [name for name in (list_folder / "train.txt").read_text().split() if int(name[-4:]) % 7 == 0][:3]
    (list_folder / "test.txt").write_text("\n".join([*learnt, *names[3:]]))
    splits._full_list.cache_clear()
    (allowed,) = jobs_of(tmp_path, f"allow_leak = true\n{SMALL}")
    assert allowed.row.leaked == count_leaked(allowed.experiment) == 3
    assert allowed.row.key == allowed.experiment.key
    with pytest.raises(SuiteError, match="share"):
        jobs_of(tmp_path, f"allow_leak = false\n{SMALL}")


def test_a_suite_that_allows_leaks_and_has_none_marks_nothing(tmp_path: Path) -> None:
    (allowed,), (plain,) = jobs_of(tmp_path, f"allow_leak = true\n{SMALL}"), jobs_of(tmp_path, SMALL)
    assert allowed == plain
    assert plain.row.leaked == 0


def test_a_leak_is_allowed_by_true_or_false_alone(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="'allow_leak' is 'yes', expected bool"):
        jobs_of(tmp_path, f'allow_leak = "yes"\n{SMALL}')


def test_given_weights_do_not_say_what_they_learnt_from(tmp_path: Path) -> None:
    (job,) = jobs_of(tmp_path, SMALL)
    given = replace(job.experiment, weights=Weights("Net", sha256="0" * 64))
    assert count_leaked(given) == 0


def test_images_of_two_datasets_are_compared_by_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """NUAA-SIRST's first test image stands in for one of NUDT-SIRST's training images."""
    seen, test = image_list("NUDT-SIRST", "basicirstd", "train"), image_list("NUAA-SIRST", "basicirstd", "test")
    assert shared_images(seen, test) == ()
    copy, original = (list_names(one.dataset, one.split, one.part)[0] for one in (seen, test))
    nudt, nuaa = load_card("NUDT-SIRST"), load_card("NUAA-SIRST")
    copied = replace(nudt, digests={**nudt.digests, f"images/{copy}": nuaa.digests[f"images/{original}"]})
    monkeypatch.setattr(overlaps, "load_card", {"NUDT-SIRST": copied, "NUAA-SIRST": nuaa}.get)
    assert shared_images(seen, test) == (original,)


def test_a_suites_name_is_its_files_stem() -> None:
    assert suite_stem("quick") == "quick"
    assert suite_stem("folder/mine.v2.toml") == "mine.v2"


def test_settings_of_every_builder_can_be_replaced_at_once(tmp_path: Path) -> None:
    deep = '[[row]]\nmodel = "Net"\nlabel = "deep"\nsettings = {depth = 2}\n'
    text = f'datasets = ["synthetic"]\n[[row]]\nmodel = "Net"\n{deep}'
    jobs = jobs_of(tmp_path, text, overrides={"settings.width": 8, "recipe.epochs": 3})
    assert [job.experiment.weights.config for job in jobs] == [(("width", 8),), (("depth", 2), ("width", 8))]
    assert {job.experiment.weights.recipe.epochs for job in jobs if isinstance(job.experiment.weights, Training)} == {3}
    with pytest.raises(SuiteError, match=r"settings.width is \[8\], expected a number"):
        jobs_of(tmp_path, text, overrides={"settings.width": [8]})


def test_a_choice_that_is_spelled_out_at_its_default_changes_no_key(tmp_path: Path) -> None:
    text = 'datasets = ["synthetic"]\n[[row]]\nmodel = "DFINet"\n'
    plain, spelled_out = (
        expand(
            load_suite(write_suite(tmp_path, text)), info_of=lambda name: find_models().get(name).info, overrides=more
        )
        for more in ({}, {"settings.chpp": 2, "settings.history": "released"})
    )
    assert plain[0].experiment == spelled_out[0].experiment
    assert plain[0].experiment.weights.config == (("width", 32),)


def test_the_ablation_suite_compares_every_ablation_with_the_released_network_and_its_ancestor() -> None:
    models = find_models()
    rows = [row.model for row in load_suite("table-ablation").rows]
    ablations = {name for name in models if models.get(name).info.ablates == "DFINet"}
    assert rows[:2] == ["DFINet", "FANet"]
    assert set(rows[2:]) == ablations


CORRUPTED = 'corruptions = ["drift", "defocus@3"]\n' + SMALL


def test_one_training_serves_the_clean_images_and_every_corruption(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, CORRUPTED)
    (clean,) = jobs_of(tmp_path, SMALL)
    names = ["", *(f"drift@{level}" for level in (1, 2, 3, 4, 5)), "defocus@3"]
    assert [job.row.corruption for job in jobs] == [job.experiment.corruption for job in jobs] == names
    assert jobs[0] == clean
    assert {training_of(job) for job in jobs} == {training_of(clean)}
    assert len({job.row.key for job in jobs}) == 7
    assert jobs[2].row.test_set == "synthetic + drift@2"
    assert jobs[2].row.title == "Net"


def test_all_corruptions_are_fifty_and_the_clean_images(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, 'corruptions = "all"\nseeds = [1, 2]\n' + SMALL)
    assert len(jobs) == 2 * 51
    assert [job.row.seed for job in jobs] == [1] * 51 + [2] * 51


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('corruptions = "some"\n', "'corruptions' is 'some', expected list"),
        ("corruptions = [3]\n", "'corruptions' is 3, expected str"),
        ('corruptions = ["drfit"]\n', "'corruptions': no corruption is called 'drfit'; did you mean drift"),
        ('corruptions = ["drift@7"]\n', "'corruptions': corruption 'drift@7': expected a level from 1 to 5"),
        ("trained_on = []\n", "'trained_on' is .*at least one"),
        ('trained_on = "synthetic"\n', "expected list"),
    ],
)
def test_corruptions_and_training_sets_that_are_written_wrong_are_refused(
    tmp_path: Path, text: str, named: str
) -> None:
    with pytest.raises(SuiteError, match=named) as caught:
        load_suite(write_suite(tmp_path, text + SMALL))
    assert "\n" not in str(caught.value)


CROSS = 'datasets = ["synthetic-sky", "synthetic-sea"]\ntrained_on = ["synthetic-sky", "synthetic-sea"]\n'


def test_a_row_is_trained_on_each_dataset_and_tested_on_all(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, CROSS + '[[row]]\nmodel = "Net"\n')
    assert [(job.row.trained_on, job.row.dataset, job.row.is_transferred) for job in jobs] == [
        ("synthetic-sky", "synthetic-sky", False),
        ("synthetic-sea", "synthetic-sky", True),
        ("synthetic-sky", "synthetic-sea", True),
        ("synthetic-sea", "synthetic-sea", False),
    ]
    for job in jobs:
        training, card = training_of(job), load_card(job.row.trained_on)
        assert training.images.dataset == job.row.trained_on
        assert training.selection_images is not None
        assert training.selection_images.dataset == job.row.trained_on
        assert job.experiment.images.dataset == job.row.dataset
        assert job.experiment.input == training.input
        assert (training.input.mean, training.input.std) == (card.mean, card.std)
    assert training_of(jobs[0]) == training_of(jobs[2])
    assert jobs[1].row.title == "Net (trained on synthetic-sea)"


def test_the_diagonal_is_what_a_suite_without_training_sets_runs(tmp_path: Path) -> None:
    row = '[[row]]\nmodel = "Net"\n'
    alone = jobs_of(tmp_path, 'datasets = ["synthetic-sky", "synthetic-sea"]\n' + row)
    cross = jobs_of(tmp_path, CROSS + row)
    assert [job.experiment for job in cross if not job.row.is_transferred] == [job.experiment for job in alone]


def test_what_learns_nothing_is_tested_once_on_every_dataset(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    rows = '[[row]]\nmodel = "TopHat"\n[[row]]\nmodel = "Net"\nweights = "w.safetensors"\n'

    def look_up(name: str) -> ModelInfo:
        return find_models().get(name).info if name == "TopHat" else info_of(name)

    jobs = expand(load_suite(write_suite(tmp_path, CROSS + rows)), info_of=look_up)
    assert [(job.row.label, job.row.dataset, job.row.trained_on) for job in jobs] == [
        (label, dataset, "") for dataset in ("synthetic-sky", "synthetic-sea") for label in ("TopHat", "Net")
    ]


def test_a_detector_whose_level_is_learnt_learns_it_on_each_training_set(tmp_path: Path) -> None:
    text = CROSS + '[[row]]\nmodel = "TopHat"\nsettings = { level = "best" }\n'
    jobs = expand(load_suite(write_suite(tmp_path, text)), info_of=lambda name: find_models().get(name).info)
    found = [(job.row.trained_on, job.experiment.weights.images) for job in jobs]  # type: ignore[union-attr]
    assert [(name, images.dataset) for name, images in found if images] == [
        ("synthetic-sky", "synthetic-sky"),
        ("synthetic-sea", "synthetic-sea"),
    ] * 2


def test_a_training_set_that_holds_another_datasets_test_images_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        overlaps,
        "list_names",
        lambda dataset, split, part, limit=None: list_names(
            dataset, split, "test" if (dataset, part) == ("synthetic", "fit") else part, limit
        ),
    )
    text = 'datasets = ["synthetic-sky"]\ntrained_on = ["synthetic"]\n[[row]]\nmodel = "Net"\n'
    with pytest.raises(SuiteError, match="synthetic/bench/fit, which is learnt from, and synthetic-sky/bench/test"):
        jobs_of(tmp_path, text)


def test_a_training_set_that_does_not_exist_is_answered_with_the_nearest_names(tmp_path: Path) -> None:
    text = 'datasets = ["synthetic"]\ntrained_on = ["synthetic-sae"]\n[[row]]\nmodel = "Net"\n'
    with pytest.raises(SuiteError, match="no dataset is called 'synthetic-sae'; did you mean synthetic-sea"):
        jobs_of(tmp_path, text)


def test_the_suites_of_robustness_and_of_transfer_cover_what_they_say() -> None:
    def info_here(name: str) -> ModelInfo:
        return find_models().get(name).info

    robustness, cross = load_suite("table-robustness"), load_suite("table-cross")
    jobs = expand(robustness, info_of=info_here)
    assert len(jobs) == 2 * 51 * len(robustness.rows)
    assert len({job.row.key for job in jobs}) == len(jobs)
    trained = [job for job in jobs if isinstance(job.experiment.weights, Training)]
    assert len({training_of(job).key for job in trained}) == 2 * 7
    matrix = [job for job in expand(cross, info_of=info_here) if job.row.trained_on]
    assert len(matrix) == 4 * 7
    assert len({training_of(job).key for job in matrix}) == 2 * 7
