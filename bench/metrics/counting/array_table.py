"""A record of arrays whose lengths go together: written to an .npz file and read back, checked."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

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
            RequestError: when a field is missing or the lengths contradict each other.
        """
        fields = [f.name for f in dataclasses.fields(cls)]
        if missing := [name for name in fields if name not in arrays]:
            lacks = f"no {', '.join(missing)}, expected {', '.join(fields)}"
            raise RequestError(f"{cls.WHAT}: {lacks}; {cls.AGAIN} the run again")
        columns: dict[str, Any] = {name: np.asarray(arrays[name]) for name in fields}
        if "names" in columns:
            columns["names"] = tuple(columns["names"].tolist())
        table = cls(**columns)
        table.check()
        return table

    def check(self) -> None:
        """Raise RequestError unless all lengths agree, naming the field whose shape does not fit."""
        for name, shape in self.shapes().items():
            found = getattr(self, name).shape
            if found != shape:
                raise RequestError(
                    f"{self.WHAT}: {name} has shape {found}, expected {shape}; {self.AGAIN} the run again"
                )
