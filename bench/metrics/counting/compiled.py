"""Compilation of loops over pixels by numba, with the machine code kept for the next start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function as machine code that releases the interpreter's lock, so that threads count images side by side.

    The code is kept beside the module, or in the user's cache folder; where neither can be written it is compiled again
    in every process. Floating-point numbers are added and compared as written (no fast-math), so that a distance of
    exactly 3 px stays one.
    """
    try:
        return cast(Function, numba.njit(function, cache=True, nogil=True))
    except RuntimeError:  # numba found no folder that it may write to
        return cast(Function, numba.njit(function, nogil=True))
