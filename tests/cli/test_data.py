"""`dfinet-bench data import`, `fetch` and `lists` as users call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Call, caller
from dataset_sources import LAYOUT_FILES, members_of, write_files, zip_of
from http_files import serving


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, and no settings of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in ("DFINET_BENCH_DATA", "DFINET_BENCH_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """`dfinet-bench data` as a function of its words."""
    return caller(monkeypatch, capfd, "data")


SIRST = ("sirst-master/images/Misc_1.png", "sirst-master/masks/Misc_1_pixels0.png", "sirst-master/README.md")


def test_an_import_says_what_was_taken_and_what_differs(call: Call) -> None:
    archive = zip_of(Path("sirst.zip"), {**members_of(SIRST[:2]), SIRST[2]: b"x"})
    answer = call("import", "NUAA-SIRST", "sirst.zip")
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[0] == (
        "NUAA-SIRST: 1 pair and 0 lists from sirst.zip (zip, layout sirst in sirst-master); 1 file renamed, 1 left out"
    )
    assert lines[1].startswith("SHA-256 of the archive: ")
    assert "data/NUAA-SIRST/images/Misc_1.png: size differs, 20x30 (height x width), the card says" in answer.out
    assert "852 files missing that the card names, data/NUAA-SIRST/images/Misc_10 the first" in lines
    assert "all of them: dfinet-bench data verify NUAA-SIRST --data data" in lines
    assert lines[-1] == "data/NUAA-SIRST: imported, 854 differences from its card"
    assert archive.is_file()


def test_a_dry_run_puts_nothing_in_place(call: Call) -> None:
    write_files(Path("source"), LAYOUT_FILES["irstd-1k"][1])
    answer = call("import", "IRSTD-1k", "source", "--dry-run")
    assert answer.code == 1
    assert answer.out.splitlines()[-1].startswith("data/IRSTD-1k: not imported (--dry-run), ")
    assert not Path("data/IRSTD-1k").exists()


def test_an_import_for_scripts_is_one_object(call: Call) -> None:
    write_files(Path("source"), LAYOUT_FILES["irstd-1k"][1])
    made = json.loads(call("import", "IRSTD-1k", "source", "--data", "D", "--json").out)
    assert (made["folder"], made["layout"], made["images"], made["kept"]) == ("D/IRSTD-1k", "irstd-1k", 1, True)
    assert made["proof"]["broken"] == []
    assert made["proof"]["files"] == 2


def test_an_import_does_not_write_over_a_dataset_unless_it_is_told_to(call: Call) -> None:
    write_files(Path("source"), LAYOUT_FILES["irstd-1k"][1])
    call("import", "IRSTD-1k", "source")
    again = call("import", "IRSTD-1k", "source")
    assert (again.code, again.out) == (2, "")
    assert again.err == (
        "error: data/IRSTD-1k: is there already, expected a free place; pass --replace to put the new one there\n"
    )
    assert call("import", "IRSTD-1k", "source", "--replace").code == 1


def test_an_unknown_dataset_or_layout_is_answered_with_the_nearest(call: Call) -> None:
    Path("source").mkdir()
    assert "did you mean IRSTD-1k" in call("import", "IRSTD-1K", "source").err
    answer = call("import", "IRSTD-1k", "source", "--layout", "irstd1k")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "no layout is called 'irstd1k'; did you mean irstd-1k" in answer.err


def test_a_fetch_downloads_and_imports(call: Call) -> None:
    content = zip_of(Path("set.zip"), members_of(LAYOUT_FILES["irstd-1k"][1])).read_bytes()
    with serving(content) as served:
        answer = call("fetch", "IRSTD-1k", "--from", served.url, "--sha256", served.sha256)
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[0] == f"IRSTD-1k: from {served.url}"
    assert lines[1] == (
        f"IRSTD-1k: 1 pair and 0 lists from {served.url} (zip, layout irstd-1k); 0 files renamed, 0 left out"
    )
    assert lines[2] == f"SHA-256 of the archive: {served.sha256}"
    assert sorted(path.name for path in Path("data").glob("[!.]*")) == ["IRSTD-1k"]


def test_a_fetch_that_fails_is_one_line(call: Call) -> None:
    with serving(b"x") as served:
        served.statuses = [404]
        answer = call("fetch", "IRSTD-1k", "--from", served.url)
    assert answer.code == 2
    assert answer.err == (
        f"error: {served.url}: 404 Not Found, there is no such file (any more); look for it on its page\n"
    )


def test_a_fetch_by_hand_is_told_step_by_step(call: Call) -> None:
    answer = call("fetch", "IRSTD-1k")
    assert answer.code == 1
    assert answer.out.splitlines()[0] == "IRSTD-1k cannot be fetched by a program; do this:"
    assert "  3. dfinet-bench data import IRSTD-1k FILE --data data" in answer.out.splitlines()


def test_lists_that_share_a_name_are_one_line(call: Call) -> None:
    write_files(Path(), [], {"a.txt": b"x\ny\n", "b.txt": b"y"})
    answer = call("lists", "IRDST", "a.txt", "b.txt")
    assert answer.code == 2
    assert answer.err == "error: a.txt: 'y' stands in test too (1 in all), expected disjoint lists\n"


def test_an_import_says_which_lists_it_did_not_keep(call: Call) -> None:
    write_files(Path("source"), LAYOUT_FILES["irstd-1k"][1], {"train.txt": b"XDU0\nXDU0\n"})
    answer = call("import", "IRSTD-1k", "source")
    assert "train.txt: not kept as a list, 'XDU0' stands twice, expected every name once" in answer.out.splitlines()
