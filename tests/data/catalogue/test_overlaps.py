"""Images of SIRST-v2 that NUAA-SIRST holds too, told by digests alone, and the lists that hold none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.catalogue.overlaps import shared_images
from bench.data.catalogue.splits import image_list
from bench.errors import SuiteError
from bench.protocols.protocols import NATIVE, PROTOCOLS
from bench.suites.expand import Job, expand
from bench.suites.leak_check import PixelComparison
from bench.suites.suite import load_suite
from bench.types import ImageList, ModelInfo

NET = ModelInfo("Net", cite="none", source="tests", licence="MIT", recipe="basicirstd")


@pytest.fixture
def native_on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A function from a split of SIRST-v2 to the name of a protocol that tests on it."""

    def made(split: str) -> str:
        rules = replace(NATIVE, name="on", normalisation="fixed", splits=(("SIRST-v2", split),))
        monkeypatch.setitem(PROTOCOLS._entries, "on", rules)
        return "on"

    return made


def jobs_of(folder: Path, *, protocol: str, trained_on: str) -> list[Job]:
    """Experiments that learn from a dataset and are tested on SIRST-v2."""
    text = f'protocol = "{protocol}"\ndatasets = ["SIRST-v2"]\ntrained_on = ["{trained_on}"]\n[[row]]\nmodel = "Net"\n'
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return expand(load_suite(str(folder / "mine.toml")), info_of=lambda name: NET)


def test_learning_from_nuaa_sirst_and_testing_on_all_of_sirst_v2_is_refused(
    tmp_path: Path, native_on: Callable[[str], str]
) -> None:
    said = (
        "NUAA-SIRST/basicirstd/fit, which is learnt from, and SIRST-v2/full/test, which is tested on, share 42 images, "
        "the first 'Misc_278'; choose lists that share none"
    )
    with pytest.raises(SuiteError) as refused:
        jobs_of(tmp_path, protocol=native_on("full"), trained_on="NUAA-SIRST")
    assert said in str(refused.value)


@pytest.mark.parametrize(("split", "images"), [("beyond-v1", 149), ("target-free", 131)])
def test_frames_that_nuaa_sirst_does_not_hold_are_tested_on_without_a_word(
    split: str, images: int, tmp_path: Path, native_on: Callable[[str], str]
) -> None:
    (job,) = jobs_of(tmp_path, protocol=native_on(split), trained_on="NUAA-SIRST")
    assert (job.experiment.images.split, job.experiment.images.count) == (split, images)
    assert job.row.leaked == 0


def test_a_suite_that_would_train_on_a_split_for_testing_alone_is_refused(
    tmp_path: Path, native_on: Callable[[str], str]
) -> None:
    with pytest.raises(SuiteError, match="SIRST-v2: split 'beyond-v1' has no fit list, it is for testing alone"):
        jobs_of(tmp_path, protocol=native_on("beyond-v1"), trained_on="SIRST-v2")


@pytest.mark.parametrize("split", ["basicirstd", "sirst-v1"])
@pytest.mark.parametrize(
    ("tested", "shared"), [("full", {"basicirstd": 54, "sirst-v1": 64}), ("beyond-v1", {}), ("target-free", {})]
)
def test_no_image_is_opened_to_tell(split: str, tested: str, shared: dict[str, int]) -> None:
    def frames_of(images: ImageList) -> None:
        pytest.fail(f"{images} was read")

    lists = image_list("NUAA-SIRST", split, "train"), image_list("SIRST-v2", tested, "test")
    assert len(shared_images(*lists)) == shared.get(split, 0)
    assert PixelComparison(frames_of, known={}).shared(*lists) == ()  # type: ignore[arg-type]
