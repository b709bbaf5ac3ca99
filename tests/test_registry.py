"""Names: registered once, found again, answered with the nearest; users' own files loaded once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.registry import Registry, discover, load_plugin, unknown


@pytest.fixture
def models() -> Registry[int]:
    """A registry of three."""
    registry: Registry[int] = Registry("model")
    for number, name in enumerate(("DNANet", "ACM", "U-Net")):
        registry.add(name, number)
    return registry


def test_what_was_added_is_found(models: Registry[int]) -> None:
    assert (models.get("ACM"), len(models), list(models)) == (1, 3, ["DNANet", "ACM", "U-Net"])
    assert "ACM" in models
    assert "acm" not in models


def test_a_name_is_given_once(models: Registry[int]) -> None:
    with pytest.raises(ValueError, match="two models are called 'ACM'; rename one"):
        models.add("ACM", 7)
    assert models.get("ACM") == 1


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("DNAnet", "no model is called 'DNAnet'; did you mean DNANet?"),
        ("acm", "no model is called 'acm'; did you mean ACM?"),
        ("UNet", "no model is called 'UNet'; did you mean U-Net or DNANet?"),
        ("zebra", "no model is called 'zebra'; there are ACM, DNANet, U-Net"),
        ("", "no model is called ''; there are ACM, DNANet, U-Net"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_or_all(models: Registry[int], asked: str, answer: str) -> None:
    with pytest.raises(LookupError) as caught:
        models.get(asked)
    assert caught.value.args == (answer,)


def test_where_there_is_nothing_the_answer_says_none() -> None:
    assert unknown("suite", "quick", []) == "no suite is called 'quick'; there are none"


def test_discovering_imports_public_modules_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "found_here"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__", "public", "_private", "inner/__init__", "inner/deep"):
        (package / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    discover(("found_here",))
    loaded = {name for name in sys.modules if name.startswith("found_here")}
    assert loaded == {"found_here", "found_here.public", "found_here.inner", "found_here.inner.deep"}
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)


def write_plugin(path: Path, text: str) -> Path:
    """A user's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_plugin_is_run_once(tmp_path: Path) -> None:
    count = tmp_path / "count.txt"
    path = write_plugin(
        tmp_path / "mine.py", f"from pathlib import Path\nwith Path({str(count)!r}).open('a') as f:\n    f.write('x')\n"
    )
    load_plugin(path)
    load_plugin(path)
    assert count.read_text() == "x"


def test_two_plugins_of_one_name_in_two_folders_are_both_run(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        text = f"from pathlib import Path\nPath({str(tmp_path / folder)!r} + '.txt').touch()\n"
        load_plugin(write_plugin(tmp_path / folder / "net.py", text))
    assert (tmp_path / "a.txt").exists()
    assert (tmp_path / "b.txt").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bad.py", "def broken(:\n", "bad.py: SyntaxError: "),
        ("bad.py", "raise RuntimeError('first line\\nsecond')\n", "bad.py: RuntimeError: first line"),
        ("bad.py", "assert 1 == 2\n", "bad.py: AssertionError: no reason given"),
        ("bad.txt", "x = 1\n", "bad.txt: expected a Python file (.py)"),
    ],
)
def test_a_plugin_that_fails_is_named_in_one_line_each_time(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = write_plugin(tmp_path / name, text)
    for _ in range(2):
        with pytest.raises(ValueError) as caught:
            load_plugin(path)
        assert str(caught.value).startswith(f"plugin {tmp_path}/{said}")
        assert "\n" not in str(caught.value)


def test_a_plugin_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"plugin .*none\.py: no such file"):
        load_plugin(tmp_path / "none.py")
