"""DFINet's design choices: one field each, so that an ablation changes one field."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints

from bench.errors import RequestError
from bench.types import Choice


def choice(default: Any, head: str, **words: str) -> Any:
    """A field of `DFINetConfig`: its released value, the head of its column, and the words printed for its values.

    In `words` an underscore stands for the hyphen of a value, and a leading one is dropped: `_0="✗"`.
    """
    printed = tuple((name.lstrip("_").replace("_", "-"), text) for name, text in words.items())
    return field(default=default, metadata={"head": head, "words": printed})


@dataclass(frozen=True)
class DFINetConfig:
    """DFINet's design; the defaults are the released network, and every other value departs from it.

    Attributes:
        width: channels of the first encoder block, an even number.
        dfffm: how the mask acts on the features. `identity`: the block is left out. `matched`: the mask is ignored, and
            the fusing convolution is given the map twice, so that as many parameters learn.
        own_mask: the mask that DFFFM computes itself. As `released` it is thresholded and never trained. `off`: the
            feedback alone. `straight-through`: thresholded, with the gradient of the probability. `soft`: not
            thresholded.
        down_sampling: of the mask that DFFFM sees. `nearest` takes each cell's top-left pixel and loses targets,
            `max-pool` loses none.
        chpp: hybrid pyramid pooling blocks in the cascade, 0 to 3.
        dsfm: how skip and decoder maps meet. `skip`: the skip alone. `sum`: their sum. Neither sees the mask.
        madrb: `shortcut`: the projection that the release computes and drops is added. `residual`: FANet's residual
            block in its place, without central differences and coordinate attention.
        theta: share of the central difference in MADRB's convolutions, 0 to 1.
        feedback: `zero`: the mask is zero everywhere, always, and there is one round: truly no feedback.
        history: masks that training feeds back; see dfinet/history.py.
        selected_after: feedback rounds after which an epoch is judged when the best one is chosen.

    Raises:
        RequestError: for a value that a field cannot take, or two that contradict each other.
    """

    width: int = 32
    dfffm: Literal["released", "identity", "matched"] = choice(
        "released", "DFFFM", released="✓", identity="✗", matched="✗, matched"
    )
    own_mask: Literal["released", "off", "straight-through", "soft"] = choice(
        "released", "Own mask", released="untrained", off="✗", straight_through="trained, hard", soft="trained, soft"
    )
    down_sampling: Literal["nearest", "max-pool"] = choice("nearest", "Mask size")
    chpp: Literal[0, 1, 2, 3] = choice(2, "CHPP", _0="✗", _1="1 block", _2="✓", _3="3 blocks")
    dsfm: Literal["released", "skip", "sum"] = choice("released", "DSFM", released="✓", skip="✗", sum="sum")
    madrb: Literal["released", "shortcut", "residual"] = choice(
        "released", "MADRB", released="✓", shortcut="+ shortcut", residual="✗"
    )
    theta: float = choice(0.7, "θ")
    feedback: Literal["on", "zero"] = choice("on", "Feedback", on="✓", zero="✗")
    history: str = choice("released", "History")
    selected_after: int = choice(1, "Chosen after round")

    def __post_init__(self) -> None:
        self._refuse_unknown_values()
        if self.own_mask != "released" and self.dfffm != "released":
            raise RequestError(
                f"DFINetConfig: own_mask is {self.own_mask!r}, but with dfffm {self.dfffm!r} there is no own mask"
            )
        if self.theta != 0.7 and self.madrb == "residual":
            raise RequestError(
                f"DFINetConfig: theta is {self.theta}, but with madrb 'residual' there are no central differences"
            )
        if self.feedback == "zero" and (self.history, self.selected_after) != ("released", 1):
            raise RequestError(
                "DFINetConfig: with feedback 'zero' there is one round and no history, so that history "
                f"{self.history!r} and selected_after {self.selected_after} say nothing; leave them as they are"
            )

    def _refuse_unknown_values(self) -> None:
        for name, kind in get_type_hints(DFINetConfig).items():
            value, allowed = getattr(self, name), get_args(kind)
            if allowed and (value not in allowed or isinstance(value, bool)):
                raise RequestError(
                    f"DFINetConfig: {name} is {value!r}, expected one of {', '.join(map(repr, allowed))}"
                )
        if not isinstance(self.theta, int | float) or isinstance(self.theta, bool) or not 0 <= self.theta <= 1:
            raise RequestError(f"DFINetConfig: theta is {self.theta!r}, expected a number from 0 to 1")
        if type(self.selected_after) is not int or self.selected_after < 1:
            raise RequestError(f"DFINetConfig: selected_after is {self.selected_after!r}, expected at least 1 round")


def design_choices() -> tuple[Choice, ...]:
    """The design choices as the ablation table needs them, in the order of the fields."""
    released = DFINetConfig()
    return tuple(
        Choice(one.name, one.metadata["head"], getattr(released, one.name), one.metadata["words"])
        for one in fields(DFINetConfig)
        if "head" in one.metadata
    )
