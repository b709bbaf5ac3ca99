"""What people's files look like: each kind as a real file, through the real commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fakes
import numpy as np
import pytest
from commands import Call, caller
from dataset_sources import write_files
from PIL import Image

NAMES = ("XDU189", "XDU935", "XDU672")
"""The first three of IRSTD-1k's test list."""

IMAGE, MASK = Path("data/IRSTD-1k/images/XDU935.png"), Path("data/IRSTD-1k/masks/XDU935.png")
SUITE = (
    'title = "One"\ndatasets = ["IRSTD-1k"]\n[[row]]\nmodel = "TopHat"\nsettings = { rule = "fixed", level = 50.0 }\n'
)
RUN = ("run", "one.toml", "--data", "data", "--limit", "test=3", "--mlflow", "off")
VERIFY = ("data", "verify", "IRSTD-1k", "--data", "data")
IMPORT = ("data", "import", "IRSTD-1k", "data/IRSTD-1k", "--data", "new")
CONVERT = (*IMPORT, "--convert")
OF_A_SMALL_COPY = ("missing, the card names it", "the card says 512 x 512", "no digests to prove pixels")


@pytest.fixture(autouse=True)
def small_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unmeasured: None) -> None:
    """A working folder with a copy of IRSTD-1k of three frames of 20x30 pixels, and a suite of one classical row."""
    fakes.register_fakes(monkeypatch)  # costs are measured in this process
    monkeypatch.chdir(tmp_path)
    for name in ("DFINET_BENCH_DATA", "DFINET_BENCH_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    write_files(Path("data/IRSTD-1k"), [f"{kind}/{name}.png" for kind in ("images", "masks") for name in NAMES])
    Path("one.toml").write_text(SUITE)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    return caller(monkeypatch, capfd)


@dataclass(frozen=True)
class Case:
    """A kind of file, and what is said about it.

    Attributes:
        name: of the kind.
        spoil: makes it.
        problem, note: what verify says; empty for nothing.
        run, bring, convert: why a run, an import and an import with --convert are refused; empty where they work.
        scores: IoU that the run gives, where it works and the file changes it.
    """

    name: str
    spoil: Callable[[], object]
    problem: str = ""
    note: str = ""
    run: str = ""
    bring: str = ""
    convert: str = ""
    score: float = 1.0


def refused(name: str, spoil: Callable[[], object], sentence: str) -> Case:
    """A kind of file that nothing can use: the same sentence everywhere."""
    return Case(name, spoil, problem=sentence, run=sentence, bring=sentence, convert=sentence)


def store(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


def box(level: int, dtype: type = np.uint8) -> np.ndarray:
    """The target's 2x3 pixels at a level."""
    mask = np.zeros((20, 30), dtype)
    mask[4:6, 7:10] = level
    return mask


def grey_levels() -> np.ndarray:
    mask = box(255)
    mask[4, 7], mask[4, 8] = 127, 128
    return mask


def animate(path: Path = IMAGE) -> None:
    Image.new("L", (30, 20)).save(path, save_all=True, append_images=[Image.new("L", (30, 20), 9)])


def cmyk(path: Path = IMAGE) -> None:
    ink = np.zeros((20, 30, 4), np.uint8)
    ink[..., 3] = 205 - box(150)
    Image.fromarray(ink, mode="CMYK").save(path, format="JPEG", quality=100)


def another_size() -> None:
    store(MASK, box(255)[:10, :15])


def jpeg_called_png() -> None:
    with Image.open(IMAGE) as image:
        image.load()
    image.save(IMAGE, format="JPEG", quality=100)


NOT_8_BIT = "pixels of mode 'I;16', expected 8-bit grey or RGB; convert it"
NO_IMAGE = "no such file, the list names it; run dfinet-bench data verify IRSTD-1k"

CASES = (
    Case("as published", lambda: None),
    Case("an empty mask", lambda: store(MASK, box(0)), note="masks/XDU935.png: no target in the mask", score=12 / 18),
    Case(
        "a mask that is all target",
        lambda: store(MASK, np.full((20, 30), 255, np.uint8)),
        problem="the whole mask is target",
        score=18 / 612,
    ),
    Case(
        "a mask with grey levels",
        lambda: store(MASK, grey_levels()),
        note="mask values between 0 and 255 (4 in all), those above 127 count as target",
        score=17 / 18,
    ),
    Case(
        "a mask of zeros and ones",
        lambda: store(MASK, box(1)),
        problem="mask values reach only 1, expected 0 and 255",
        run="mask values reach only 1, expected 0 and 255",
    ),
    Case("a mask of one bit", lambda: store(MASK, box(1).astype(bool))),
    Case("a mask with a palette", lambda: Image.fromarray(box(255)).convert("P").save(MASK)),
    Case("a mask in RGBA", lambda: Image.fromarray(box(255)).convert("RGBA").save(MASK)),
    Case(
        "a 16-bit image",
        lambda: store(IMAGE, box(60000, np.uint16)),
        problem=NOT_8_BIT,
        run=NOT_8_BIT,
        bring="more than 8 bits a pixel (1 such file), expected 8-bit grey or RGB; pass --convert",
    ),
    Case(
        "a 16-bit mask",
        lambda: store(MASK, box(65535, np.uint16)),
        problem=NOT_8_BIT,
        run=NOT_8_BIT,
        bring="more than 8 bits a pixel (1 such file)",
    ),
    Case(
        "a CMYK image",
        cmyk,
        problem="pixels of mode 'CMYK'",
        run="pixels of mode 'CMYK'",
        bring="CMYK (1 such file), expected 8-bit grey or RGB; pass --convert",
    ),
    refused("an animated PNG", animate, "2 pictures in one file, expected a still image"),
    refused("a file of zero bytes", lambda: IMAGE.write_bytes(b""), "empty file, expected an image"),
    refused("a mask of zero bytes", lambda: MASK.write_bytes(b""), "empty file, expected an image"),
    refused("a file cut short", lambda: IMAGE.write_bytes(IMAGE.read_bytes()[:-25]), "damaged or cut short"),
    refused("a text called png", lambda: IMAGE.write_text("hello"), "not an image, expected one of PNG, BMP, JPEG"),
    Case("a JPEG called png", jpeg_called_png, note="XDU935.png: is a JPEG file by its content and is read as one"),
    Case("an extension in capitals", lambda: IMAGE.rename(IMAGE.with_suffix(".PNG"))),
    Case(
        "an extension of no image",
        lambda: IMAGE.rename(IMAGE.with_suffix(".dat")),
        problem="images/XDU935: missing, the card names it",
        note="files that are no images are ignored (1): XDU935.dat",
        run=NO_IMAGE,
        bring="1 file without image: masks/XDU935.png",
        convert="1 file without image: masks/XDU935.png",
    ),
    Case(
        "two files of one name",
        lambda: Image.new("L", (30, 20)).save(IMAGE.with_suffix(".bmp")),
        problem="XDU935.bmp has the same name, expected one file per image; remove one",
        run="XDU935.bmp has the same name, expected one file per image; remove one",
        bring="would be called 'XDU935' as images/XDU935.bmp is",
        convert="would be called 'XDU935' as images/XDU935.bmp is",
    ),
    Case(
        "a folder called png",
        lambda: (IMAGE.unlink(), IMAGE.mkdir()),
        problem="is a directory, expected an image",
        run="is a directory, expected an image",
        bring="1 file without image: masks/XDU935.png",
        convert="1 file without image: masks/XDU935.png",
    ),
    refused("a link to nowhere", lambda: (IMAGE.unlink(), IMAGE.symlink_to("/nowhere")), "no such file or directory"),
    Case(
        "a mask of another size",
        another_size,
        problem="mask 10x15 over image 20x30 (height x width), expected equal sizes",
        run="mask 10x15 (height x width), its image 20x30; fetch the pair again",
        bring="mask 10x15 over image 20x30 (height x width), expected equal sizes",
        convert="mask 10x15 over image 20x30 (height x width), expected equal sizes",
    ),
)

by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))


def one_error(err: str, sentence: str) -> None:
    """Standard error is one line, and it says this."""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sentence in err


@by_name
def test_verify_says_it_in_one_line(call: Call, case: Case) -> None:
    case.spoil()
    answer = call(*VERIFY)
    assert answer.code == 1  # the copy has three images of 1,001
    lines = [line for line in answer.out.splitlines()[:-1] if not any(end in line for end in OF_A_SMALL_COPY)]
    said = [sentence for sentence in (case.problem, case.note) if sentence and sentence not in OF_A_SMALL_COPY]
    for sentence in said:
        assert sum(sentence in line for line in answer.out.splitlines()) == 1
    assert len(lines) == len([sentence for sentence in said if "missing" not in sentence])


@by_name
def test_a_run_works_or_is_refused_in_one_line(call: Call, case: Case) -> None:
    case.spoil()
    answer = call(*RUN)
    if case.run:
        assert answer.code == 2
        one_error(answer.err, case.run)
        assert not list(Path("runs").glob("*/result.json"))
        return
    assert answer.code == 0, answer.err
    (result,) = Path("runs").glob("*/result.json")
    scores = json.loads(result.read_text())["scores"]
    assert scores["IoU/pooled"]["value"] == pytest.approx(case.score, abs=1e-12)


@by_name
@pytest.mark.parametrize("words", [IMPORT, CONVERT], ids=["as-it-is", "converted"])
def test_an_import_works_or_is_refused_in_one_line(call: Call, case: Case, words: tuple[str, ...]) -> None:
    case.spoil()
    answer = call(*words)
    sentence = case.bring if words is IMPORT else case.convert
    if sentence:
        assert answer.code == 2
        one_error(answer.err, sentence)
        assert not Path("new/IRSTD-1k").exists()
        return
    assert answer.code == 1, answer.err  # imported, and told that 998 images are missing
    assert "new/IRSTD-1k: imported, " in answer.out
    assert call(*RUN[:2], "--data", "new", *RUN[4:]).code == 0


UNREADABLE = [case for case in CASES if case.name in {"a mask of zero bytes", "a file cut short"}] + [
    refused("an animated mask", lambda: animate(MASK), "2 pictures in one file, expected a still image"),
    refused("a CMYK mask", lambda: cmyk(MASK), "pixels of mode 'CMYK', expected 8-bit grey or RGB"),
    refused("a text called png", lambda: MASK.write_text("hello"), "not an image, expected one of PNG, BMP, JPEG"),
    refused("two of one name", lambda: Image.new("L", (30, 20)).save(MASK.with_suffix(".bmp")), "has the same name"),
]


@pytest.mark.parametrize("case", UNREADABLE, ids=lambda case: case.name.replace(" ", "-"))
def test_score_refuses_what_it_cannot_read_on_either_side(call: Call, case: Case) -> None:
    for folder in ("images", "masks"):
        shutil.copytree(f"data/IRSTD-1k/{folder}", f"good/{folder}")
    case.spoil()
    spoiled = "images" if case.name == "a file cut short" else "masks"
    for words in ((f"data/IRSTD-1k/{spoiled}", "good/masks"), ("good/masks", f"data/IRSTD-1k/{spoiled}")):
        answer = call("score", *words)
        assert answer.code == 2
        one_error(answer.err, case.run)


def test_a_run_after_conversion_scores_deep_images_like_shallow_ones(call: Call) -> None:
    store(IMAGE, box(60000, np.uint16))
    assert call(*CONVERT).code == 1
    assert call(*RUN[:2], "--data", "new", *RUN[4:]).code == 0
    (result,) = Path("runs").glob("*/result.json")
    assert json.loads(result.read_text())["scores"]["IoU/pooled"]["value"] == 1.0


def test_lists_with_crlf_and_no_last_newline_make_a_split(call: Call) -> None:
    lists = {"train.txt": b"a b\r\n\xc3\xbc\r\n", "test.txt": "\ufeffu\u0308ber".encode()}
    write_files(Path(), [], lists)
    answer = call("data", "lists", "NUAA-SIRST", "train.txt", "test.txt", "--split", "basicirstd")
    assert answer.code == 2
    one_error(answer.err, "'basicirstd' is a split already")


@pytest.mark.parametrize("name", ["a b", "über", "u\u0308ber", "目标 1", "v1.2", "-x"])
def test_names_with_spaces_accents_and_dots_work(call: Call, name: str) -> None:
    source = write_files(Path("source"), [f"images/{name}.png", f"masks/{name}.png"])
    (source / "img_idx").mkdir()
    (source / "img_idx/all.txt").write_bytes(f"{name}\r\n".encode())
    answer = call("data", "import", "IRDST", "source", "--data", "new")
    assert answer.code == 1
    assert "IRDST: 1 pair and 1 list from source" in answer.out
    problems = json.loads(call("data", "verify", "IRDST", "--data", "new", "--json").out)["problems"]
    assert problems == ["new/IRDST/images: 1 images, the card says 40653"]


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_folder_that_holds_no_images_is_one_line(call: Call, kind: str) -> None:
    for path in Path(f"data/IRSTD-1k/{kind}").iterdir():
        path.unlink()
    answer = call(*RUN)
    assert answer.code == 2
    one_error(answer.err, NO_IMAGE)
    answer = call(*IMPORT)
    assert answer.code == 2
    one_error(answer.err, "no known layout")


BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
"""Root without the right to read what nobody may read."""


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may read everything, and setpriv is not here"
)
@pytest.mark.parametrize(
    ("path", "words", "code", "sentence"),
    [
        (IMAGE, VERIFY, 1, "images/XDU935.png: permission denied, expected an image"),
        (IMAGE, RUN, 2, "images/XDU935.png: permission denied, expected an image"),
        (IMAGE, IMPORT, 2, "images/XDU935.png: permission denied, expected a readable file"),
        (IMAGE.parent, VERIFY, 1, "IRSTD-1k/images: permission denied, expected a folder of images"),
        (IMAGE.parent, IMPORT, 2, "IRSTD-1k/images: permission denied, expected a readable folder"),
        (Path("new"), IMPORT, 2, "new: permission denied, expected a folder that can be written"),
    ],
)
def test_what_may_not_be_read_is_one_line(path: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    Path("new").mkdir()
    path.chmod(0o555 if path == Path("new") else 0o000)
    bound = BOUND if os.geteuid() == 0 else ()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [*bound, sys.executable, "-m", "bench", *words], capture_output=True, text=True, check=False, env=environment
    )
    path.chmod(0o755)
    assert done.returncode == code, done.stderr
    said = done.stdout if code == 1 else done.stderr
    assert sum(sentence in line for line in said.splitlines()) == 1
    assert "Traceback" not in done.stderr
