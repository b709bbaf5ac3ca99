"""A record of arrays whose lengths go together: written to an .npz file and read back, checked."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from bench.arrays import TEXT, WHOLE, checked_array
from bench.errors import RequestError

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ArrayTable(ABC):
    """Arrays by field name; a field called `names` is a tuple of text.

    Attributes:
        WHAT: the file's content, for an error.
        AGAIN: what has to be done with the run where the file is broken.
    """

    WHAT: ClassVar[str]
    AGAIN: ClassVar[str] = "score"

    @abstractmethod
    def shapes(self) -> Mapping[str, Shape]:
        """The shape that each field has to have, given the others; those that may have any are left out."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by field name, for `numpy.savez`."""
        return {f.name: np.asarray(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The table that `to_arrays` took apart.

        Raises:
            RequestError: when a field is missing or of another type, or the lengths contradict each other.
        """
        known = _kinds_by_field(cls)
        if missing := [name for name in known if name not in arrays]:
            lacks = f"no {', '.join(missing)}, expected {', '.join(known)}"
            raise RequestError(f"{cls.WHAT}: {lacks}; {cls.AGAIN} the run again")
        try:
            columns: dict[str, Any] = {
                name: _checked_column(arrays[name], name, kinds) for name, kinds in known.items()
            }
            if "names" in columns:
                columns["names"] = tuple(columns["names"].tolist())
            table = cls(**columns)
            table.check()
        except RequestError as error:
            raise RequestError(f"{cls.WHAT}: {error}; {cls.AGAIN} the run again") from None
        return table

    def check(self) -> None:
        """Raise RequestError unless all lengths agree, naming the field whose shape does not fit."""
        arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "names"}
        shapes = self.shapes()
        for name, array in arrays.items():
            expected = shapes.get(name, array.shape[:1])
            if array.shape != expected:
                raise RequestError(f"{name} has shape {array.shape}, expected {expected}")
            if name.endswith("_image") and array.size and array.max() >= len(getattr(self, "names", array)):
                raise RequestError(f"{name} holds {array.max()}, which is the position of no image")


def _checked_column(array: NDArray[Any], name: str, kinds: str) -> NDArray[Any]:
    if not array.ndim:
        raise RequestError(f"{name} has shape (), expected one number for each image or target")
    return checked_array({name: array}, name, kinds, (None,) * (1 if name == "names" else array.ndim))


@cache
def _kinds_by_field(table: type) -> dict[str, str]:
    """The NumPy types that each field of a table may have: those of its annotation, else whole numbers."""
    hints = get_type_hints(table)
    return {f.name: TEXT if f.name == "names" else _kinds_of(hints[f.name]) for f in dataclasses.fields(table)}


def _kinds_of(hint: Any) -> str:
    scalars = [get_args(argument) for argument in get_args(hint)]  # of an array: those of its shape and of its dtype
    kind = np.dtype(scalars[1][0]).kind if len(scalars) == 2 and scalars[1] else WHOLE
    return WHOLE if kind in WHOLE else kind
