"""Training steps through torch.compile."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from bench.errors import RequestError
from bench.store.files import first_line

P = ParamSpec("P")
T = TypeVar("T")


def through_compiler(function: Callable[P, T]) -> Callable[P, T]:
    """A function through torch.compile, each shape of its tensors by itself; compiled when it is first called.

    Raises:
        RequestError: by the returned function, when the machine has no compiler or it fails.
    """
    fast = torch.compile(function, dynamic=False)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return fast(*args, **kwargs)
        except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.CppCompileError) as error:
            raise RequestError(
                f"recipe.compiled: torch.compile failed ({first_line(error)}); install a C++ compiler, on a GPU also "
                "Triton, or set recipe.compiled to false"
            ) from error

    return call
