"""`dfinet-bench compare` as users call it: folders and runs, JSON, a report, and one line for every slip."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import fakes
import numpy as np
import pytest
from commands import Call, caller

import bench
from bench.metrics.ids import CUMULATIVE
from bench.store.files import load_arrays, read_manifest, read_result
from reports.tables.compared_values import read_compared

IMAGES = 12


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, and no settings of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in ("DFINET_BENCH_DATA", "DFINET_BENCH_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """`dfinet-bench` as a function of its words."""
    return caller(monkeypatch, capfd)


def write(folder: Path, maps: dict[str, Any]) -> None:
    """A folder of pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in maps.items():
        assert cv2.imwrite(str(folder / f"{name}.png"), np.asarray(values, np.uint8))


def made_masks() -> dict[str, Any]:
    """Masks of one target each, at places that differ."""
    masks = {}
    for number in range(IMAGES):
        mask = np.zeros((40, 48), np.uint8)
        mask[3 + number : 6 + number, 5 + 2 * number : 8 + 2 * number] = 255
        masks[f"im{number:02d}"] = mask
    return masks


@pytest.fixture
def words() -> tuple[str, str, str]:
    """Two methods and masks: `good` finds all but one target, `poor` every second one, with a false alarm in each."""
    masks, rng = made_masks(), np.random.default_rng(1)
    write(Path("set/masks"), masks)
    haze = {name: rng.integers(0, 90, mask.shape) for name, mask in masks.items()}
    write(Path("good"), {n: np.where(m > 0, 200 if n != "im03" else 20, haze[n]) for n, m in masks.items()})
    poor = {n: np.where(m > 0, 180 if k % 2 else 40, haze[n]) for k, (n, m) in enumerate(masks.items())}
    for values in poor.values():
        values[35:37, 40:42] = 220
    write(Path("poor"), poor)
    return "good", "poor", "set/masks"


def numbers_of(answer: str) -> dict[tuple[str, str], dict[str, Any]]:
    """By metric and method what `--json` gave."""
    return {(each["metric"], each["method"]): each for each in json.loads(answer)["numbers"]}


def test_two_folders_are_compared_with_intervals_and_p(call: Call, words: tuple[str, str, str]) -> None:
    answer = call("compare", *words, "--json")
    assert answer.code == 0, answer.err
    found = numbers_of(answer.out)
    pd = found["Pd/centroid-3px", "poor"]
    assert found["Pd/centroid-3px", "good"]["score"]["value"] == 11 / 12
    assert found["Pd/centroid-3px", "good"]["is_best"]
    assert pd["score"]["value"] == 0.5
    assert pd["difference"]["value"] == pytest.approx(-5 / 12)
    assert pd["difference"]["low"] < -5 / 12 < pd["difference"]["high"]
    assert 0 < pd["p"] <= 1
    assert found["Fa/unmatched-area", "poor"]["score"]["value"] == 4 * 12 / (12 * 40 * 48)
    assert json.loads(answer.out)["methods"] == ["good", "poor"]
    assert not Path("reports-out").exists()


def test_a_report_is_made_of_the_folders_alone_and_can_be_made_again(call: Call, words: tuple[str, str, str]) -> None:
    answer = call("compare", *words, "--out", "page")
    assert answer.code == 0, answer.err
    assert "good and poor compared; native" in answer.out
    figures = {path.stem for path in Path("page/figures").iterdir()}
    assert {"roc", "precision-recall", "pd-fa", "iou-threshold", "errors", "strata-set", "distances"} <= figures
    page = Path("page/index.html").read_text(encoding="utf-8")
    for text in ("good and poor compared", "Intervals: set", "Strata: set", "given predictions good", "as given"):
        assert text in page
    assert "seed" not in page.replace("generator seed", "")
    kept = {name: Path("page", name).read_bytes() for name in ("index.html", "table.tex", "results.csv")}
    assert call("report", "comparison", "--from", "page/results", "--out", "again", "--mlflow", "off").code == 0
    assert kept == {name: Path("again", name).read_bytes() for name in kept}


def test_the_same_input_gives_the_same_bytes(call: Call, words: tuple[str, str, str]) -> None:
    for out in ("one", "two"):
        assert call("compare", *words, "--out", out).code == 0
    files = sorted(path.relative_to("one") for path in Path("one").rglob("*") if path.is_file())
    assert files == sorted(path.relative_to("two") for path in Path("two").rglob("*") if path.is_file())
    assert [f for f in files if (Path("one") / f).read_bytes() != (Path("two") / f).read_bytes()] == []


def test_images_give_pictures_and_contrast(call: Call, words: tuple[str, str, str]) -> None:
    write(Path("set/images"), {name: 30 + mask // 2 for name, mask in made_masks().items()})
    answer = call("compare", *words, "--images", "set/images", "--out", "page")
    assert answer.code == 0, answer.err
    assert "--images" not in answer.err
    assert len(list(Path("page/figures").glob("pictures-*.png"))) == 2
    assert len(list(Path("page/results").glob("*/contrast.npz"))) == 2


def test_masks_of_a_network_have_no_curves_and_the_report_says_so(call: Call, words: tuple[str, str, str]) -> None:
    for path in Path("poor").iterdir():
        values = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert cv2.imwrite(str(path), (values > 127).astype(np.uint8) * 255)
    answer = call("compare", *words, "--out", "page", "--columns", "IoU/pooled,AP/pixels")
    assert answer.code == 0, answer.err
    assert "poor: every prediction is a mask of 0 and 1, so that it has one threshold and no curves" in answer.err
    assert "no curves of poor on set: its predictions are masks of 0 and 1" in answer.err
    assert (Path("page/figures/roc.png")).is_file()
    table = Path("page/table.csv").read_text(encoding="utf-8")
    assert re.search(r"^poor,[\d.]+.*,—?$", table, re.MULTILINE) or "not among its scores" in table


def test_pictures_of_zero_and_one_are_shown_as_they_were_read(call: Call, words: tuple[str, str, str]) -> None:
    write(Path("set/images"), made_masks())
    write(Path("poor"), {name: mask // 255 for name, mask in made_masks().items()})
    answer = call("compare", *words, "--images", "set/images", "--out", "page")
    assert answer.code == 0, answer.err
    assert "poor: no prediction holds more than 1, so that values were read as 0 and 1" in answer.err
    rows = read_manifest(Path("page/results"), "comparison").rows
    shown = load_arrays(Path("page/results", rows[1].key, "examples.npz"))
    count = len(shown["names"])
    assert count >= 3, "the hardest and a typical one at least"
    assert [int(shown[f"rounds_{number}"].max()) for number in range(count)] == [65535] * count
    assert not Path("page/results", rows[1].key, "curves.npz").exists()


def test_masks_beside_predictions_are_told(call: Call, words: tuple[str, str, str]) -> None:
    answer = call("compare", "good", words[2], words[2], "--json")
    assert "note: masks: predictions and masks are the same files" in answer.err
    assert numbers_of(answer.out)["IoU/pooled", "masks"]["score"]["value"] == 1.0


def test_an_archive_and_single_files_can_be_compared(call: Call, words: tuple[str, str, str]) -> None:
    maps = {path.stem: cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in Path("poor").iterdir()}
    np.savez("packed.npz", **{name: values / np.float32(255) for name, values in maps.items()})
    packed = call("compare", "good", "packed.npz", words[2], "--json")
    plain = call("compare", *words, "--json")
    assert numbers_of(packed.out)["IoU/pooled", "packed"] == {
        **numbers_of(plain.out)["IoU/pooled", "poor"],
        "method": "packed",
    }
    named = ("--label", "a", "--label", "b", "--json")
    single = call("compare", "good/im00.png", "poor/im01.png", f"{words[2]}/im00.png", *named)
    assert single.code == 0, single.err
    assert numbers_of(single.out)["Pd/centroid-3px", "a"]["score"]["value"] == 1.0


def test_labels_tell_folders_of_one_name_apart(call: Call, words: tuple[str, str, str]) -> None:
    for name in ("good", "poor"):
        shutil.move(name, f"{name}-run/pred")
    twins = ("good-run/pred", "poor-run/pred", words[2])
    refused = call("compare", *twins)
    assert refused.code == 2
    assert "good-run/pred and poor-run/pred are both called 'pred'" in refused.err
    assert "--label" in refused.err
    answer = call("compare", *twins, "--label", "ours", "--label", "theirs", "--json")
    assert json.loads(answer.out)["methods"] == ["ours", "theirs"]


def test_other_images_are_named_and_the_common_ones_compared_where_asked(
    call: Call, words: tuple[str, str, str]
) -> None:
    Path("poor/im02.png").unlink()
    Path("poor/im05.png").rename("poor/other.png")
    refused = call("compare", *words)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "'poor' lacks 2 of 12 images ('im02', 'im05')" in refused.err
    assert "'poor' has 1 prediction without a mask ('other')" in refused.err
    answer = call("compare", *words, "--common", "--json")
    assert answer.code == 0
    assert "compared on the 10 images that all have" in answer.err
    assert numbers_of(answer.out)["Pd/centroid-3px", "good"]["score"]["value"] == 9 / 10
    Path("names.txt").write_text("im00\nim01\nim03\n")
    listed = call("compare", *words, "--list", "names.txt", "--json")
    assert numbers_of(listed.out)["Pd/centroid-3px", "good"]["score"]["value"] == 2 / 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["good"], "compare: good alone, expected at least two folders of predictions"),
        (["good", "set/masks"], "compare: good and set/masks alone, expected at least two"),
        (["good", "poor", "nowhere"], "nowhere: no such file or folder"),
        (["good", "nowhere", "set/masks"], "nowhere: no such file or folder"),
        (["good", "empty", "set/masks"], "empty: no files, expected maps"),
        (["good", "cut", "set/masks"], "cut/im00.png: damaged or cut short"),
        (["good", "small", "set/masks"], "small/im00.png: 20x20 (height x width), its mask set/masks/im00.png 40x48"),
        (["good", "poor", "set/masks", "--scoring", "natve"], "no scoring is called 'natve'; did you mean native?"),
        (["good", "poor", "set/masks", "--scoring", "native", "--protocol", "lesps"], "give one of them"),
        (["good", "poor", "set/masks", "--label", "a"], "--label: 1 given for 2 folders"),
        (["good", "poor", "set/masks", "--label", "a", "--label", "a"], "are both called 'a'"),
        (["good", "poor", "set/masks", "--label", "a", "--label", "b\u202ec"], "take out U+202E"),
        (["good", "poor", "set/masks", "--out", "good"], "--out good: holds what is compared"),
        (["good", "poor", "set/masks", "--columns", "IoU/poled"], "did you mean IoU/pooled"),
        (["good", "scored", "set/masks"], "scored: holds scores, expected predictions; dfinet-bench report NAME"),
        (["good", "runs", "set/masks"], "runs: holds the runs of suites, expected predictions; name each run"),
        (
            ["good", "half", "set/masks", "--set", "scoring.resolution=network"],
            "im00: 40x48 (height x width) of 'good' and 20x24 of 'half', expected one size",
        ),
    ],
)
def test_a_slip_is_one_line_and_exit_code_2(
    call: Call, words: tuple[str, str, str], given: list[str], expected: str
) -> None:
    Path("empty").mkdir()
    Path("runs/suites").mkdir(parents=True)
    shutil.copytree("good", "cut")
    Path("cut/im00.png").write_bytes(Path("good/im00.png").read_bytes()[:70])
    write(Path("small"), {name: np.zeros((20, 20)) for name in made_masks()})
    write(Path("half"), {name: mask[::2, ::2] for name, mask in made_masks().items()})
    Path("scored").mkdir()
    Path("scored/scores.json").write_text("{}")
    answer = call("compare", *given)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert expected in answer.err


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of two detectors' runs on generated images, with the suite's report."""
    fakes.register_fakes(monkeypatch)
    rows = "".join(f'[[row]]\nmodel = "{model}"\n' for model in ("Dot", "Echo"))
    Path("mine.toml").write_text(f'datasets = ["synthetic"]\n{rows}')
    bench.run_suite("mine.toml", overrides={"recipe.epochs": 1, "recipe.patch": 32}, limit="train=7,test=9")
    bench.report("mine", out="suite-page")
    labels = json.loads(Path("runs/suites/mine.json").read_text())["rows"]
    return [f"runs/{row['key']}" for row in labels]


def test_runs_give_the_numbers_of_their_suites_report_digit_for_digit(call: Call, suite: list[str]) -> None:
    answer = call("compare", *suite, "--out", "page")
    assert answer.code == 0, answer.err
    assert read_compared(Path("page/results"), "comparison") == read_compared(Path("runs"), "mine")
    results = [read_result(path.parent) for path in Path("page/results").glob("*/result.json")]
    own = [read_result(Path(folder)) for folder in suite]
    for result in results:
        (source,) = (one for one in own if one.model.name == result.model.name)
        cumulative = {name for name in source.scores if CUMULATIVE in name}
        assert result.scores == {name: score for name, score in source.scores.items() if name not in cumulative}
    for name in ("intervals-synthetic.csv", "errors.csv", "strata-synthetic.csv", "scorings-synthetic.csv"):
        assert Path("page", name).read_bytes() == Path("suite-page", name).read_bytes()


def test_runs_stand_beside_folders_and_under_another_scoring(call: Call, suite: list[str]) -> None:
    answer = call("compare", *suite, "--scoring", "overlap", "--json")
    assert json.loads(answer.out)["scoring"]["name"] == "overlap"
    with np.load(f"{suite[0]}/predictions.npz") as stored:
        names = stored.files
        write(Path("theirs"), {name: stored[name] >> 8 for name in names})
        write(Path("gt"), {name: np.where(np.indices(stored[name].shape).sum(0) == 40, 255, 0) for name in names})
    mixed = call("compare", suite[0], "theirs", "gt", "--json")
    assert mixed.code == 0, mixed.err
    assert json.loads(mixed.out)["methods"] == ["Dot", "theirs"]


def test_runs_alone_take_no_options_of_masks(call: Call, suite: list[str]) -> None:
    answer = call("compare", *suite, "--images", "somewhere")
    assert answer.code == 2
    assert "--images goes with a folder of MASKS" in answer.err


def test_the_function_prints_nothing_and_gives_the_numbers(
    words: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = bench.compare(words[:2], words[2])
    assert found.report is None
    assert [row.label for row in found.manifest.rows] == ["good", "poor"]
    assert {number.method: number.is_best for number in found.numbers if number.head == "Pd"} == {
        "good": True,
        "poor": False,
    }
    assert capsys.readouterr().out == ""
