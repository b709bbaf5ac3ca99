"""Find test images that weights were trained on: by lists and cards, or by pixels once they are read."""

from __future__ import annotations

from collections.abc import Callable

from bench.data.catalogue.cards import load_card
from bench.data.catalogue.overlaps import shared_images
from bench.data.images.decode import pixel_digest
from bench.data.images.frames import Frames
from bench.errors import LeakError
from bench.types import Experiment, ImageList, Predictions, Training, Weights


def refuse_shared_images(experiment: Experiment) -> None:
    """Raise LeakError if the weights were trained on images of the test list, as far as lists and cards tell.

    Raises:
        LeakError: naming the lists, how many images they share, and the first of those.
    """
    for images in learnt_from(experiment):
        refuse(images, experiment.images, shared_images(images, experiment.images))


def refuse(learnt: ImageList, tested: ImageList, shared: tuple[str, ...]) -> None:
    """Raise LeakError if two lists share an image.

    Raises:
        LeakError: naming the lists, how many images they share, and the first of those.
    """
    if shared:
        raise LeakError(
            f"{_title(learnt)}, which is learnt from, and {_title(tested)}, which is tested on, share "
            f"{len(shared)} images, the first {shared[0]!r}; choose lists that share none, or pass --allow-leak "
            "and every table will say so"
        )


def count_leaked(experiment: Experiment) -> int:
    """Test images that the weights have learnt from, or that chose their epoch as if they were others.

    Given weights do not say what they have learnt from, nor do all published ones: 0 of them is not a proof.
    """
    return len({name for images in learnt_from(experiment) for name in shared_images(images, experiment.images)})


def learnt_from(experiment: Experiment) -> list[ImageList]:
    """The lists that made the weights, as far as they are known.

    The list that chooses the epoch may be the test list itself: the protocol declares it, and results say optimistic.
    """
    weights = experiment.weights
    if isinstance(weights, Weights):
        return list(weights.learnt_from)
    if isinstance(weights, Predictions):
        return []
    seen = [] if weights.images is None else [weights.images]
    if isinstance(weights, Training) and weights.selection_images is not None and weights.selection.on != "test":
        seen.append(weights.selection_images)
    return seen


class PixelComparison:
    """Finds test images that lists of another dataset hold as well, where cards have no digests that could tell."""

    def __init__(self, frames_of: Callable[[ImageList], Frames], *, known: dict[ImageList, dict[str, str]]) -> None:
        """Take a function that gives the images of a list, and the digests of lists that were compared earlier."""
        self._frames_of, self._digests = frames_of, known

    def shared(self, learnt: ImageList, tested: ImageList) -> tuple[str, ...]:
        """Names of the test images whose grey levels are an image's of the other list; none where cards can tell."""
        if learnt.dataset == tested.dataset or (_is_proven(learnt) and _is_proven(tested)):
            return ()
        known = set(self._digests_of(learnt).values())
        return tuple(name for name, digest in self._digests_of(tested).items() if digest in known)

    def _digests_of(self, images: ImageList) -> dict[str, str]:
        if images not in self._digests:
            self._digests[images] = {frame.name: pixel_digest(frame.grey) for frame in self._frames_of(images)}
        return self._digests[images]


def _is_proven(images: ImageList) -> bool:
    """True if the card has the digest of every image of the dataset."""
    card = load_card(images.dataset)
    return card.digested_images == card.images


def _title(images: ImageList) -> str:
    return f"{images.dataset}/{images.split}/{images.part}"
