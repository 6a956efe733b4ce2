"""Small functions of a step that may be compiled: a few kernels in place of a dozen small ones.

They are what stands between the products of a step, which are kernels of their own anyhow.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import torch

Function = TypeVar("Function", bound=Callable[..., Any])
Transform = Callable[[Callable[..., Any]], Callable[..., Any]]
"""From a function of tensors to the form in which it is run."""

_form: Transform | None = None


@contextmanager
def run_as(form: Transform) -> Iterator[None]:
    """Run every piece in this form, within."""
    global _form
    before, _form = _form, form
    try:
        yield
    finally:
        _form = before


def piece(function: Function) -> Function:
    """The function as it is, or within `run_as` in the form that is given there."""

    @wraps(function)
    def run(*given: Any, **named: Any) -> Any:
        if _form is None or torch.compiler.is_compiling():
            return function(*given, **named)
        return _form(function)(*given, **named)

    return run  # pyright: ignore[reportReturnType]
